/* SPDX-License-Identifier: Apache-2.0 */
/* Containers join partitions: the hook that container engines run. */
#ifndef CHRONOS_TOOLS_CONTAINER_H
#define CHRONOS_TOOLS_CONTAINER_H

#include "command.h"

/* Read the state of a container from standard input, and add its process to each partition in
 * `words`. Returns an exit code. */
int container_join(const struct chronos_mount *mount, const struct command *command,
                   const char *const *words);

#endif
