/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preemption: a high request that would have to wait takes the room of active low leases, for as
 * long as they would have had it; the rest of its time must be free of promises. Their remaining
 * time waits again, with its first arrival. Nothing that was promised moves for that.
 */
#include "preempt.h"

#include <errno.h>
#include <stdlib.h>

/* Take a request that starts now to its devices, without the victims. */
static bool place_high(struct engine *engine, const struct waiting *waiting, int64_t now_ns,
                       struct preemption *preemption)
{
    struct waiting there = *waiting;

    there.anywhere = false;
    for (uint32_t i = 0; i < preemption->count; i++)
        plan_take_out(engine, preemption->victims[i].entry,
                      &preemption->victims[i].entry->partition);
    bool fits = plan_place_new(engine, &there, now_ns, now_ns + 1, &preemption->high);
    for (uint32_t i = 0; i < preemption->count; i++)
        plan_put_in(engine, preemption->victims[i].entry, &preemption->victims[i].entry->partition);
    return fits;
}

struct preemption *preempt_free(struct preemption *preemption)
{
    for (uint32_t i = 0; preemption && i < preemption->count; i++)
        engine_events_free(preemption->victims[i].event);
    if (preemption)
        engine_events_free(preemption->moved);
    free(preemption);
    return NULL;
}

int preempt_prepare(struct engine *engine, const struct call *call, const struct waiting *waiting,
                    struct partition *partition, struct preemption **ret_preemption)
{
    struct preemption *preemption;
    bool found = false;

    *ret_preemption = NULL;
    if (engine->policy.preempt != POLICY_PREEMPT_END || waiting->priority != PRIORITY_HIGH ||
        waiting->fixed || partition->state != PARTITION_PENDING)
        return 0;
    preemption = calloc(1, sizeof(*preemption));
    if (!preemption)
        return -ENOMEM;
    preemption->high = *partition;
    int r = preempt_choose(engine, waiting, call->now_ns, preemption, &found);
    if (!found || !place_high(engine, waiting, call->now_ns, preemption)) {
        preempt_free(preemption);
        return r;
    }
    for (uint32_t i = 0; i < preemption->count; i++) {
        preemption->victims[i].event =
            journal_new(EVENT_PREEMPTED, call->now_ns, call->caller->uid);
        if (!preemption->victims[i].event) {
            preempt_free(preemption);
            return -ENOMEM;
        }
    }
    preemption->high.state = PARTITION_ACTIVE;
    *partition = preemption->high;
    *ret_preemption = preemption;
    return 0;
}

/* Find a place for what is left of each victim, beside the request at its new place. False: one has
 * none. */
static bool place_victims(struct engine *engine, struct preemption *preemption, int64_t now_ns)
{
    uint32_t placed = 0;

    for (uint32_t i = 0; i < preemption->count; i++)
        plan_take_out(engine, preemption->victims[i].entry,
                      &preemption->victims[i].entry->partition);
    for (; placed < preemption->count; placed++) {
        struct victim *victim = &preemption->victims[placed];

        victim->to = victim->entry->partition;
        victim->to.start_ns = now_ns;
        victim->to.state = PARTITION_PENDING;
        victim->to.arrival = ARRIVAL_NONE;
        if (!plan_place_new(engine, &victim->entry->waiter->record, now_ns, ENGINE_FOREVER,
                            &victim->to))
            break;
        plan_put_in(engine, victim->entry, &victim->to);
    }
    for (uint32_t i = 0; i < placed; i++)
        plan_take_out(engine, preemption->victims[i].entry, &preemption->victims[i].to);
    for (uint32_t i = 0; i < preemption->count; i++)
        plan_put_in(engine, preemption->victims[i].entry, &preemption->victims[i].entry->partition);
    return placed == preemption->count;
}

/* In fair order: class and usage aside, the one that came first. */
static void sort(struct preemption *preemption)
{
    for (uint32_t i = 1; i < preemption->count; i++) {
        struct victim victim = preemption->victims[i];
        uint32_t at = i;

        for (; at > 0; at--) {
            const struct entry *other = preemption->victims[at - 1].entry;
            int64_t asked_ns = victim.entry->waiter->record.asked_ns;

            if (asked_ns > other->waiter->record.asked_ns ||
                (asked_ns == other->waiter->record.asked_ns &&
                 victim.entry->partition.id > other->partition.id))
                break;
            preemption->victims[at] = preemption->victims[at - 1];
        }
        preemption->victims[at] = victim;
    }
}

bool preempt_apply(struct engine *engine, const struct call *call, struct preemption *preemption,
                   struct entry *high)
{
    preemption->high.id = high->partition.id;
    sort(preemption);
    plan_put_in(engine, high, &preemption->high);
    bool fits = place_victims(engine, preemption, call->now_ns);
    plan_take_out(engine, high, &preemption->high);
    if (!fits)
        return false;
    for (uint32_t i = 0; i < preemption->count; i++) {
        struct victim *victim = &preemption->victims[i];
        struct engine_event *event = victim->event;

        victim->event = NULL;
        journal_of(event, victim->entry);
        event->after = victim->to;
        event->waiting_after.promised_ns = plan_promise(engine, victim->to.start_ns, call->now_ns);
        event->waiting_after.give_up_ns = ENGINE_FOREVER;
        event->waiting_after.fixed = false;
        event->waiting_after.spared_ns =
            timeline_later(call->now_ns, engine->policy.preempt_min_ns);
        journal_append(engine, event);
        event->after.change_seq = event->seq;
        index_move(engine, victim->entry, &event->after, &event->waiting_after);
        queue_mark_shares(engine, &event->before, call->now_ns);
    }
    queue_mark_order(engine);
    return true;
}

int preempt_prepare_move(struct engine *engine, const struct call *call,
                         const struct waiting *waiting, struct entry *high,
                         struct preemption **ret_preemption)
{
    struct partition now = high->partition;

    plan_take_out(engine, high, &high->partition);
    int r = preempt_prepare(engine, call, waiting, &now, ret_preemption);
    plan_put_in(engine, high, &high->partition);
    if (r || !*ret_preemption)
        return r;
    (*ret_preemption)->high.state = PARTITION_PENDING; /* it is due now */
    (*ret_preemption)->moved = journal_new(EVENT_MOVED, call->now_ns, call->caller->uid);
    if ((*ret_preemption)->moved)
        return 0;
    *ret_preemption = preempt_free(*ret_preemption);
    return -ENOMEM;
}

void preempt_move(struct engine *engine, const struct call *call, struct preemption *preemption,
                  struct entry *high)
{
    struct engine_event *moved = preemption->moved;

    plan_take_out(engine, high, &high->partition);
    bool fits = preempt_apply(engine, call, preemption, high);
    plan_put_in(engine, high, &high->partition);
    if (!fits)
        return;
    preemption->moved = NULL;
    preemption->high.change_seq = high->partition.change_seq;
    plan_move(engine, moved, high, &preemption->high);
}
