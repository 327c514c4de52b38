/* SPDX-License-Identifier: Apache-2.0 */
/* `chronosfs --restore-device-access`: after a daemon that died and will not be restarted. */
#ifndef CHRONOS_DAEMON_RESTORE_DEVACL_H
#define CHRONOS_DAEMON_RESTORE_DEVACL_H

#include "core/base/message.h"

/* Restore the device nodes that a daemon with state directory `path` left restricted. The caller
 * holds the directory's lock. Returns 0 or -errno, always with a message. */
int restore_devacl_at(const char *path, struct message *message);
/* Take the lock and do the same for `state_dir` ("": the default). Returns 0 if the nodes are
 * restored or nothing is saved, -EBUSY while a daemon uses the directory, another -errno if a node
 * or the directory could not be changed. Always sets a message. */
int restore_devacl(const char *state_dir, struct message *message);

#endif
