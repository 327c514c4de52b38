/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair order in a pass: accounts take turns by usage, which is compared once for each class. Their
 * requests lie in trees by arrival.
 */
#include "internal.h"

#include "core/base/array.h"

const struct avl *plan_waiting_here(const struct engine *engine)
{
    return &engine->devices[engine->queue.pass.device].waiting;
}

static uint64_t forward_most(const struct engine *engine)
{
    return engine->queue.rules.forward > 0 ? engine->queue.rules.forward : engine->policy.forward;
}

/* The first request at or after `key` that is planned on the device or is a gang; to reorder, of
 * all. */
static struct entry *next_of_pass(const struct engine *engine, const struct queue_key *key)
{
    const struct pass *pass = &engine->queue.pass;

    if (pass->phase == PASS_REORDER)
        return queue_in_order(engine, key);
    struct entry *gang = queue_at_or_after(&engine->queue.gangs, key);
    struct entry *here = pass->tried < forward_most(engine)
                             ? queue_at_or_after(plan_waiting_here(engine), key)
                             : NULL;

    if (!gang || !here)
        return gang ? gang : here;
    struct queue_key a = queue_key_of(gang), b = queue_key_of(here);
    return queue_compare_keys(&a, &b) < 0 ? gang : here;
}

static int order_of(const struct queue *queue, const struct queue_turn *a,
                    const struct queue_turn *b)
{
    int order =
        queue->rules.order ? queue->rules.order(queue->rules.context, a->account, b->account) : 0;

    return order ? order : a->account < b->account ? -1 : 1;
}

/* Sort by usage: a shell sort, since there are few. */
static void sort_turns(const struct queue *queue, struct queue_turn *turns, uint32_t count)
{
    uint32_t gap = 1;

    while (gap < count / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) {
        for (uint32_t i = gap; i < count; i++) {
            struct queue_turn turn = turns[i];
            uint32_t at = i;

            for (; at >= gap && order_of(queue, &turn, &turns[at - gap]) < 0; at -= gap)
                turns[at] = turns[at - gap];
            turns[at] = turn;
        }
    }
    for (uint32_t i = 1; i < count; i++)
        turns[i].rank =
            turns[i - 1].rank +
            (queue->rules.order(queue->rules.context, turns[i - 1].account, turns[i].account) != 0);
}

/* List the accounts that have requests of the class, in order of their usage. */
int plan_list_turns(struct engine *engine)
{
    struct queue *queue = &engine->queue;
    struct pass *pass = &queue->pass;
    struct queue_key key = {.priority = pass->priority - 1, .asked_ns = INT64_MIN};
    struct entry *entry;

    pass->turn_count = 0;
    while ((entry = next_of_pass(engine, &key))) {
        struct queue_key next = queue_key_of(entry);

        if (next.priority != key.priority)
            break;
        int r = array_reserve(pass->turns, pass->turn_capacity, pass->turn_count + (size_t)1);
        if (r)
            return r;
        pass->turns[pass->turn_count++] =
            (struct queue_turn){.account = next.account, .next = next};
        if (next.account == UINT32_MAX)
            break;
        key.account = next.account + 1;
    }
    if (pass->turn_count > 1)
        sort_turns(queue, pass->turns, pass->turn_count);
    pass->sorted = true;
    return 0;
}

/* The account whose turn it is; NULL: there is none. */
static struct queue_turn *first_turn(struct pass *pass)
{
    struct queue_turn *first = NULL;

    for (uint32_t i = 0; i < pass->turn_count; i++) {
        struct queue_turn *turn = &pass->turns[i];

        if (turn->over)
            continue;
        if (first && turn->rank != first->rank)
            break;
        if (!first || turn->next.asked_ns < first->next.asked_ns ||
            (turn->next.asked_ns == first->next.asked_ns && turn->next.id < first->next.id))
            first = turn;
    }
    return first;
}

/* Some may have left since the turns were listed. */
struct entry *plan_next_in_order(struct engine *engine, struct queue_turn **ret_turn)
{
    struct queue_turn *turn;

    while ((turn = first_turn(&engine->queue.pass))) {
        struct entry *entry = next_of_pass(engine, &turn->next);
        struct queue_key key = entry ? queue_key_of(entry) : (struct queue_key){0};

        if (!entry || key.priority != turn->next.priority || key.account != turn->account) {
            turn->over = true;
            continue;
        }
        bool is_next = key.asked_ns == turn->next.asked_ns && key.id == turn->next.id;
        turn->next = key;
        if (is_next) {
            *ret_turn = turn;
            return entry;
        }
    }
    return NULL;
}
