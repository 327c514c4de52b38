/* SPDX-License-Identifier: Apache-2.0 */
/* Preemption in the naive plan: try all sets of victims, the smallest and latest first. */
#include "plan_reference.h"

#include <string.h>

/* Low leases on a device, those that began last first, and what is tried of them. */
struct set {
    const struct promise *lease[PLAN_PROMISES];
    bool taken[PLAN_PROMISES];
    size_t count;
};

static uint64_t bytes_on(const struct promise *promise, uint32_t device)
{
    for (uint32_t k = 0; k < promise->p.share_count; k++) {
        if (promise->p.shares[k].device == device)
            return promise->p.shares[k].memory_bytes;
    }
    return 0;
}

static bool began_later(const struct promise *a, const struct promise *b)
{
    return a->p.start_ns != b->p.start_ns ? a->p.start_ns > b->p.start_ns : a->p.id > b->p.id;
}

static void list(const struct plan *plan, uint32_t device, int64_t now_ns, struct set *set)
{
    memset(set, 0, sizeof(*set));
    for (size_t i = 0; i < plan->count; i++) {
        const struct promise *promise = &plan->promises[i];
        size_t at = set->count;

        if (promise->p.state == PARTITION_PENDING || promise->w.priority != PRIORITY_LOW ||
            promise->w.spared_ns > now_ns || promise->p.end_ns <= now_ns ||
            bytes_on(promise, device) == 0)
            continue;
        for (; at > 0 && began_later(promise, set->lease[at - 1]); at--)
            set->lease[at] = set->lease[at - 1];
        set->lease[at] = promise;
        set->count++;
    }
}

static bool fits(const struct plan *plan, const struct set *set, struct share share, int64_t now_ns,
                 int64_t until_ns)
{
    for (int64_t at_ns = now_ns; at_ns < until_ns; at_ns += NS_PER_SECOND) {
        uint64_t used = plan_promised(plan, share.device, at_ns, 0);

        for (size_t i = 0; i < set->count; i++) {
            if (set->taken[i] && set->lease[i]->p.end_ns > at_ns)
                used -= bytes_on(set->lease[i], share.device);
        }
        if (used + share.memory_bytes > plan->devices[share.device].memory_bytes)
            return false;
    }
    return true;
}

/* Take `more` of those from `first` on. */
static bool take(const struct plan *plan, struct set *set, struct share share, int64_t now_ns,
                 int64_t until_ns, size_t first, size_t more)
{
    if (more == 0)
        return fits(plan, set, share, now_ns, until_ns);
    for (size_t i = first; i + more <= set->count; i++) {
        set->taken[i] = true;
        if (take(plan, set, share, now_ns, until_ns, i + 1, more - 1))
            return true;
        set->taken[i] = false;
    }
    return false;
}

struct offer {
    struct share share;
    struct set set;
    size_t count;
};

static bool is_better(const struct offer *a, const struct offer *b)
{
    size_t i = 0, k = 0;

    if (a->count != b->count)
        return a->count < b->count;
    for (size_t n = 0; n < a->count; n++, i++, k++) {
        while (!a->set.taken[i])
            i++;
        while (!b->set.taken[k])
            k++;
        if (a->set.lease[i] != b->set.lease[k])
            return began_later(a->set.lease[i], b->set.lease[k]);
    }
    return a->share.device < b->share.device;
}

static bool offer_of(const struct plan *plan, const struct promise *promise, uint32_t device,
                     int64_t now_ns, struct offer *offer)
{
    int64_t until_ns = now_ns + promise->p.end_ns - promise->p.start_ns;

    memset(offer, 0, sizeof(*offer));
    offer->share =
        (struct share){.device = device, .memory_bytes = plan_bytes_on(plan, promise, device)};
    if (offer->share.memory_bytes == 0)
        return false;
    list(plan, device, now_ns, &offer->set);
    if (offer->set.count > 10)
        return false; /* not tried; see the caller */
    for (; offer->count <= offer->set.count; offer->count++) {
        if (take(plan, &offer->set, offer->share, now_ns, until_ns, 0, offer->count))
            return true;
    }
    return false;
}

