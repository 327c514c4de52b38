/* SPDX-License-Identifier: Apache-2.0 */
/* The naive plan of plan_reference.h: slow on purpose, and obvious. */
#include "plan_reference.h"

#include <string.h>

#define FILL (ENGINE_FOREVER - 1)
#define ALL  UINT32_MAX

struct promise *plan_find(struct plan *plan, uint64_t id)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->promises[i].p.id == id)
            return &plan->promises[i];
    }
    return NULL;
}

uint64_t plan_promised(const struct plan *plan, uint32_t device, int64_t at_ns, uint64_t but_id)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < plan->count; i++) {
        const struct partition *p = &plan->promises[i].p;

        for (uint32_t k = 0; p->id != but_id && k < p->share_count; k++) {
            if (p->shares[k].device == device && p->start_ns <= at_ns && at_ns < p->end_ns)
                sum += p->shares[k].memory_bytes;
        }
    }
    return sum;
}

static uint64_t peak(const struct plan *plan, uint32_t device, int64_t from_ns, int64_t until_ns,
                     uint64_t but_id)
{
    uint64_t most = plan_promised(plan, device, from_ns, but_id);

    for (size_t i = 0; i < plan->count; i++) {
        int64_t at_ns = plan->promises[i].p.start_ns;
        uint64_t value =
            at_ns > from_ns && at_ns < until_ns ? plan_promised(plan, device, at_ns, but_id) : 0;

        most = value > most ? value : most;
    }
    return most;
}

uint64_t plan_bytes_on(const struct plan *plan, const struct promise *promise, uint32_t device)
{
    uint64_t memory = plan->devices[device].memory_bytes, bytes = 0;

    if (!plan->devices[device].present)
        return 0;
    if (promise->w.anywhere) {
        if (!(promise->w.barred[0] >> device & 1))
            bytes = promise->w.amount.is_share
                        ? promise->w.amount.digits * memory / promise->w.amount.scale
                        : promise->w.amount.bytes;
    } else {
        for (uint32_t k = 0; k < promise->p.share_count; k++) {
            if (promise->p.shares[k].device == device)
                bytes = promise->p.shares[k].memory_bytes;
        }
    }
    return bytes <= memory ? bytes : 0;
}

bool plan_fits(const struct plan *plan, const struct promise *promise, int64_t at_ns, uint32_t only,
               struct share *ret_shares)
{
    int64_t end_ns = at_ns + promise->p.end_ns - promise->p.start_ns;
    bool taken[PLAN_DEVICES] = {false};

    if (promise->p.uid % 2 && at_ns / NS_PER_SECOND % plan->every_s != 0)
        return false;
    for (uint32_t n = 0; n < promise->p.share_count; n++) {
        uint64_t best_left = UINT64_MAX;
        uint32_t best = PLAN_DEVICES;

        for (uint32_t i = 0; i < plan->device_count; i++) {
            uint64_t bytes = plan_bytes_on(plan, promise, i);
            uint64_t used = peak(plan, i, at_ns, end_ns, promise->p.id);
            uint64_t memory = plan->devices[i].memory_bytes;

            if (!(only >> i & 1) || taken[i] || bytes == 0 || used + bytes > memory ||
                memory - used - bytes >= best_left)
                continue;
            best_left = memory - used - bytes;
            best = i;
        }
        if (best == PLAN_DEVICES)
            return false;
        taken[best] = true;
    }
    for (uint32_t i = 0; i < plan->device_count; i++) {
        if (taken[i])
            *ret_shares++ =
                (struct share){.device = i, .memory_bytes = plan_bytes_on(plan, promise, i)};
    }
    return true;
}

bool plan_earliest(const struct plan *plan, struct promise *promise, int64_t from_ns,
                   int64_t before_ns, uint32_t only)
{
    int64_t time_ns = promise->p.end_ns - promise->p.start_ns, last_ns = from_ns;
    struct share shares[SHARE_MAX] = {{0}};

    for (size_t i = 0; i < plan->count; i++) {
        if (plan->promises[i].p.end_ns > last_ns)
            last_ns = plan->promises[i].p.end_ns;
    }
    last_ns += plan->every_s * NS_PER_SECOND;
    for (int64_t at_ns = from_ns; at_ns < before_ns && at_ns <= last_ns; at_ns += NS_PER_SECOND) {
        if (!plan_fits(plan, promise, at_ns, only, shares))
            continue;
        promise->p.start_ns = at_ns;
        promise->p.end_ns = at_ns + time_ns;
        for (uint32_t k = 0; k < promise->p.share_count; k++)
            promise->p.shares[k] = shares[k];
        return true;
    }
    return false;
}

static bool any_waits(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->promises[i].p.state == PARTITION_PENDING)
            return true;
    }
    return false;
}

