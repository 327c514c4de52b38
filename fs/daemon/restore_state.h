/* SPDX-License-Identifier: Apache-2.0 */
/* `chronosfs --restore FILE`: replace the state by a backup of it. */
#ifndef CHRONOS_DAEMON_RESTORE_STATE_H
#define CHRONOS_DAEMON_RESTORE_STATE_H

#include "core/base/message.h"

#include <stdbool.h>

/* Restore the backup `file` to `state_dir` ("": the default). 0, or -EBUSY while a daemon uses the
 * directory, or another -errno. Always sets a message. */
int restore_state(const char *file, const char *state_dir, bool any_machine,
                  struct message *message);

#endif
