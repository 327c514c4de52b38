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
#define PARTITION_PLACE_MAX  (CHRONOS_VALUE_MAX * 2 + 16)
#define PARTITION_AMOUNT_MAX 64
/* "device 0 (NVIDIA A100)" or "devices gpu0,gpu2". */
void partition_place_text(const struct chronos_partition *partition,
                          char text[static PARTITION_PLACE_MAX]);
/* "5120 MB", or of several devices "5120 MB on each", where they differ "9216 MB in all". */
void partition_amount_text(const struct chronos_mount *mount,
                           const struct chronos_partition *partition,
                           char text[static PARTITION_AMOUNT_MAX]);
/* Print the lines of `show`. */
void partition_print(const struct chronos_mount *mount, const struct chronos_partition *partition);

#endif
