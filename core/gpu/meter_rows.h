/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of rows "this process uses so much of this device", as it grows while a
 * driver is read. It must not know where rows come from.
 */
#ifndef CHRONOS_GPU_METER_ROWS_H
#define CHRONOS_GPU_METER_ROWS_H

#include "meter.h"

/* All zero is an empty list; meter_rows_free ends it. */
struct meter_rows {
    struct gpu_usage_process *row;
    size_t count, room;
};

/* 0 or -ENOMEM. */
int meter_rows_add(struct meter_rows *rows, const struct gpu_usage_process *row);
/* What to do with rows of the same process and device. */
enum meter_merge {
    METER_SUM, /* they are parts */
    METER_MAX, /* they tell the same thing */
};
/* Sorts by device, then pid, and leaves one row for each pair. An amount that is not
 * known gives way to one that is. */
void meter_rows_merge(struct meter_rows *rows, enum meter_merge merge);
/* Leaves at most `most` rows: those that use most memory; an amount that is not known
 * is the least. Keeps the order. Returns how many had to go. */
size_t meter_rows_cut(struct meter_rows *rows, size_t most);
/* NULL: it is not there. The rows must be merged. */
struct gpu_usage_process *meter_rows_find(const struct meter_rows *rows, uint32_t device,
                                          int32_t pid);
void meter_rows_free(struct meter_rows *rows);

#endif
