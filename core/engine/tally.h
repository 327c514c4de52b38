/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tally: how much of the devices one holder is promised over time, as a step function with its
 * area. An amount goes up at its start and down at its end; each is a mark that the caller owns, so
 * that nothing is allocated. It must not know partitions, users or limits.
 */
#ifndef CHRONOS_ENGINE_TALLY_H
#define CHRONOS_ENGINE_TALLY_H

#include "core/base/avl.h"
#include "core/base/wide.h"

#include <stdint.h>

#define TALLY_NEVER INT64_MAX

typedef wide tally_wide __attribute__((aligned(8))); /* needs no gap before it */

struct tally_mark {
    struct avl_node node;
    int64_t at_ns;
    int64_t delta_ppm; /* not 0: up at a start, down at an end */
    /* of the subtree: sum of all deltas, maximum and minimum of the running sum, sum of delta x
     * time */
    int64_t sum, peak, dip;
    tally_wide moment;
};

struct tally {
    struct avl marks;
};

/* The start and the end of an amount. */
struct tally_span {
    struct tally_mark start, end;
    uint64_t owner; /* unique together with a moment and a sign */
};

void tally_init(struct tally *tally);
/* Add `ppm` over [start_ns, end_ns), start_ns < end_ns. The caller keeps the span. */
void tally_put(struct tally *tally, struct tally_span *span, uint64_t owner, int64_t start_ns,
               int64_t end_ns, uint64_t ppm);
void tally_take(struct tally *tally, struct tally_span *span);

int64_t tally_value(const struct tally *tally, int64_t at_ns);
/* Amount x time within [from_ns, until_ns), in ppm x ns. */
wide tally_area(const struct tally *tally, int64_t from_ns, int64_t until_ns);
/* The first moment >= from_ns with a value above `limit`, or (tally_within) not above it;
 * TALLY_NEVER if there is none. */
int64_t tally_above(const struct tally *tally, int64_t from_ns, int64_t limit);
int64_t tally_within(const struct tally *tally, int64_t from_ns, int64_t limit);
/* The greatest value within [from_ns, until_ns); at least the one at from_ns. */
int64_t tally_peak(const struct tally *tally, int64_t from_ns, int64_t until_ns);
/* The first moment >= from_ns from which the value stays at or below `limit` for `duration_ns`;
 * TALLY_NEVER if there is none. */
int64_t tally_earliest(const struct tally *tally, int64_t from_ns, int64_t duration_ns,
                       int64_t limit);
/* The first mark after `after_ns`; TALLY_NEVER. */
int64_t tally_next(const struct tally *tally, int64_t after_ns);
/* The last mark, from which on the value is 0; INT64_MIN if there is none. */
int64_t tally_last(const struct tally *tally);

#endif
