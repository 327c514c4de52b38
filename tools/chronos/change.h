/* SPDX-License-Identifier: Apache-2.0 */
/* Change partitions through their settable files. */
#ifndef CHRONOS_TOOLS_CHANGE_H
#define CHRONOS_TOOLS_CHANGE_H

#include "command.h"

/* Write `text` to `file` of partition `id`, or of the mount point if that is NULL. 0, or an exit
 * code after a message, which begins with `what` where the filesystem says nothing. */
int change_write(const struct chronos_mount *mount, const char *id, const char *file,
                 const char *text, const char *what);
/* Write the processes that `words` name, up to a NULL, to `procs` of a partition, or of the mount
 * point if `id` is NULL: then they leave. Without words it is the process that called this program.
 * Print what became of each. Return an exit code. */
int change_processes(const struct chronos_mount *mount, const struct command *command,
                     const char *id, const char *const *words);

#endif
