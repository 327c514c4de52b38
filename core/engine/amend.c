/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that only a partition that waits allows: its devices and its class. What else can change
 * at any time is in operations.c.
 */
#include "internal.h"

#include <inttypes.h>

static int check_waits(const struct call *call, const struct entry *entry, const char *what)
{
    if (entry->partition.state == PARTITION_PENDING)
        return 0;
    return refuse(REFUSED_BUSY, call->why,
                  "Partition p%" PRIu64
                  " has started; only a partition that waits can change its %s.",
                  entry->partition.id, what);
}

/* Whether it can move to all devices that it has now. */
static bool keeps_devices(const struct partition *partition, const struct waiting *waiting)
{
    for (uint32_t i = 0; i < partition->share_count; i++) {
        if (!waiting->anywhere || waiting_is_barred(waiting, partition->shares[i].device))
            return false;
    }
    return true;
}

/* Find its shares on other devices, at the start that it has. */
static int place_there(struct engine *engine, const struct call *call, struct entry *entry,
                       const struct waiting *waiting, struct partition *partition)
{
    int64_t start_ns = partition->start_ns, from_ns = waiting->fixed ? start_ns : call->now_ns;
    struct partition again = *partition;
    char when[40], then[40];

    plan_take_out(engine, entry, &entry->partition);
    bool fits = plan_place_new(engine, waiting, start_ns, start_ns + 1, partition);
    plan_put_in(engine, entry, &entry->partition);
    if (fits)
        return 0;
    engine->time_text(engine->context, start_ns, when, sizeof(when));
    if (!plan_place_new(engine, waiting, from_ns, ENGINE_FOREVER, &again))
        return refuse(REFUSED_NO_SPACE, call->why,
                      ADMISSION_NO_SPACE "p%" PRIu64 " never has room there; ask for less.",
                      entry->partition.id);
    engine->time_text(engine->context, again.start_ns, then, sizeof(then));
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "p%" PRIu64 " has no room there at its start, %s; a new "
                                     "request would start at %s.",
                  entry->partition.id, when, then);
}

static bool same_shares(const struct partition *a, const struct partition *b)
{
    for (uint32_t i = 0; i < a->share_count; i++) {
        if (a->shares[i].device != b->shares[i].device ||
            a->shares[i].memory_bytes != b->shares[i].memory_bytes)
            return false;
    }
    return true;
}

int engine_set_devices(struct engine *engine, const struct call *call, uint64_t id,
                       const uint32_t *devices, uint32_t count)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (!r)
        r = check_waits(call, entry, "devices");
    if (!r)
        r = suspend_check_changes(call, &entry->partition, "devices");
    if (r)
        return r;
    struct partition after = entry->partition;
    struct waiting waiting = entry->waiter->record;
    const struct request request = {.amount = waiting.amount, .share = after.shares[0].compute_ppm};
    if (devices && count != after.share_count)
        return refuse(REFUSED_INVALID, call->why,
                      "Partition p%" PRIu64 " takes %" PRIu32 " devices at once, not %" PRIu32
                      "; name as many, or ask for another partition.",
                      id, after.share_count, count);
    r = admission_devices(engine, call, &request, devices, &after, &waiting);
    if (!r && !keeps_devices(&after, &waiting))
        r = place_there(engine, call, entry, &waiting, &after);
    if (r || (same_shares(&after, &entry->partition) &&
              waiting_same_devices(&waiting, &entry->waiter->record)))
        return r;
    const struct partition before = entry->partition;
    r = operations_change(engine, entry, EVENT_DEVICES, call, &after, &waiting);
    if (r)
        return r;
    queue_mark_shares(engine, &before, before.start_ns);
    queue_mark_itself(engine, entry);
    queue_mark_order(engine);
    return 0;
}

int engine_set_priority(struct engine *engine, const struct call *call, uint64_t id,
                        uint32_t priority)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode || call->caller->admin, &entry);

    if (!r)
        r = check_waits(call, entry, "priority");
    if (!r && priority >= PRIORITIES)
        r = refuse(REFUSED_INVALID, call->why, "%" PRIu32 " is not a priority; the highest is %d.",
                   priority, PRIORITIES - 1);
    if (r || priority == entry->waiter->record.priority)
        return r;
    if (priority > entry->waiter->record.priority && !call->caller->admin)
        return refuse(
            REFUSED_PERMISSION, call->why,
            "Permission denied: only administrators can raise the priority of p%" PRIu64 ".", id);
    if (priority == PRIORITY_HIGH && engine->policy.preempt != POLICY_PREEMPT_OFF)
        r = plan_finish(engine, call->now_ns); /* does it have to wait? */
    struct preemption *preemption = NULL;
    struct waiting waiting = entry->waiter->record;
    waiting.priority = priority;
    if (!r)
        r = preempt_prepare_move(engine, call, &waiting, entry, &preemption);
    if (!r)
        r = operations_change(engine, entry, EVENT_PRIORITY, call, &entry->partition, &waiting);
    if (!r)
        queue_mark_order(engine);
    if (!r && preemption)
        preempt_move(engine, call, preemption, entry);
    preempt_free(preemption);
    return r;
}
