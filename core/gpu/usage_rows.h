/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing list of rows "this process uses this much of this device". It must not know where the
 * rows come from.
 */
#ifndef CHRONOS_GPU_USAGE_ROWS_H
#define CHRONOS_GPU_USAGE_ROWS_H

#include "usage.h"

/* Zero-initialize for an empty list; free with usage_rows_free. */
struct usage_rows {
    struct gpu_usage_process *row;
    size_t count, capacity;
};

/* Return 0 or -ENOMEM. */
int usage_rows_add(struct usage_rows *rows, const struct gpu_usage_process *row);
/* How to merge rows with the same process and device. */
enum usage_merge {
    USAGE_SUM, /* the rows are parts */
    USAGE_MAX, /* the rows report the same usage */
};
/* Sort by device, then pid, and leave one row for each pair. A known amount replaces an unknown
 * one. */
void usage_rows_merge(struct usage_rows *rows, enum usage_merge merge);
/* Keep at most `most` rows, those using the most memory; an unknown amount counts as the least.
 * Keeps the order. Return the number of rows dropped. */
size_t usage_rows_cut(struct usage_rows *rows, size_t most);
/* Return NULL if there is no such row. Merge the rows first. */
struct gpu_usage_process *usage_rows_find(const struct usage_rows *rows, uint32_t device,
                                          int32_t pid);
void usage_rows_free(struct usage_rows *rows);

#endif
