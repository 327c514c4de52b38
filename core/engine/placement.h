/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where and when a request fits: the earliest moment at which enough of its sites have room for all
 * of its time and every other limit allows it. A gang is a request that takes several sites. It
 * must not know partitions or users.
 */
#ifndef CHRONOS_ENGINE_PLACEMENT_H
#define CHRONOS_ENGINE_PLACEMENT_H

#include "timeline.h"

#include <stdbool.h>

/* A device that may be taken. */
struct placement_site {
    struct timeline *timeline;
    int64_t room;   /* largest value at which the share still fits: the device less the share */
    int64_t size;   /* all of the device */
    bool preferred; /* taken before others that offer the same moment */
    /* If the request is promised this share already, and is to move forward: its size, and since
     * when; before_ns is not later. Its own promise is not in its way. */
    int64_t own, own_ns;
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
    bool spread;   /* take the least loaded, not the one that fits best */
    const struct placement_limit *limits;
    uint32_t limit_count;
    int64_t from_ns, before_ns, duration_ns;
};

/* The earliest moment >= from_ns and < before_ns; TIMELINE_NEVER if there is none. The indices of
 * the sites to take go to ret_sites, ascending: of those that have room then, preferred ones first,
 * and of these the ones with the least memory left at their busiest moment. With `spread`, the ones
 * with the largest part left; but one with nothing on it only if it is one of three or more, or no
 * other has room. Then the lowest index. */
int64_t placement_earliest(const struct placement *placement, uint32_t *ret_sites);

#endif
