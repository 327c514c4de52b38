/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory promised over time on one device, as a step function. Each promise owns two points: memory
 * goes up at its start and down at its end. The value at a moment is the sum of all points up to
 * and including it. It must not know partitions or devices.
 */
#ifndef CHRONOS_ENGINE_TIMELINE_H
#define CHRONOS_ENGINE_TIMELINE_H

#include "core/base/avl.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_NEVER INT64_MAX

struct timeline_point {
    struct avl_node node;
    uint64_t owner; /* owner of the point; unique together with at_ns and the sign */
    int64_t at_ns;
    int64_t delta_bytes;
    /* of the subtree below this point, in order: sum of all deltas, and the maximum and minimum of
     * the running sum */
    int64_t sum, peak, dip;
};

struct timeline {
    struct avl points;
};

void timeline_init(struct timeline *timeline);
/* Add `bytes` over [start_ns, end_ns). The caller owns both points. */
void timeline_add(struct timeline *timeline, struct timeline_point *start,
                  struct timeline_point *end, uint64_t owner, int64_t start_ns, int64_t end_ns,
                  int64_t bytes);
/* Remove a promise. */
void timeline_remove(struct timeline *timeline, struct timeline_point *start,
                     struct timeline_point *end);

int64_t timeline_value(const struct timeline *timeline, int64_t at_ns);
/* The maximum within [from_ns, until_ns); at least the value at from_ns. */
int64_t timeline_peak(const struct timeline *timeline, int64_t from_ns, int64_t until_ns);
/* The first change of the value after `after_ns`. */
bool timeline_next(const struct timeline *timeline, int64_t after_ns, int64_t *ret_at_ns,
                   int64_t *ret_value);
/* The first moment >= from_ns from which the value stays at or below `limit` for `duration_ns`;
 * TIMELINE_NEVER if there is none. */
int64_t timeline_earliest(const struct timeline *timeline, int64_t from_ns, int64_t duration_ns,
                          int64_t limit);
/* The number of promises that end at this moment or before. */
uint32_t timeline_ends_until(const struct timeline *timeline, int64_t at_ns);
/* The smallest owner of a promise that ends at exactly this moment; 0 if none. */
uint64_t timeline_ends_at(const struct timeline *timeline, int64_t at_ns);

/* a + b for b >= 0, capped at INT64_MAX. */
int64_t timeline_later(int64_t a, int64_t b);

#endif