/* Whether `promise` can start now without the victims, and they have places after that. */
static bool replace(struct plan *plan, struct promise *promise, const struct share *shares,
                    uint64_t *victims, size_t count, int64_t now_ns, int64_t spared_ns)
{
    int64_t time_ns = promise->p.end_ns - promise->p.start_ns;
    struct partition was[PLAN_PROMISES];

    for (size_t i = 0; i < count; i++) {
        struct promise *victim = plan_find(plan, victims[i]);

        was[i] = victim->p;
        victim->p.share_count = 0; /* not there */
    }
    struct promise there = *promise;
    there.w.anywhere = false;
    memcpy(there.p.shares, shares, sizeof(there.p.shares));
    if (!plan_earliest(plan, &there, now_ns, now_ns + 1, UINT32_MAX))
        return false;
    promise->p.start_ns = now_ns;
    promise->p.end_ns = now_ns + time_ns;
    promise->p.state = PARTITION_ACTIVE;
    memcpy(promise->p.shares, there.p.shares, sizeof(there.p.shares));
    plan->promises[plan->count++] = *promise;
    for (size_t i = 0; i < count; i++) {
        struct promise *victim = plan_find(plan, victims[i]);
        struct promise rest = *victim;

        rest.p = was[i];
        rest.p.start_ns = now_ns;
        if (!plan_earliest(plan, &rest, now_ns, ENGINE_FOREVER, UINT32_MAX))
            return false;
        rest.p.state = PARTITION_PENDING;
        rest.w.promised_ns = rest.p.start_ns + plan->slack * (rest.p.start_ns - now_ns);
        rest.w.give_up_ns = ENGINE_FOREVER;
        rest.w.fixed = false;
        rest.w.spared_ns = spared_ns;
        *victim = rest;
    }
    plan->reorder_due = true;
    for (size_t i = 0; i < count; i++)
        plan_mark(plan, &was[i], now_ns);
    plan->preempted += count;
    return true;
}

static void sort_by_arrival(struct plan *plan, uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i; k > 0; k--) {
            const struct promise *a = plan_find(plan, ids[k - 1]), *b = plan_find(plan, ids[k]);
            uint64_t id = ids[k];

            if (a->w.asked_ns < b->w.asked_ns ||
                (a->w.asked_ns == b->w.asked_ns && a->p.id < b->p.id))
                break;
            ids[k] = ids[k - 1];
            ids[k - 1] = id;
        }
    }
}

bool plan_preempt(struct plan *plan, struct promise *promise, int64_t now_ns, int64_t spared_ns)
{
    static struct offer offers[PLAN_DEVICES];
    struct share shares[SHARE_MAX] = {{0}};
    uint64_t victims[PLAN_PROMISES];
    size_t count = 0, victim_count = 0;
    const struct plan before = *plan;
    const struct promise asked = *promise;

    for (uint32_t i = 0; i < plan->device_count; i++) {
        struct offer offer;
        size_t at = count;

        if (!offer_of(plan, promise, i, now_ns, &offer))
            continue;
        for (; at > 0 && is_better(&offer, &offers[at - 1]); at--)
            offers[at] = offers[at - 1];
        offers[at] = offer;
        count++;
    }
    if (count < promise->p.share_count)
        return false;
    for (size_t i = 0; i < promise->p.share_count; i++) {
        size_t at = i;

        for (; at > 0 && shares[at - 1].device > offers[i].share.device; at--)
            shares[at] = shares[at - 1];
        shares[at] = offers[i].share;
        for (size_t k = 0; k < offers[i].set.count; k++) {
            uint64_t id = offers[i].set.lease[k]->p.id;
            size_t n = 0;

            while (n < victim_count && victims[n] != id)
                n++;
            if (offers[i].set.taken[k] && n == victim_count)
                victims[victim_count++] = id;
        }
    }
    sort_by_arrival(plan, victims, victim_count);
    if (victim_count > 0 &&
        replace(plan, promise, shares, victims, victim_count, now_ns, spared_ns))
        return true;
    *plan = before;
    *promise = asked;
    return false;
}
