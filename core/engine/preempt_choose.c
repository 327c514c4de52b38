/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which leases make room for a high request: on each device the fewest, and of these sets the one
 * that began last; then the best devices. Nothing is changed.
 */
#include "preempt.h"

#include <errno.h>
#include <stdlib.h>

#define CANDIDATES_MAX 64 /* leases of a device that are considered: those that began last */

/* -- victims on one device ------------------------------------------------------- */

/* Leases of a device that can be taken, those that began last first. */
struct candidates {
    uint32_t count;
    struct {
        struct entry *entry;
        int64_t bytes, end_ns;
    } of[CANDIDATES_MAX];
    /* The time of the request, divided at their ends, latest part first: since when, and how much
     * is missing at the busiest moment if none is taken. */
    uint32_t part_count;
    struct {
        int64_t from_ns, missing;
    } part[CANDIDATES_MAX + 1];
};

/* The victims that a device needs. */
struct offer {
    struct share share;
    uint32_t count;
    struct entry *victims[CANDIDATES_MAX];
};

static int64_t bytes_on(const struct partition *partition, uint32_t device)
{
    for (uint32_t i = 0; i < partition->share_count; i++) {
        if (partition->shares[i].device == device)
            return (int64_t)partition->shares[i].memory_bytes;
    }
    return 0;
}

static void list(const struct engine *engine, uint32_t device, int64_t now_ns,
                 struct candidates *ret)
{
    struct avl *low = &engine->devices[device].low;

    ret->count = 0;
    for (struct avl_node *node = avl_first(low); node && ret->count < CANDIDATES_MAX;
         node = avl_after(low, node)) {
        struct entry *entry = queue_entry_of_low(node);

        if (entry->waiter->record.spared_ns > now_ns || entry->partition.end_ns <= now_ns)
            continue;
        ret->of[ret->count].entry = entry;
        ret->of[ret->count].bytes = bytes_on(&entry->partition, device);
        ret->of[ret->count++].end_ns = entry->partition.end_ns;
    }
}

/* Divide [now_ns, until_ns) where candidates end. */
static void divide(const struct engine *engine, uint32_t device, int64_t room, int64_t now_ns,
                   int64_t until_ns, struct candidates *all)
{
    uint32_t count = 0;

    all->part[count++].from_ns = now_ns;
    for (uint32_t i = 0; i < all->count; i++) {
        uint32_t at = count;

        if (all->of[i].end_ns >= until_ns)
            continue;
        for (; at > 0 && all->part[at - 1].from_ns < all->of[i].end_ns; at--)
            all->part[at] = all->part[at - 1];
        all->part[at].from_ns = all->of[i].end_ns;
        count++;
    }
    for (uint32_t i = 0; i < count; i++)
        all->part[i].missing =
            timeline_peak(&engine->devices[device].timeline, all->part[i].from_ns,
                          i == 0 ? until_ns : all->part[i - 1].from_ns) -
            room;
    all->part_count = count;
}

/* Return how many have to be taken in all if those in `taken` are; more than `most`: too many. From
 * the end on, the largest that is still there is as good as any other at all earlier moments. */
static uint32_t count_needed(const struct candidates *all, const bool *taken, uint32_t most)
{
    bool used[CANDIDATES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < all->count; i++)
        count += used[i] = taken[i];
    for (uint32_t part = 0; part < all->part_count; part++) {
        int64_t missing = all->part[part].missing;

        for (uint32_t i = 0; i < all->count; i++)
            missing -=
                used[i] && all->of[i].end_ns > all->part[part].from_ns ? all->of[i].bytes : 0;
        while (missing > 0 && count <= most) {
            uint32_t best = all->count;

            for (uint32_t i = 0; i < all->count; i++) {
                if (!used[i] && all->of[i].end_ns > all->part[part].from_ns &&
                    (best == all->count || all->of[i].bytes > all->of[best].bytes))
                    best = i;
            }
            if (best == all->count)
                return UINT32_MAX;
            used[best] = true;
            missing -= all->of[best].bytes;
            count++;
        }
    }
    return count;
}

