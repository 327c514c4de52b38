/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: where and when what waits will start. After memory of a device was freed, a pass tries
 * the requests planned there in fair order, each at its earliest place before its present one, then
 * starts what can start now. A move can free memory of other devices, which then get a pass of
 * their own; since each move is to an earlier moment, this ends. A pass goes on step by step, and
 * is finished before anything new is admitted.
 */
#include "internal.h"

#include "core/base/array.h"

#include <stdlib.h>
#include <string.h>

/* -- moving ------------------------------------------------------------------- */

/* Memory was freed where the request was planned. On the device of the pass, the rest of the pass
 * sees it. */
static void mark_left(struct engine *engine, const struct partition *was)
{
    const struct pass *pass = &engine->queue.pass;

    for (uint32_t i = 0; i < was->share_count; i++) {
        if (pass->phase == PASS_FILL || was->shares[i].device != pass->device)
            queue_mark(engine, was->shares[i].device, was->start_ns);
    }
}

static int move(struct engine *engine, struct entry *entry, int64_t now_ns,
                const struct partition *to)
{
    struct engine_event *event = journal_new(EVENT_MOVED, now_ns, entry->partition.uid);

    if (!event)
        return -ENOMEM;
    journal_of(event, entry);
    event->after = *to;
    event->waiting_after.promised_ns = to->start_ns;
    journal_append(engine, event);
    index_move(engine, entry, &event->after, &event->waiting_after);
    mark_left(engine, &event->before);
    return 0;
}

/* Move a request to its earliest place before `before_ns`, if there is one. Only the device of the
 * pass has more room than before, so others do not matter, except to a gang that can use it. */
static int improve(struct engine *engine, struct entry *entry, int64_t now_ns, int64_t before_ns)
{
    const struct waiting *waiting = &entry->waiter->record;
    struct partition to = entry->partition, part = to;
    bool gang = to.share_count > 1;

    if (before_ns > to.start_ns)
        before_ns = to.start_ns;
    part.share_count = 1;
    uint32_t count = plan_gather(engine, &to, waiting, engine->queue.pass.device);
    if (!plan_place(engine, waiting, count, now_ns, before_ns, gang ? &part : &to))
        return 0;
    if (gang) {
        count = plan_gather(engine, &to, waiting, ENGINE_DEVICE_ANY);
        if (!plan_place(engine, waiting, count, part.start_ns, before_ns, &to))
            return 0;
    }
    return move(engine, entry, now_ns, &to);
}

/* -- forward: in fair order --------------------------------------------------- */

static const struct avl *waiting_on(const struct engine *engine)
{
    return &engine->devices[engine->queue.pass.device].waiting;
}

static bool comes_first(const struct queue_key *a, const struct queue_key *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->account != b->account)
        return a->account < b->account;
    return a->asked_ns != b->asked_ns ? a->asked_ns < b->asked_ns : a->id < b->id;
}

/* The first request at or after `key` that is planned on the device or is a gang. */
static struct entry *next_of_pass(const struct engine *engine, const struct queue_key *key)
{
    const struct pass *pass = &engine->queue.pass;
    struct entry *gang = queue_at_or_after(&engine->queue.gangs, key);
    struct entry *here = pass->tried < engine->queue.rules.forward
                             ? queue_at_or_after(waiting_on(engine), key)
                             : NULL;

    if (!gang || !here)
        return gang ? gang : here;
    struct queue_key a = queue_key_of(gang), b = queue_key_of(here);
    return comes_first(&a, &b) ? gang : here;
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
static int list_turns(struct engine *engine)
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

/* Find the next request of the class in fair order, and whose turn it is; NULL: there is none. Some
 * may have left since the turns were listed. */
static struct entry *next_in_order(struct engine *engine, struct queue_turn **ret_turn)
{
    struct queue_turn *turn;

