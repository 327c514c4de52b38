/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search over several step functions: ask each for its earliest moment, go on from the latest
 * of the answers, until all agree. No start can lie between, so the result is exact (Veldhuizen's
 * leapfrog join, with time as the key).
 */
#include "placement.h"

/* Most sites that a request can take. */
#define TAKE_MAX 64

static int64_t site_earliest(const struct placement *placement, uint32_t i, int64_t from_ns,
                             int64_t before_ns)
{
    const struct placement_site *site = &placement->sites[i];

    return timeline_earliest(site->timeline, from_ns, before_ns, placement->duration_ns,
                             site->room);
}

/* The first moment from which at least `take` sites have had their earliest one. */
static int64_t sites_earliest(const struct placement *placement, int64_t from_ns)
{
    int64_t first_ns[TAKE_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < placement->site_count; i++) {
        bool full = count == placement->take;
        int64_t at_ns =
            site_earliest(placement, i, from_ns, full ? first_ns[count - 1] : placement->before_ns);
        uint32_t place = full ? count - 1 : count;

        if (at_ns == TIMELINE_NEVER)
            continue;
        for (; place > 0 && first_ns[place - 1] > at_ns; place--)
            first_ns[place] = first_ns[place - 1];
        first_ns[place] = at_ns;
        count += !full;
        if (count == placement->take && first_ns[count - 1] == from_ns)
            break;
    }
    return count == placement->take ? first_ns[count - 1] : TIMELINE_NEVER;
}

/* Choose the sites with room at this moment that fit best. */
static void choose(const struct placement *placement, int64_t at_ns, uint32_t *ret_sites)
{
    int64_t left[TAKE_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < placement->site_count; i++) {
        const struct placement_site *site = &placement->sites[i];
        int64_t rest = site->room - timeline_peak(site->timeline, at_ns,
                                                  timeline_later(at_ns, placement->duration_ns));
        bool full = count == placement->take;
        uint32_t place = full ? count - 1 : count;

        if (rest < 0 || (full && rest >= left[place]))
            continue;
        for (; place > 0 && left[place - 1] > rest; place--) {
            left[place] = left[place - 1];
            ret_sites[place] = ret_sites[place - 1];
        }
        left[place] = rest;
        ret_sites[place] = i;
        count += !full;
    }
    for (uint32_t i = 1; i < count; i++) {
        uint32_t site = ret_sites[i], place = i;

        for (; place > 0 && ret_sites[place - 1] > site; place--)
            ret_sites[place] = ret_sites[place - 1];
        ret_sites[place] = site;
    }
}

int64_t placement_earliest(const struct placement *placement, uint32_t *ret_sites)
{
    int64_t at_ns = placement->from_ns;

    if (placement->take == 0 || placement->take > TAKE_MAX ||
        placement->take > placement->site_count)
        return TIMELINE_NEVER;
    for (;;) {
        int64_t next_ns = sites_earliest(placement, at_ns);

        for (uint32_t i = 0; i < placement->limit_count && next_ns < placement->before_ns; i++)
            next_ns = placement->limits[i].earliest(placement->limits[i].context, next_ns,
                                                    placement->before_ns, placement->duration_ns);
        if (next_ns >= placement->before_ns)
            return TIMELINE_NEVER;
        if (next_ns == at_ns)
            break;
        at_ns = next_ns;
    }
    choose(placement, at_ns, ret_sites);
    return at_ns;
}
