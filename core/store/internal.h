/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the adapters of the store port share: the table of functions behind a
 * struct store, and the few rules that hold for every kind.
 */
#ifndef CHRONOS_STORE_PRIVATE_H
#define CHRONOS_STORE_PRIVATE_H

#include "store.h"

/* History is dropped when this much time went by, not at each commit. */
#define STORE_PRUNE_EVERY_NS (3600 * INT64_C(1000000000))
/* A commit drops at most so many rows of each table: it must stay short. */
#define STORE_PRUNE_ROWS 1000
/* The offset of the wall clock is written again when it moved by more. */
#define STORE_CLOCK_SLACK_NS INT64_C(1000000)

/* Far enough for any date, and sums of two of them still fit. */
#define STORE_TIME_MAX (INT64_C(1) << 62)

struct store_ops {
    int (*load)(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, char *message, size_t size);
    int (*devices)(struct store *store, const struct store_device *devices, uint32_t count,
                   char *message, size_t size);
    int (*commit)(struct store *store, const struct store_batch *batch, char *message, size_t size);
    void (*close)(struct store *store);
};

/* The first member of every adapter's own struct. */
struct store {
    const struct store_ops *ops;
};

/* One printable line (UTF-8 passes) of at least `min` and less than `size` bytes. */
bool store_line_fits(const char *text, size_t min, size_t size);
/* A partition's label: the characters that the request grammar allows. */
bool store_label_fits(const char *label);

/* Whether the event is a note that moves the change_seq of a partition. */
bool store_note_moves(const struct engine_event *event);

/* Whether the clock has to be written again. */
bool store_clock_differs(const struct store_clock *known, const struct store_clock *now);

/* The moment up to which ended partitions may be forgotten, wall clock. False
 * when nothing is to be dropped: kept for ever, or no event tells the time. */
bool store_prune_before(const struct store_batch *batch, int64_t *ret_now_ns,
                        int64_t *ret_before_wall_ns);

#endif
