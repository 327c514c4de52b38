/* SPDX-License-Identifier: Apache-2.0 */
/* `chronosfs --restore-device-access`: for a daemon that died and will not come back. */
#ifndef CHRONOS_DAEMON_RESTORE_DEVACL_H
#define CHRONOS_DAEMON_RESTORE_DEVACL_H

#include "core/base/message.h"

/* Puts back the device nodes that a gate with state directory `path` closed; for whoever
 * holds its lock. 0 or -errno, in any case with one sentence. */
int restore_devacl_at(const char *path, struct message *message);
/* Takes the lock and does the same: puts back the device nodes that a gate with this state
 * directory ("": the default one) closed. 0 when they are as they were, or there is nothing saved;
 * -EBUSY while a daemon uses the directory; another -errno when a node or the directory could not
 * be changed. In any case one message that says so. */
int restore_devacl(const char *state_dir, struct message *message);

#endif
