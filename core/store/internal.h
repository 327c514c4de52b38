/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the adapters of the store port: the table of functions behind a struct store, and rules
 * that hold for every adapter.
 */
#ifndef CHRONOS_STORE_INTERNAL_H
#define CHRONOS_STORE_INTERNAL_H

#include "core/base/array.h"
#include "core/base/line.h"
#include "store.h"

/* Interval between prunings of the history: not at every commit. */
#define STORE_PRUNE_EVERY_NS (3600 * INT64_C(1000000000))
/* Rows of each table to drop in one commit at most, to keep it short. */
#define STORE_PRUNE_ROWS 1000
/* Write the wall clock offset again only if it moved by more than this. */
#define STORE_CLOCK_SLACK_NS INT64_C(1000000)

/* Large enough for any date; the sum of two still fits. */
#define STORE_TIME_MAX ENGINE_TIME_MAX
/* Larger than CLOCK_BOOTTIME ever is; a time plus a shift between two of them fits, too. */
#define STORE_UPTIME_MAX (INT64_C(1) << 60)

struct store_ops {
    int (*load)(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, struct message *message);
    int (*devices)(struct store *store, const struct store_device *devices, uint32_t count,
                   struct message *message);
    int (*commit)(struct store *store, const struct store_batch *batch, struct message *message);
    void (*settle)(struct store *store);
    int (*copy)(struct store *store, struct store_copy **ret_copy, struct message *message);
    void (*close)(struct store *store);
};

/* First member of each adapter's own struct. */
struct store {
    const struct store_ops *ops;
};

/* Return whether a label has only characters that the request grammar allows. */
bool store_label_fits(const char *label);

/* Return whether the event is a note that changes the change_seq of a partition. */
bool store_note_moves(const struct engine_event *event);

/* Return whether it can be the record of a partition that waits. */
bool store_waiting_fits(const struct partition *p, const struct waiting *waiting);

/* Return whether it can be a record of usage: sums far below what a number can hold. */
bool store_record_fits(const struct usage_record *record);

/* Return whether the clock must be written again. */
bool store_clock_differs(const struct store_clock *known, const struct store_clock *now);

/* Compute the wall clock time before which ended partitions are dropped. False: drop nothing,
 * because history is kept forever or no event provides the time. A wall clock that was set ahead
 * since the start does not make anything older: at most a day more than calendar_offset_ns says. */
bool store_prune_before(const struct store_batch *batch, int64_t calendar_offset_ns,
                        int64_t *ret_now_ns, int64_t *ret_before_wall_ns);

#endif