void plan_mark(struct plan *plan, const struct partition *p, int64_t from_ns)
{
    for (uint32_t k = 0; any_waits(plan) && k < p->share_count; k++) {
        if (from_ns < plan->freed_ns[p->shares[k].device])
            plan->freed_ns[p->shares[k].device] = from_ns;
    }
}

void plan_end(struct plan *plan, struct promise *promise, int64_t at_ns)
{
    struct partition p = promise->p;
    size_t after = (size_t)(&plan->promises[--plan->count] - promise);
    int64_t freed_ns = p.state == PARTITION_PENDING ? p.start_ns : at_ns;

    memmove(promise, promise + 1, after * sizeof(*promise));
    plan->reorder_due = true;
    plan_mark(plan, &p, at_ns < p.end_ns ? freed_ns : FILL);
}

/* -- passes -------------------------------------------------------------------- */

static bool is_on(const struct promise *promise, uint32_t device)
{
    for (uint32_t k = 0; k < promise->p.share_count; k++) {
        if (promise->p.shares[k].device == device)
            return true;
    }
    return false;
}

static bool comes_before(const struct plan *plan, const struct promise *a, const struct promise *b)
{
    int usage_a = plan->usage[a->p.uid % PLAN_ACCOUNTS];
    int usage_b = plan->usage[b->p.uid % PLAN_ACCOUNTS];

    if (a->w.priority != b->w.priority)
        return a->w.priority > b->w.priority;
    if (usage_a != usage_b)
        return usage_a < usage_b;
    return a->w.asked_ns != b->w.asked_ns ? a->w.asked_ns < b->w.asked_ns : a->p.id < b->p.id;
}

/* The ids of all that wait and can move, in fair order. */
static size_t in_order(const struct plan *plan, uint64_t ids[PLAN_PROMISES])
{
    const struct promise *sorted[PLAN_PROMISES];
    size_t count = 0;

    for (size_t i = 0; i < plan->count; i++) {
        const struct promise *promise = &plan->promises[i];
        size_t at = count;

        if (promise->p.state != PARTITION_PENDING || promise->w.fixed)
            continue;
        for (; at > 0 && comes_before(plan, promise, sorted[at - 1]); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = promise;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        ids[i] = sorted[i]->p.id;
    return count;
}

/* Whether one device alone could take its share, and from when on; that is where others look. */
static bool could_use(const struct plan *plan, const struct promise *promise, uint32_t device,
                      int64_t before_ns, int64_t *from_ns)
{
    struct promise part = *promise;

    for (uint32_t k = 0; k < promise->p.share_count; k++) {
        if (promise->p.shares[k].device == device)
            part.p.shares[0] = promise->p.shares[k];
    }
    part.p.share_count = 1;
    if (!plan_earliest(plan, &part, *from_ns, before_ns, 1U << device))
        return false;
    *from_ns = part.p.start_ns;
    return true;
}

static bool improve(struct plan *plan, struct promise *promise, int64_t now_ns, int64_t before_ns,
                    uint32_t device, bool fills)
{
    struct partition was = promise->p;
    bool gang = was.share_count > 1;

    if (before_ns > was.start_ns)
        before_ns = was.start_ns;
    if ((gang && !could_use(plan, promise, device, before_ns, &now_ns)) ||
        !plan_earliest(plan, promise, now_ns, before_ns, gang ? ALL : 1U << device))
        return false;
    if (plan->slack == 0)
        promise->w.promised_ns = promise->p.start_ns;
    plan->moves++;
    for (uint32_t k = 0; k < was.share_count; k++) {
        struct partition left = {.share_count = 1, .shares[0] = was.shares[k]};

        if (fills || was.shares[k].device != device)
            plan_mark(plan, &left, was.start_ns);
    }
    return true;
}

/* A request that is placed in another order. */
struct slot {
    struct promise promise;
    bool late;
};

static bool goes_first(const struct slot *a, const struct slot *b)
{
    if (a->late && b->late)
        return a->promise.w.promised_ns != b->promise.w.promised_ns
                   ? a->promise.w.promised_ns < b->promise.w.promised_ns
                   : a->promise.p.id < b->promise.p.id;
    return a->late && !b->late;
}

static void sort_slots(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = count - 1; k > i; k--) {
            struct slot slot = slots[k];

            if (!goes_first(&slot, &slots[k - 1]))
                continue;
            slots[k] = slots[k - 1];
            slots[k - 1] = slot;
        }
    }
}

