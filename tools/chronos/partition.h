/* SPDX-License-Identifier: Apache-2.0 */
/* A partition, for people and in JSON. */
#ifndef CHRONOS_TOOLS_PARTITION_H
#define CHRONOS_TOOLS_PARTITION_H

#include "output.h"

/* As an object of an array, or as the whole answer. All fields must be loaded. */
void partition_json(struct json *json, const struct chronos_partition *partition);
void partition_print_json(const struct chronos_partition *partition);
/* The lines of `show`. */
void partition_print(const struct chronos_partition *partition);

#endif
