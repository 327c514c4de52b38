/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is to start now. Each account has its next request that may fit in a heap, in fair
 * order, so that a request costs a few comparisons, however many accounts wait. The heap is made
 * again when anything but the pass changes the order, or when there is more room than before.
 * Otherwise a request can only cease to fit, which is seen when its turn comes.
 */
#include "internal.h"

#include "core/base/array.h"

/* Where requests that may fit are looked for. */
enum { ANYWHERE, HERE, GANGS, TREES };

static const struct avl *tree_of(const struct engine *engine, uint32_t tree)
{
    switch (tree) {
    case ANYWHERE:
        return &engine->queue.anywhere;
    case HERE:
        return plan_waiting_here(engine);
    default:
        return &engine->queue.gangs; /* one of their devices is this one */
    }
}

static struct entry *next_in(const struct engine *engine, uint32_t tree,
                             const struct queue_key *key)
{
    struct queue_fit fit = engine->queue.pass.fit;

    fit.planned = tree != ANYWHERE;
    return queue_fit_at_or_after(tree_of(engine, tree), key, &fit);
}

/* -- heap ----------------------------------------------------------------------- */

static bool is_before(const struct engine *engine, uint32_t a, uint32_t b)
{
    const struct queue_turn *turns = engine->queue.pass.turns;

    return queue_is_before(engine, &turns[a].next, &turns[b].next);
}

/* Move a turn down to its place. */
static void sink(struct engine *engine, uint32_t at)
{
    struct pass *pass = &engine->queue.pass;
    uint32_t child;

    for (; (child = 2 * at + 1) < pass->turn_count; at = child) {
        child += child + 1 < pass->turn_count && is_before(engine, child + 1, child);
        if (!is_before(engine, child, at))
            break;
        struct queue_turn turn = pass->turns[at];
        pass->turns[at] = pass->turns[child];
        pass->turns[child] = turn;
    }
}

/* -- listing -------------------------------------------------------------------- */

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

/* Add the accounts of a tree that have requests of the highest class that may fit. */
static int list_tree(struct engine *engine, uint32_t tree)
{
    struct pass *pass = &engine->queue.pass;
    struct queue_key key = {.priority = PRIORITIES - 1, .asked_ns = INT64_MIN};
    struct entry *entry;
    bool more = true;

    while (more && (entry = next_in(engine, tree, &key))) {
        struct queue_key at = queue_key_of(entry);

        if (pass->turn_count > 0 && at.priority < pass->turns[0].next.priority)
            break;
        if (pass->begun && !queue_is_before(engine, &pass->last, &at)) {
            more = skip_tried(engine, &key, &at);
            continue;
        }
        if (pass->turn_count > 0 && at.priority > pass->turns[0].next.priority)
            pass->turn_count = 0;
        int r = array_reserve(pass->turns, pass->turn_capacity, pass->turn_count + (size_t)1);
        if (r)
            return r;
        pass->turns[pass->turn_count++] =
            (struct queue_turn){.account = at.account, .tree = tree, .next = at};
        more = skip_account(&key, &at);
    }
    return 0;
}

static int list(struct engine *engine)
{
    struct pass *pass = &engine->queue.pass;
    int r = 0;

    pass->turn_count = 0;
    for (uint32_t tree = 0; !r && tree < TREES; tree++)
        r = list_tree(engine, tree);
    for (uint32_t at = pass->turn_count / 2; !r && at-- > 0;)
        sink(engine, at);
    pass->listed = !r;
    return r;
}

/* -- turns ---------------------------------------------------------------------- */

/* Take the first request of the heap; some no longer fit, or were found in two trees. */
static struct entry *take(struct engine *engine)
{
    struct pass *pass = &engine->queue.pass;

    while (pass->turn_count > 0) {
        struct queue_turn *turn = &pass->turns[0];
        struct queue_key was = turn->next;
        struct entry *entry = next_in(engine, turn->tree, &was);
        struct queue_key key = entry ? queue_key_of(entry) : (struct queue_key){0};
        bool is_next = false;

        if (!entry || key.priority != was.priority || key.account != was.account) {
            *turn = pass->turns[--pass->turn_count];
        } else {
            is_next = key.asked_ns == was.asked_ns && key.id == was.id;
            turn->next = key;
            turn->next.id += is_next;
        }
        sink(engine, 0);
        if (is_next && !(pass->begun && key.id == pass->last.id)) {
            pass->last = key;
            pass->begun = true;
            return entry;
        }
    }
    return NULL;
}

int plan_next_to_fill(struct engine *engine, int64_t now_ns, struct entry **ret_entry)
{
    struct pass *pass = &engine->queue.pass;
    struct queue_fit fit = queue_fit_of(engine, pass->device, now_ns);
    bool listed = pass->listed && queue_fit_is_within(&fit, &pass->fit);

    pass->fit = fit;
    struct entry *entry = listed ? take(engine) : NULL;
    if (!entry) { /* the next class, if there is one */
        int r = list(engine);

        if (r)
            return r;
        entry = take(engine);
    }
    *ret_entry = entry;
    return 0;
}
