/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: where and when what waits will start. After memory of a device was freed, a pass tries
 * the requests planned there in fair order, each at its earliest place before its present one, then
 * starts what can start now. A move can free memory of other devices, which then get a pass of
 * their own; since each move is to an earlier moment, this ends. A pass goes on step by step, and
 * is finished before anything new is admitted.
 */
#include "internal.h"

#include <errno.h>

/* -- moving ------------------------------------------------------------------- */

static int move(struct engine *engine, struct entry *entry, int64_t now_ns,
                const struct partition *to)
{
    struct engine_event *event = journal_new(EVENT_MOVED, now_ns, entry->partition.uid);

    if (!event)
        return -ENOMEM;
    plan_move(engine, event, entry, to);
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

/* -- phases -------------------------------------------------------------------- */

/* Whether requests are to be put into fair order again. */
static bool is_due(const struct engine *engine)
{
    const struct queue *queue = &engine->queue;

    return queue->reorder.due && queue->count > 0 && engine->policy.promise_slack_ppm > 0;
}

/* Go to a phase of the pass, or to the next one that has something to do. */
static void enter(struct engine *engine, enum pass_phase phase)
{
    struct pass *pass = &engine->queue.pass;

    if (phase == PASS_REORDER && is_due(engine)) {
        engine->queue.reorder.due = false;
        engine->queue.reorder.round = 0;
    } else if (phase == PASS_REORDER) {
        phase = PASS_FILL;
    }
    if (phase == PASS_FILL && pass->device == ENGINE_DEVICE_ANY)
        phase = PASS_IDLE;
    pass->phase = phase;
    pass->priority = PRIORITIES;
    pass->sorted = false;
}

/* -- forward ------------------------------------------------------------------- */

static int forward(struct engine *engine, int64_t now_ns)
{
    struct pass *pass = &engine->queue.pass;
    struct queue_turn *turn = NULL;
    int r = pass->sorted ? 0 : plan_list_turns(engine);

    if (r)
        return r;
    struct entry *entry = plan_next_in_order(engine, &turn);
    if (!entry) {
        pass->sorted = false;
        if (--pass->priority == 0)
            enter(engine, PASS_REORDER);
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

/* -- reorder ------------------------------------------------------------------ */

static int reorder(struct engine *engine, int64_t now_ns)
{
    bool done = false;
    int r = plan_reorder(engine, now_ns, &done);

    if (done)
        enter(engine, PASS_FILL);
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

/* Find the request of a tree that comes next in fair order and may fit, if before *best. */
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
    find_fit(engine, plan_waiting_here(engine), &fit, &best);
    find_fit(engine, &engine->queue.gangs, &fit, &best); /* one of their devices is this one */
    if (!best) {
        enter(engine, PASS_IDLE);
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
    return engine->queue.pass.phase == PASS_IDLE && engine->queue.freed_count == 0 &&
           !is_due(engine);
}

/* Begin with the first device that has freed memory; if there is none, something else changed that
 * the order depends on. */
static void begin(struct engine *engine, int64_t now_ns)
{
    struct queue *queue = &engine->queue;
    struct pass *pass = &queue->pass;
    uint32_t device = 0;

    while (device < engine->device_count && engine->devices[device].freed_ns == ENGINE_FOREVER)
        device++;
    bool freed = device < engine->device_count;
    int64_t from_ns = freed ? engine->devices[device].freed_ns : QUEUE_FILL;
    *pass = (struct pass){.device = freed ? device : ENGINE_DEVICE_ANY,
                          .now_ns = now_ns,
                          .from_ns = from_ns,
                          .turns = pass->turns,
                          .turn_capacity = pass->turn_capacity};
    if (freed) {
        engine->devices[device].freed_ns = ENGINE_FOREVER;
        queue->freed_count--;
    }
    enter(engine, from_ns == QUEUE_FILL ? PASS_REORDER : PASS_FORWARD);
}

int plan_step(struct engine *engine, int64_t now_ns)
{
    if (plan_is_finished(engine))
        return 0;
    if (engine->queue.pass.phase == PASS_IDLE)
        begin(engine, now_ns);
    switch (engine->queue.pass.phase) {
    case PASS_FORWARD:
        return forward(engine, now_ns);
    case PASS_REORDER:
        return reorder(engine, now_ns);
    default:
        return fill(engine, now_ns);
    }
}

int plan_finish(struct engine *engine, int64_t now_ns)
{
    int r = 0;

    while (!r && !plan_is_finished(engine))
        r = plan_step(engine, now_ns);
    return r;
}
