/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory promised over time on one device, as a step function. Each promise owns two points: memory
 * goes up at its start and down at its end. The value at a moment is the sum of all points up to
 * and including it. It must not know partitions or devices.
 *
 * A search passes gaps that are too short. So that it need not look at each of them, a point can
 * have room for runs: for each of some levels, how long the value stays at or below the level
 * somewhere among the points below it in the tree. Runs are only hints. They are worked out when a
 * search asks for them and are never needed for a right answer, so a point without them is merely
 * slower.
 */
#ifndef CHRONOS_ENGINE_TIMELINE_H
#define CHRONOS_ENGINE_TIMELINE_H

#include "core/base/avl.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_NEVER  INT64_MAX
#define TIMELINE_LEVELS 16

/* Of the times between the first and the last point of a subtree at which the value is not above a
 * level: how long the one at its head is, the one at its tail, and the longest. Rounded up. */
struct timeline_run {
    uint32_t head, tail, best;
    uint32_t whole; /* all of the subtree is one run */
};

struct timeline_runs {
    int64_t base;              /* value before the subtree, for which the runs hold */
    int64_t first_ns, last_ns; /* its first and last point */
    uint32_t levels;           /* version of the levels; 0: the runs are not worked out */
    bool complete;             /* all points of the subtree have runs */
    struct timeline_run at[TIMELINE_LEVELS];
};

/* One line of memory: a change of the tree looks at many. */
struct timeline_point {
    struct avl_node node; /* stale: so are its runs */
    int64_t at_ns;
    int64_t delta_bytes; /* not 0: up at the start of a promise, down at its end */
    /* of the subtree below this point, in order: sum of all deltas, and the maximum and minimum of
     * the running sum */
    int64_t sum, peak, dip;
};

struct timeline_promise {
    struct timeline_point start, end;
    uint64_t owner;             /* unique together with a moment and a sign */
    struct timeline_runs *runs; /* room for those of both points' subtrees, or NULL */
};

/* Levels for which there are runs: the limits that searches ask for most. */
struct timeline_levels {
    int64_t limit[TIMELINE_LEVELS];
    uint32_t used[TIMELINE_LEVELS]; /* how often */
    uint32_t count;
    uint32_t version; /* changes with each level */
    uint32_t missed;  /* searches with another limit since then */
};

struct timeline {
    struct avl points;
    uint32_t with_runs; /* points that have room for runs */
    struct timeline_levels levels;
};

void timeline_init(struct timeline *timeline);
/* Add `bytes` (> 0) over [start_ns, end_ns). The caller owns the promise and sets its runs. */
void timeline_add(struct timeline *timeline, struct timeline_promise *promise, uint64_t owner,
                  int64_t start_ns, int64_t end_ns, int64_t bytes);
/* Remove a promise. */
void timeline_remove(struct timeline *timeline, struct timeline_promise *promise);

int64_t timeline_value(const struct timeline *timeline, int64_t at_ns);
/* The maximum within [from_ns, until_ns); at least the value at from_ns. */
int64_t timeline_peak(const struct timeline *timeline, int64_t from_ns, int64_t until_ns);
/* The first change of the value after `after_ns`. */
bool timeline_next(const struct timeline *timeline, int64_t after_ns, int64_t *ret_at_ns,
                   int64_t *ret_value);
/* The first moment >= from_ns and < before_ns from which the value stays at or below `limit` for
 * `duration_ns`, at least 1; TIMELINE_NEVER if there is none. O(log n) where the limit is a level.
 */
int64_t timeline_earliest(struct timeline *timeline, int64_t from_ns, int64_t before_ns,
                          int64_t duration_ns, int64_t limit);
/* The same for a promise of the timeline itself that is to move forward: before its start, and as
 * if there were room from its start on. */
int64_t timeline_earlier(struct timeline *timeline, int64_t from_ns, int64_t start_ns,
                         int64_t duration_ns, int64_t limit);
/* The first moment after after_ns at which the value is above `limit`; TIMELINE_NEVER. */
int64_t timeline_exceeds(const struct timeline *timeline, int64_t after_ns, int64_t limit);
/* The first point of a subtree that lifts the value above `limit`; `base`: the value before it. */
const struct timeline_point *timeline_exceeds_within(const struct avl_node *node, int64_t base,
                                                     int64_t limit);
/* The number of promises that end at this moment or before. */
uint32_t timeline_ends_until(const struct timeline *timeline, int64_t at_ns);
/* The smallest owner of a promise that ends, or starts, at exactly this moment; 0 if none. */
uint64_t timeline_ends_at(const struct timeline *timeline, int64_t at_ns);
uint64_t timeline_starts_at(const struct timeline *timeline, int64_t at_ns);

static inline struct timeline_point *timeline_point_of(const struct avl_node *node)
{
    return (struct timeline_point *)(uintptr_t)avl_entry_const(node, struct timeline_point, node);
}

static inline const struct timeline_promise *timeline_promise_of(const struct timeline_point *point)
{
    return point->delta_bytes > 0 ? avl_entry_const(point, struct timeline_promise, start)
                                  : avl_entry_const(point, struct timeline_promise, end);
}

static inline int64_t timeline_sum_of(const struct avl_node *node)
{
    return node ? timeline_point_of(node)->sum : 0;
}

/* a + b for b >= 0, capped at INT64_MAX. */
int64_t timeline_later(int64_t a, int64_t b);

#endif
