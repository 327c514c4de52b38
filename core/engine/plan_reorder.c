/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair order within promises (slack-based backfilling; Talby and Feitelson 1999). Where promises
 * leave slack, the first requests in fair order are taken out and placed again in that order,
 * around everything else. Those that would start after their promise go first in the next attempt.
 * If none of a few attempts keeps all promises, the old plan stays. Each attempt is a step of the
 * pass and leaves nothing half done.
 */
#include "internal.h"

#include "core/base/array.h"

#include <errno.h>

#define ROUNDS_MAX 8

int64_t plan_promise(const struct engine *engine, int64_t start_ns, int64_t now_ns)
{
    wide slack_ns = ((wide)start_ns - now_ns) * engine->policy.promise_slack_ppm / 1000000;
    wide latest_ns = start_ns + slack_ns;

    return latest_ns < ENGINE_TIME_MAX ? (int64_t)latest_ns : ENGINE_TIME_MAX;
}

/* List the first requests in fair order, those left out that start now. */
static int list(struct engine *engine, int64_t now_ns)
{
    struct reorder *reorder = &engine->queue.reorder;
    struct pass *pass = &engine->queue.pass;
    uint64_t most = engine->policy.reorder;
    struct queue_turn *turn = NULL;
    int r = 0;

    reorder->count = 0;
    pass->priority = PRIORITIES;
    pass->sorted = false;
    while (pass->priority > 0 && reorder->count < most) {
        if (!pass->sorted)
            r = plan_list_turns(engine);
        if (!r)
            r = array_reserve(reorder->slots, reorder->capacity, reorder->count + (size_t)1);
        if (r)
            return r;
        struct entry *entry = plan_next_in_order(engine, &turn);
        if (!entry) {
            pass->sorted = false;
            pass->priority--;
            continue;
        }
        turn->next.id++;
        if (entry->partition.start_ns > now_ns)
            reorder->slots[reorder->count++] = (struct queue_slot){
                .id = entry->partition.id, .promised_ns = entry->waiter->record.promised_ns};
    }
    return 0;
}

/* Find the entries again: some may have left since the last attempt. */
static void find_entries(struct engine *engine, int64_t now_ns)
{
    struct reorder *reorder = &engine->queue.reorder;
    uint32_t count = 0;

    for (uint32_t i = 0; i < reorder->count; i++) {
        struct queue_slot slot = reorder->slots[i];

        slot.entry = index_find(engine, slot.id);
        if (slot.entry && slot.entry->partition.state == PARTITION_PENDING &&
            slot.entry->partition.start_ns > now_ns)
            reorder->slots[count++] = slot;
    }
    reorder->count = count;
}

enum outcome {
    KEPT,   /* all would start by their promise */
    BROKEN, /* not all, but another order may help */
    HOPELESS,
};

/* Place all in the order of the slots, and find out which would be late. */
static enum outcome place_all(struct engine *engine, int64_t now_ns)
{
    struct reorder *reorder = &engine->queue.reorder;
    bool late = false, again = false;

    for (uint32_t i = 0; i < reorder->count; i++)
        plan_take_out(engine, reorder->slots[i].entry, &reorder->slots[i].entry->partition);
    for (uint32_t i = 0; i < reorder->count; i++) {
        struct queue_slot *slot = &reorder->slots[i];

        slot->to = slot->entry->partition;
        bool placed =
            plan_place_new(engine, &slot->entry->waiter->record, now_ns, ENGINE_FOREVER, &slot->to);
        plan_put_in(engine, slot->entry, &slot->to);
        if (placed && slot->to.start_ns <= slot->promised_ns)
            continue;
        late = true;
        again = again || !slot->urgent;
        slot->urgent = true;
    }
    for (uint32_t i = 0; i < reorder->count; i++)
        plan_take_out(engine, reorder->slots[i].entry, &reorder->slots[i].to);
    for (uint32_t i = 0; i < reorder->count; i++)
        plan_put_in(engine, reorder->slots[i].entry, &reorder->slots[i].entry->partition);
    return !late ? KEPT : again ? BROKEN : HOPELESS;
}

static bool goes_before(const struct queue_slot *a, const struct queue_slot *b)
{
    if (!a->urgent || !b->urgent)
        return a->urgent && !b->urgent;
    return a->promised_ns != b->promised_ns ? a->promised_ns < b->promised_ns : a->id < b->id;
}

/* Put the urgent ones first, by their promise; the others stay in order. */
static void sort(struct reorder *reorder)
{
    for (uint32_t i = 1; i < reorder->count; i++) {
        struct queue_slot slot = reorder->slots[i];
        uint32_t at = i;

        for (; at > 0 && goes_before(&slot, &reorder->slots[at - 1]); at--)
            reorder->slots[at] = reorder->slots[at - 1];
        reorder->slots[at] = slot;
    }
}

static bool moves(const struct queue_slot *slot)
{
    const struct partition *was = &slot->entry->partition;

    if (was->start_ns != slot->to.start_ns)
        return true;
    for (uint32_t i = 0; i < was->share_count; i++) {
        if (was->shares[i].device != slot->to.shares[i].device)
            return true;
    }
    return false;
}

/* Move all to where they were placed. */
static int move_all(struct engine *engine, int64_t now_ns)
{
    struct reorder *reorder = &engine->queue.reorder;
    struct engine_event *spare = NULL;

    for (uint32_t i = 0; i < reorder->count; i++) {
        struct engine_event *event =
            moves(&reorder->slots[i]) ? journal_new(EVENT_MOVED, now_ns, 0) : NULL;

        if (!event && moves(&reorder->slots[i])) {
            engine_events_free(spare);
            return -ENOMEM;
        }
        if (event) {
            event->next = spare;
            spare = event;
        }
    }
    for (uint32_t i = 0; i < reorder->count; i++) {
        struct queue_slot *slot = &reorder->slots[i];
        struct engine_event *event = spare;

        if (!moves(slot))
            continue;
        spare = event->next;
        event->by_uid = slot->to.uid;
        plan_move(engine, event, slot->entry, &slot->to);
    }
    return 0;
}

int plan_reorder(struct engine *engine, int64_t now_ns, bool *ret_done)
{
    struct reorder *reorder = &engine->queue.reorder;
    int r = reorder->round == 0 ? list(engine, now_ns) : 0;

    if (r)
        return r;
    find_entries(engine, now_ns);
    switch (place_all(engine, now_ns)) {
    case KEPT:
        r = move_all(engine, now_ns);
        if (r) {
            reorder->round = 0; /* begin again */
            return r;
        }
        break;
    case BROKEN:
        sort(reorder);
        if (++reorder->round < ROUNDS_MAX)
            return 0;
        break;
    case HOPELESS:
        break;
    }
    *ret_done = true;
    return 0;
}
