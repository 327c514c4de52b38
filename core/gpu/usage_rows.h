/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of rows "this process uses so much of this device", as it grows while a
 * driver is read. It must not know where rows come from.
 */
#ifndef CHRONOS_GPU_USAGE_ROWS_H
#define CHRONOS_GPU_USAGE_ROWS_H

#include "usage.h"

/* All zero is an empty list; usage_rows_free ends it. */
struct usage_rows {
    struct gpu_usage_process *row;
    size_t count, capacity;
};

/* 0 or -ENOMEM. */
int usage_rows_add(struct usage_rows *rows, const struct gpu_usage_process *row);
/* What to do with rows of the same process and device. */
enum usage_merge {
    USAGE_SUM, /* they are parts */
    USAGE_MAX, /* they tell the same thing */
};
/* Sorts by device, then pid, and leaves one row for each pair. An amount that is not
 * known gives way to one that is. */
void usage_rows_merge(struct usage_rows *rows, enum usage_merge merge);
/* Leaves at most `most` rows: those that use most memory; an amount that is not known
 * is the least. Keeps the order. Returns how many had to go. */
size_t usage_rows_cut(struct usage_rows *rows, size_t most);
/* NULL: it is not there. The rows must be merged. */
struct gpu_usage_process *usage_rows_find(const struct usage_rows *rows, uint32_t device,
                                          int32_t pid);
void usage_rows_free(struct usage_rows *rows);

#endif
