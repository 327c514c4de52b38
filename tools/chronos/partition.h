/* SPDX-License-Identifier: Apache-2.0 */
/* Print a partition, for people and as JSON. */
#ifndef CHRONOS_TOOLS_PARTITION_H
#define CHRONOS_TOOLS_PARTITION_H

#include "output.h"

/* Print it as an object of an array, or as the whole output. All fields must be loaded. `members`:
 * the lines of that file, or NULL to leave them out. */
void partition_json(struct json *json, const struct chronos_partition *partition,
                    const char *members);
void partition_print_json(const struct chronos_partition *partition, const char *members);
/* Print what it waits for, a line. */
void partition_print_waiting(const struct chronos_mount *mount,
                             const struct chronos_partition *partition);
/* Print the lines of `show`. */
void partition_print(const struct chronos_partition *partition);

#endif
