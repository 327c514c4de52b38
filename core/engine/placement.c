/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search over several step functions: ask each for its earliest moment, go on from the latest
 * of the answers, until all agree. No start can lie between, so the result is exact (Veldhuizen's
 * leapfrog join, with time as the key).
 */
#include "placement.h"

#include "core/base/wide.h"

/* Most sites that a request can take. */
#define TAKE_MAX 64

/* When one thing that a site has is free. */
static int64_t one_earliest(const struct placement *placement, struct timeline *timeline,
                            int64_t room, int64_t own, int64_t own_ns, int64_t from_ns,
                            int64_t before_ns)
{
    if (own == 0)
        return timeline_earliest(timeline, from_ns, before_ns, placement->duration_ns, room);
    int64_t at_ns = timeline_earlier(timeline, from_ns, own_ns, placement->duration_ns, room);
    return at_ns < before_ns ? at_ns : TIMELINE_NEVER;
}

/* When all that a site has is free: as for several sites. */
static int64_t site_earliest(const struct placement *placement, uint32_t i, int64_t from_ns,
                             int64_t before_ns)
{
    const struct placement_site *site = &placement->sites[i];
    int64_t at_ns = from_ns;

    do {
        from_ns = at_ns = one_earliest(placement, site->timeline, site->room, site->own,
                                       site->own_ns, at_ns, before_ns);
        for (uint32_t k = 0; k < site->beside_count && at_ns != TIMELINE_NEVER; k++) {
            const struct placement_beside *beside = &site->beside[k];

            at_ns = one_earliest(placement, beside->timeline, beside->room, beside->own,
                                 site->own_ns, at_ns, before_ns);
        }
    } while (at_ns != from_ns && at_ns != TIMELINE_NEVER);
    return at_ns;
}

/* What is left on a site at its busiest moment; negative: there is no room. */
static int64_t left_on(const struct placement_site *site, int64_t from_ns, int64_t until_ns)
{
    bool overlaps = site->own > 0 && until_ns > site->own_ns;
    int64_t before =
        site->room - timeline_peak(site->timeline, from_ns, overlaps ? site->own_ns : until_ns);

    if (!overlaps)
        return before;
    int64_t within = site->room + site->own - timeline_peak(site->timeline, site->own_ns, until_ns);
    return before < within ? before : within;
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

bool placement_is_better(enum placement_rule rule, bool few_free, const struct placement_offer *a,
                         const struct placement_offer *b)
{
    if (a->preferred != b->preferred)
        return a->preferred;
    if (rule == PLACEMENT_PACK)
        return a->left < b->left;
    if (few_free && a->free != b->free)
        return b->free;
    return (wide)a->left * b->memory > (wide)b->left * a->memory;
}

static struct placement_offer offer_of(const struct placement *placement, uint32_t i, int64_t at_ns)
{
    const struct placement_site *site = &placement->sites[i];
    int64_t left = left_on(site, at_ns, timeline_later(at_ns, placement->duration_ns));

    return (struct placement_offer){.left = left,
                                    .memory = site->memory,
                                    .free = left >= 0 && left == site->room,
                                    .preferred = site->preferred};
}

/* Return whether few sites are all free. */
static bool few_are_free(const struct placement *placement, int64_t at_ns)
{
    uint32_t count = 0;

    if (placement->rule == PLACEMENT_PACK)
        return false;
    for (uint32_t i = 0; i < placement->site_count && count <= PLACEMENT_FEW; i++)
        count += offer_of(placement, i, at_ns).free;
    return count <= PLACEMENT_FEW;
}

/* Choose the sites with room at this moment that fit best. */
static void choose(const struct placement *placement, int64_t at_ns, uint32_t *ret_sites)
{
    struct placement_offer taken[TAKE_MAX];
    bool few_free = few_are_free(placement, at_ns);
    uint32_t count = 0;

    for (uint32_t i = 0; i < placement->site_count; i++) {
        const struct placement_offer offer = offer_of(placement, i, at_ns);
        uint32_t place = count;

        if (offer.left < 0)
            continue;
        while (place > 0 &&
               placement_is_better(placement->rule, few_free, &offer, &taken[place - 1]))
            place--;
        if (place == placement->take)
            continue;
        count += count < placement->take;
        for (uint32_t j = count - 1; j > place; j--) {
            taken[j] = taken[j - 1];
            ret_sites[j] = ret_sites[j - 1];
        }
        taken[place] = offer;
        ret_sites[place] = i;
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