/* Place all without each other, in order. False: some are late. *ret_again: others than before. */
static bool place_slots(const struct plan *plan, struct slot *slots, size_t count, int64_t now_ns,
                        bool *ret_again)
{
    struct plan other = *plan;
    bool good = true;

    *ret_again = false;
    for (size_t i = 0; i < count; i++) {
        struct promise *promise = plan_find(&other, slots[i].promise.p.id);

        promise->p.share_count = 0; /* not there */
    }
    for (size_t i = 0; i < count; i++) {
        struct promise *promise = plan_find(&other, slots[i].promise.p.id);

        slots[i].promise = *plan_find((struct plan *)(uintptr_t)plan, promise->p.id);
        bool placed = plan_earliest(&other, &slots[i].promise, now_ns, ENGINE_FOREVER, ALL);
        *promise = slots[i].promise;
        if (placed && promise->p.start_ns <= promise->w.promised_ns)
            continue;
        *ret_again = *ret_again || !slots[i].late;
        slots[i].late = true;
        good = false;
    }
    return good;
}

static void reorder(struct plan *plan, int64_t now_ns)
{
    uint64_t ids[PLAN_PROMISES];
    struct slot slots[PLAN_PROMISES];
    size_t all = in_order(plan, ids), count = 0;
    bool good = false, again = true;

    plan->reorder_due = false;
    for (size_t i = 0; i < all && count < plan->reorder_most; i++) {
        const struct promise *promise = plan_find(plan, ids[i]);

        if (promise->p.start_ns > now_ns)
            slots[count++] = (struct slot){.promise = *promise};
    }
    for (int round = 0; round < 8 && !good && again; round++) {
        good = place_slots(plan, slots, count, now_ns, &again);
        if (!good)
            sort_slots(slots, count);
    }
    for (size_t i = 0; good && i < count; i++) {
        struct promise *promise = plan_find(plan, slots[i].promise.p.id);
        struct partition was = promise->p, *to = &slots[i].promise.p;
        bool moves = was.start_ns != to->start_ns;

        for (uint32_t k = 0; k < was.share_count; k++)
            moves = moves || was.shares[k].device != to->shares[k].device;
        if (!moves)
            continue;
        plan->reorders++;
        promise->p = *to;
        plan_mark(plan, &was, was.start_ns);
    }
}

static bool is_due(const struct plan *plan)
{
    return plan->reorder_due && plan->slack > 0 && any_waits(plan);
}

static void pass(struct plan *plan, uint32_t device, int64_t now_ns)
{
    int64_t from_ns = plan->freed_ns[device];
    uint64_t ids[PLAN_PROMISES];
    size_t count = in_order(plan, ids);
    uint32_t tried = 0;

    plan->freed_ns[device] = ENGINE_FOREVER;
    for (size_t i = 0; from_ns < FILL && i < count; i++) {
        struct promise *promise = plan_find(plan, ids[i]);
        bool gang = promise->p.share_count > 1;

        if (promise->p.start_ns <= from_ns || promise->p.start_ns <= now_ns ||
            (!gang && (!is_on(promise, device) || tried++ >= plan->forward_most)))
            continue;
        improve(plan, promise, now_ns, ENGINE_FOREVER, device, false);
    }
    if (is_due(plan))
        reorder(plan, now_ns);
    for (size_t i = 0; i < count; i++) {
        struct promise *promise = plan_find(plan, ids[i]);

        improve(plan, promise, now_ns, now_ns + 1, device, true);
    }
}

void plan_passes(struct plan *plan, int64_t now_ns)
{
    for (uint32_t i = 0; i <= plan->device_count; i++) {
        bool last = i == plan->device_count;

        if (last ? !is_due(plan) : plan->freed_ns[i] == ENGINE_FOREVER)
            continue;
        if (last)
            reorder(plan, now_ns);
        else
            pass(plan, i, now_ns);
        i = UINT32_MAX; /* from the first device again */
    }
}

/* -- time ------------------------------------------------------------------------ */

static bool do_next(struct plan *plan, int64_t now_ns)
{
    struct promise *first = NULL;
    int64_t first_ns = now_ns + 1;
    int first_kind = 0; /* at one moment: ends, starts, giving up */

    for (size_t i = 0; i < plan->count; i++) {
        struct promise *promise = &plan->promises[i];
        bool waits = promise->p.state == PARTITION_PENDING;
        int64_t times[] = {promise->p.end_ns, waits ? promise->p.start_ns : ENGINE_FOREVER,
                           waits ? promise->w.give_up_ns : ENGINE_FOREVER};

        for (int kind = 0; kind < 3; kind++) {
            if (times[kind] < first_ns || (times[kind] == first_ns && first && kind < first_kind)) {
                first = promise;
                first_ns = times[kind];
                first_kind = kind;
            }
        }
    }
    if (!first)
        return false;
    if (first_kind == 1)
        first->p.state = PARTITION_ACTIVE;
    else
        plan_end(plan, first, first_ns);
    return true;
}

void plan_advance(struct plan *plan, int64_t now_ns)
{
    while (do_next(plan, now_ns))
        ;
    plan_passes(plan, now_ns);
    while (do_next(plan, now_ns))
        ;
}