    while ((turn = first_turn(&engine->queue.pass))) {
        struct entry *entry = next_of_pass(engine, &turn->next);
        struct queue_key key = entry ? queue_key_of(entry) : (struct queue_key){0};

        if (!entry || key.priority != turn->next.priority || key.account != turn->account) {
            turn->over = true;
            continue;
        }
        bool is_next = key.id == turn->next.id;
        turn->next = key;
        if (is_next) {
            *ret_turn = turn;
            return entry;
        }
    }
    return NULL;
}

static int forward(struct engine *engine, int64_t now_ns)
{
    struct pass *pass = &engine->queue.pass;
    struct queue_turn *turn = NULL;
    int r = pass->sorted ? 0 : list_turns(engine);

    if (r)
        return r;
    struct entry *entry = next_in_order(engine, &turn);
    if (!entry) {
        pass->sorted = false;
        if (--pass->priority == 0)
            pass->phase = PASS_FILL;
        return 0;
    }
    int64_t start_ns = entry->partition.start_ns;
    bool gang = entry->partition.share_count > 1;
    /* What starts before the memory was freed gains nothing from it. */
    if (start_ns > pass->from_ns && start_ns > now_ns) {
        r = improve(engine, entry, now_ns, ENGINE_FOREVER);
        pass->tried += !gang && !r;
    }
    turn->next.id += !r;
    return r;
}

/* -- fill: start what can start now ------------------------------------------- */

/* Move `key` past the account of `at`. False: it was the last one. */
static bool skip_account(struct queue_key *key, const struct queue_key *at)
{
    *key = (struct queue_key){at->priority, at->account + 1, INT64_MIN, 0};
    if (at->account < UINT32_MAX)
        return true;
    key->account = 0;
    return at->priority > 0 && (key->priority--, true);
}

/* Move `key` on from `at`, which comes before what was tried last, to what may come after it. */
static bool skip_tried(const struct engine *engine, struct queue_key *key,
                       const struct queue_key *at)
{
    const struct queue *queue = &engine->queue;
    const struct queue_key *last = &queue->pass.last;

    if (at->priority > last->priority) {
        *key = (struct queue_key){last->priority, 0, INT64_MIN, 0};
        return true;
    }
    if (queue->rules.order && at->account != last->account &&
        queue->rules.order(queue->rules.context, at->account, last->account) < 0)
        return skip_account(key, at);
    *key = (struct queue_key){at->priority, at->account, last->asked_ns, last->id + 1};
    return true;
}

/* Find the request of a tree that comes next in fair order and may fit (`fit` NULL: any), if before
 * *best. */
static void find_fit(const struct engine *engine, const struct avl *avl,
                     const struct queue_fit *fit, struct entry **best)
{
    const struct pass *pass = &engine->queue.pass;
    struct queue_key key = {.priority = PRIORITIES - 1, .asked_ns = INT64_MIN};
    struct entry *entry;
    bool more = true;

    while (more && (entry = queue_fit_at_or_after(avl, &key, fit))) {
        struct queue_key at = queue_key_of(entry);
        struct queue_key first = *best ? queue_key_of(*best) : at;

        if (at.priority < first.priority)
            return;
        if (pass->begun && !queue_is_before(engine, &pass->last, &at)) {
            more = skip_tried(engine, &key, &at);
            continue;
        }
        if (!*best || queue_is_before(engine, &at, &first))
            *best = entry;
        more = skip_account(&key, &at);
    }
}

static int fill(struct engine *engine, int64_t now_ns)
{
    struct pass *pass = &engine->queue.pass;
    struct queue_fit fit = queue_fit_of(engine, pass->device, now_ns);
    struct queue_key last = pass->last;
    bool begun = pass->begun;
    struct entry *best = NULL;

    find_fit(engine, &engine->queue.anywhere, &fit, &best);
    fit.planned = true;
    find_fit(engine, waiting_on(engine), &fit, &best);
    find_fit(engine, &engine->queue.gangs, NULL, &best); /* there are few */
    if (!best) {
        pass->phase = PASS_IDLE;
        return 0;
    }
    pass->last = queue_key_of(best);
    pass->begun = true;
    /* A quota can allow it a little later, when no pass comes. */
    bool limited = accounts_limit(engine, &best->partition);
    int r = improve(engine, best, now_ns, limited ? ENGINE_FOREVER : now_ns + 1);
    if (r) {
        pass->last = last;
        pass->begun = begun;
    }
    return r;
}

/* -- passes --------------------------------------------------------------------- */

bool plan_is_finished(const struct engine *engine)
{
    return engine->queue.pass.phase == PASS_IDLE && engine->queue.freed_count == 0;
}

/* Begin with the first device that has freed memory. */
static void begin(struct engine *engine, int64_t now_ns)
{
    struct queue *queue = &engine->queue;
    struct pass *pass = &queue->pass;
    uint32_t device = 0;

    while (engine->devices[device].freed_ns == ENGINE_FOREVER)
        device++;
    int64_t from_ns = engine->devices[device].freed_ns;
    *pass = (struct pass){.phase = from_ns == QUEUE_FILL ? PASS_FILL : PASS_FORWARD,
                          .device = device,
                          .now_ns = now_ns,
                          .from_ns = from_ns,
                          .priority = PRIORITIES,
                          .turns = pass->turns,
                          .turn_capacity = pass->turn_capacity};
    engine->devices[device].freed_ns = ENGINE_FOREVER;
    queue->freed_count--;
}

int plan_step(struct engine *engine, int64_t now_ns)
{
    if (plan_is_finished(engine))
        return 0;
    if (engine->queue.pass.phase == PASS_IDLE)
        begin(engine, now_ns);
    return engine->queue.pass.phase == PASS_FORWARD ? forward(engine, now_ns)
                                                    : fill(engine, now_ns);
}

int plan_finish(struct engine *engine, int64_t now_ns)
{
    int r = 0;

    while (!r && !plan_is_finished(engine))
        r = plan_step(engine, now_ns);
    return r;
}