/* Find the fewest victims on a device, and of these sets the one that began last. False: all
 * together are not enough. */
static bool make_offer(const struct engine *engine, struct share share, int64_t now_ns,
                       int64_t until_ns, struct offer *ret)
{
    uint64_t memory = engine->devices[share.device].device.memory_bytes;
    bool taken[CANDIDATES_MAX] = {false};
    struct candidates all;

    list(engine, share.device, now_ns, &all);
    divide(engine, share.device, (int64_t)(memory - share.memory_bytes), now_ns, until_ns, &all);
    uint32_t count = count_needed(&all, taken, all.count);
    if (count > all.count)
        return false;
    *ret = (struct offer){.share = share};
    for (uint32_t i = 0; i < all.count && ret->count < count; i++) {
        taken[i] = true;
        if (count_needed(&all, taken, count) <= count)
            ret->victims[ret->count++] = all.of[i].entry;
        else
            taken[i] = false;
    }
    return true;
}

/* -- devices ---------------------------------------------------------------------- */

static bool began_later(const struct partition *a, const struct partition *b)
{
    return a->start_ns != b->start_ns ? a->start_ns > b->start_ns : a->id > b->id;
}

static bool is_better(const struct offer *a, const struct offer *b)
{
    if (a->count != b->count)
        return a->count < b->count;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->victims[i] != b->victims[i])
            return began_later(&a->victims[i]->partition, &b->victims[i]->partition);
    }
    return false;
}

/* Keep the best offers, as many as there are shares. */
static void keep_best(struct offer *offers, uint32_t *count, uint32_t most,
                      const struct offer *offer)
{
    uint32_t at = *count;

    if (*count == most && !is_better(offer, &offers[most - 1]))
        return;
    at -= *count == most;
    for (; at > 0 && is_better(offer, &offers[at - 1]); at--)
        offers[at] = offers[at - 1];
    offers[at] = *offer;
    *count += *count < most;
}

static void add_victims(struct preemption *preemption, const struct offer *offer)
{
    for (uint32_t i = 0; i < offer->count; i++) {
        uint32_t at = 0;

        while (at < preemption->count && preemption->victims[at].entry != offer->victims[i])
            at++;
        if (at == preemption->count && at < PREEMPT_VICTIMS_MAX)
            preemption->victims[preemption->count++].entry = offer->victims[i];
    }
}

int preempt_choose(struct engine *engine, const struct waiting *waiting, int64_t now_ns,
                   struct preemption *preemption, bool *ret_found)
{
    struct partition *high = &preemption->high, ask = *high;
    struct offer *offers = calloc(high->share_count + (size_t)1, sizeof(*offers));
    uint32_t count = 0, victims = 0;

    *ret_found = false;
    if (!offers)
        return -ENOMEM;
    struct offer *offer = &offers[high->share_count];
    ask.state = PARTITION_ACTIVE;
    ask.id = 0; /* nothing that is promised to it counts as its own */
    uint32_t sites = plan_gather(engine, &ask, waiting, ENGINE_DEVICE_ANY);
    for (uint32_t i = 0; i < sites; i++) {
        if (make_offer(engine, engine->site_shares[i], now_ns,
                       timeline_later(now_ns, high->end_ns - high->start_ns), offer))
            keep_best(offers, &count, high->share_count, offer);
    }
    for (uint32_t i = 0; count == high->share_count && i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && high->shares[at - 1].device > offers[i].share.device; at--)
            high->shares[at] = high->shares[at - 1];
        high->shares[at] = offers[i].share;
        victims += offers[i].count;
        add_victims(preemption, &offers[i]);
    }
    *ret_found = victims > 0 && victims <= PREEMPT_VICTIMS_MAX;
    free(offers);
    return 0;
}
