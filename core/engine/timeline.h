/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step function of memory promised over time on one device. Each promise
 * owns two points: at its start the memory goes up, at its end it goes down
 * again. The value at a moment is the sum of all points up to and including it.
 * It knows numbers and moments, not partitions or devices.
 */
#ifndef CHRONOS_ENGINE_TIMELINE_H
#define CHRONOS_ENGINE_TIMELINE_H

#include "core/base/avl.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_NEVER INT64_MAX

struct timeline_point {
    struct avl_node node;
    uint64_t owner; /* whose point it is; with at_ns and the sign it is unique */
    int64_t at_ns;
    int64_t delta_bytes;
    /* of the subtree below this point, in order: the sum of all deltas, and the
     * greatest and the least sum on the way there */
    int64_t sum, peak, dip;
};

struct timeline {
    struct avl points;
};

void timeline_init(struct timeline *timeline);
/* Adds `bytes` over [start_ns, end_ns) with two points that the caller owns. */
void timeline_add(struct timeline *timeline, struct timeline_point *start,
                  struct timeline_point *end, uint64_t owner, int64_t start_ns, int64_t end_ns,
                  int64_t bytes);
/* Takes a promise out again. */
void timeline_remove(struct timeline *timeline, struct timeline_point *start,
                     struct timeline_point *end);

int64_t timeline_value(const struct timeline *timeline, int64_t at_ns);
/* The greatest value within [from_ns, until_ns); at least the value at from_ns. */
int64_t timeline_peak(const struct timeline *timeline, int64_t from_ns, int64_t until_ns);
/* The first change of the value after `after_ns`. */
bool timeline_next(const struct timeline *timeline, int64_t after_ns, int64_t *ret_at_ns,
                   int64_t *ret_value);
/* The first moment >= from_ns from which the value stays at or below `limit` for
 * `duration_ns`; TIMELINE_NEVER when there is none. */
int64_t timeline_earliest(const struct timeline *timeline, int64_t from_ns, int64_t duration_ns,
                          int64_t limit);
/* The least owner of a promise that ends at exactly this moment; 0 none. */
uint64_t timeline_ends_at(const struct timeline *timeline, int64_t at_ns);

/* a + b for b >= 0, not above INT64_MAX. */
int64_t timeline_later(int64_t a, int64_t b);

#endif
