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

/* Something else that a device has, over time. */
struct placement_beside {
    struct timeline *timeline;
    int64_t room;
    int64_t own; /* as of the site; 0 where that of the site is */
};
#define PLACEMENT_BESIDES 2

/* A device that may be taken. */
struct placement_site {
    struct timeline *timeline;
    int64_t room; /* largest value at which the share still fits: the device less the share */
    /* If the request is promised this share already, and is to move forward: its size, and since
     * when; before_ns is not later. Its own promise is not in its way. */
    int64_t own, own_ns;
    int64_t memory; /* of the device; for PLACEMENT_SPREAD */
    bool preferred; /* taken before those that are not */
    struct placement_beside beside[PLACEMENT_BESIDES];
    uint32_t beside_count;
};

/* Which of the sites with room at the same moment are taken. Numbers are those of the words of
 * config/placement. */
enum placement_rule {
    PLACEMENT_PACK,   /* those with the least memory left at their busiest moment */
    PLACEMENT_SPREAD, /* those with the smallest part taken then; but one that is all free only if
                       * no other has room, or if more than two are */
};
/* So many sites that are all free count as few. */
#define PLACEMENT_FEW 2

/* What a site would be like with the share, at its busiest moment. */
struct placement_offer {
    int64_t left;   /* memory left */
    int64_t memory; /* of the device */
    bool free;      /* without the share, all of it */
    bool preferred;
};
/* Whether `a` is to be taken before `b`. `few_free`: at most PLACEMENT_FEW offers are all free. */
bool placement_is_better(enum placement_rule rule, bool few_free, const struct placement_offer *a,
                         const struct placement_offer *b);

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
    enum placement_rule rule;
};

/* The earliest moment >= from_ns and < before_ns; TIMELINE_NEVER if there is none. The indices of
 * the sites to take go to ret_sites, ascending: of those that have room then, the ones that the
 * rule says, the lowest index first. */
int64_t placement_earliest(const struct placement *placement, uint32_t *ret_sites);

#endif
