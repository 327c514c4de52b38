/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where and when a request fits: the earliest moment at which enough of its sites have room for all
 * of its time and every other limit allows it. A gang is a request that takes several sites. It
 * must not know partitions or users.
 */
#ifndef CHRONOS_ENGINE_PLACEMENT_H
#define CHRONOS_ENGINE_PLACEMENT_H

#include "timeline.h"

/* A device that may be taken. */
struct placement_site {
    struct timeline *timeline;
    int64_t room; /* largest value at which the share still fits: the device less the share */
};

/* Another limit: return the first moment >= from_ns from which it allows `duration_ns`;
 * TIMELINE_NEVER if that is not before before_ns. */
typedef int64_t placement_limit_fn(void *context, int64_t from_ns, int64_t before_ns,
                                   int64_t duration_ns);
struct placement_limit {
    placement_limit_fn *earliest;
    void *context;
};

struct placement {
    const struct placement_site *sites;
    uint32_t site_count;
    uint32_t take; /* how many sites, at least 1 */
    const struct placement_limit *limits;
    uint32_t limit_count;
    int64_t from_ns, before_ns, duration_ns;
};

/* The earliest moment >= from_ns and < before_ns; TIMELINE_NEVER if there is none. The indices of
 * the sites to take go to ret_sites, ascending: of those that have room then, the ones with the
 * least memory left at their busiest moment, the lowest index first. */
int64_t placement_earliest(const struct placement *placement, uint32_t *ret_sites);

#endif
