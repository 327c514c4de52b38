/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the adapters of the store port share: the table of functions behind a
 * struct store, and the few rules that hold for every kind.
 */
#ifndef CHRONOS_STORE_PRIVATE_H
#define CHRONOS_STORE_PRIVATE_H

#include "core/base/array.h"
#include "core/base/line.h"
#include "store.h"

/* Drop history so often, not at each commit. */
#define STORE_PRUNE_EVERY_NS (3600 * INT64_C(1000000000))
/* Drop at most so many rows of each table in one commit, to keep it short. */
#define STORE_PRUNE_ROWS 1000
/* Write the offset of the wall clock again when it moved by more. */
#define STORE_CLOCK_SLACK_NS INT64_C(1000000)

/* Far enough for any date, and sums of two of them still fit. */
#define STORE_TIME_MAX (INT64_C(1) << 62)

struct store_ops {
    int (*load)(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, struct message *message);
    int (*devices)(struct store *store, const struct store_device *devices, uint32_t count,
                   struct message *message);
    int (*commit)(struct store *store, const struct store_batch *batch, struct message *message);
    void (*close)(struct store *store);
};

/* The first member of every adapter's own struct. */
struct store {
    const struct store_ops *ops;
};

/* A partition's label: the characters that the request grammar allows. */
bool store_label_fits(const char *label);

/* Whether the event is a note that moves the change_seq of a partition. */
bool store_note_moves(const struct engine_event *event);

/* Whether to write the clock again. */
bool store_clock_differs(const struct store_clock *known, const struct store_clock *now);

/* The wall clock time before which ended partitions are dropped. False: drop nothing,
 * because history is kept for ever or no event carries the time. */
bool store_prune_before(const struct store_batch *batch, int64_t *ret_now_ns,
                        int64_t *ret_before_wall_ns);

#endif
