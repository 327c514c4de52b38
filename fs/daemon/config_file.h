/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --config FILE`: the settings of config/ as a file, so that machines which have the
 * same file have the same policy. A line is `NAME = VALUE`, with the names and values of config/; a
 * line that begins with # is a comment. It is all good, or refused as a whole.
 */
#ifndef CHRONOS_DAEMON_CONFIG_FILE_H
#define CHRONOS_DAEMON_CONFIG_FILE_H

#include "core/base/message.h"

/* Check the file at an absolute path, which only root and the daemon's own user may be able to
 * change. 0 and a message that says how many settings it has; or -errno and a message with the
 * number of the bad line. */
int config_file_check(const char *path, struct message *message);
/* The same, and pass its settings on to the next worker (WORKER_SETTINGS): those that it does not
 * name are the default, except for `drain`, which stays as it is. "": there is no file, and nothing
 * to pass on. */
int config_file_pass_on(const char *path, struct message *message);

#endif
