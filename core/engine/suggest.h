/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions in place of a request that does not fit at a moment: less for the same time, or the
 * same for less time. Each, asked for at that moment, is accepted. It must not know partitions.
 */
#ifndef CHRONOS_ENGINE_SUGGEST_H
#define CHRONOS_ENGINE_SUGGEST_H

#include "quota.h"
#include "timeline.h"
#include "units.h"

/* A device that the request can go to. */
struct suggest_site {
    const struct timeline *timeline;
    uint64_t memory_bytes;
};

struct suggest {
    const struct suggest_site *sites;
    size_t site_count;
    uint32_t take;                   /* on how many of them at once: 1 to SHARE_MAX */
    const struct quota_scope *scope; /* NULL: no quota counts */
    int64_t start_ns;
};

/* The largest share of each device, in millionths, that can be had for duration_ns; at most
 * most_ppm, and 0 if there is none. Any smaller share can be had, too. */
uint32_t suggest_largest(const struct suggest *suggest, int64_t duration_ns, uint32_t most_ppm);
/* How long `amount` can be had, in whole seconds; at most most_ns, and 0 if not for a second. Any
 * shorter time is possible, too. */
int64_t suggest_longest(const struct suggest *suggest, const struct amount *amount,
                        int64_t most_ns);

#endif
