/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orders of requests that wait; see queue.h. Trees for a search by size keep the shortest time
 * of each size below a node, so that the first request that may fit is found in O(log n).
 */
#include "queue.h"

#include "internal.h"

#include <stdlib.h>

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

__extension__ typedef unsigned __int128 uint128;

static const struct queue_node *node_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct queue_node, node);
}

static const struct waiter *by_start_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct waiter, by_start);
}

static const struct waiter *by_give_up_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct waiter, by_give_up);
}

static int compare_start(const struct avl_node *a, const struct avl_node *b)
{
    const struct waiter *x = by_start_of(a), *y = by_start_of(b);

    return x->start_ns != y->start_ns ? ORDER(x->start_ns, y->start_ns)
                                      : ORDER(x->key.id, y->key.id);
}

static int compare_give_up(const struct avl_node *a, const struct avl_node *b)
{
    const struct waiter *x = by_give_up_of(a), *y = by_give_up_of(b);

    if (x->record.give_up_ns != y->record.give_up_ns)
        return ORDER(x->record.give_up_ns, y->record.give_up_ns);
    return ORDER(x->common.entry->partition.id, y->common.entry->partition.id);
}

int queue_compare_keys(const struct queue_key *a, const struct queue_key *b)
{
    if (a->priority != b->priority)
        return ORDER(b->priority, a->priority);
    if (a->account != b->account)
        return ORDER(a->account, b->account);
    return a->asked_ns != b->asked_ns ? ORDER(a->asked_ns, b->asked_ns) : ORDER(a->id, b->id);
}

struct queue_key queue_key_of(const struct entry *entry)
{
    const struct waiter *waiter = entry->waiter;

    return (struct queue_key){.priority = waiter->record.priority,
                              .account = waiter->account,
                              .asked_ns = waiter->record.asked_ns,
                              .id = entry->partition.id};
}

static int compare_nodes(const struct avl_node *a, const struct avl_node *b)
{
    return queue_compare_keys(&node_of(a)->key, &node_of(b)->key);
}

static struct waiter *by_order_of(const struct avl_node *node)
{
    return (struct waiter *)(uintptr_t)avl_entry_const(node, struct waiter, by_order);
}

static int compare_order(const struct avl_node *a, const struct avl_node *b)
{
    return queue_compare_keys(&by_order_of(a)->key, &by_order_of(b)->key);
}

static uint32_t seconds_of(const struct partition *partition)
{
    uint64_t seconds =
        ((uint64_t)partition->end_ns - (uint64_t)partition->start_ns) / NS_PER_SECOND;

    return seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Keep the least amount and the shortest time of each size in the subtree. */
static void update_node(struct avl_node *node)
{
    struct queue_node *at = avl_entry(node, struct queue_node, node);
    uint32_t own = at->entry->waiter->size;

    at->least_part = at->entry->waiter->part;
    if (node->left)
        at->least_part = lesser(at->least_part, node_of(node->left)->least_part);
    if (node->right)
        at->least_part = lesser(at->least_part, node_of(node->right)->least_part);
    for (uint32_t i = 0; i < QUEUE_SIZES; i++) {
        at->least[i].s = at->least[i].start = UINT32_MAX;
        for (int side = 0; side < 2; side++) {
            const struct avl_node *child = side ? node->right : node->left;

            if (!child)
                continue;
            at->least[i].s = lesser(at->least[i].s, node_of(child)->least[i].s);
            at->least[i].start = lesser(at->least[i].start, node_of(child)->least[i].start);
        }
    }
    at->least[own].s = lesser(at->least[own].s, seconds_of(&at->entry->partition));
    at->least[own].start =
        lesser(at->least[own].start, index_rounded(at->entry->partition.start_ns));
}

static void put_node(struct avl_node *node, const struct avl_node *added)
{
    struct queue_node *at = avl_entry(node, struct queue_node, node);
    const struct entry *entry = node_of(added)->entry;
    uint32_t size = entry->waiter->size;

    at->least_part = lesser(at->least_part, entry->waiter->part);
    at->least[size].s = lesser(at->least[size].s, seconds_of(&entry->partition));
    at->least[size].start = lesser(at->least[size].start, index_rounded(entry->partition.start_ns));
}

/* Keep when the first of the subtree was asked for. */
static void update_start(struct avl_node *node)
{
    struct waiter *at = avl_entry(node, struct waiter, by_start);
    const struct avl_node *const children[] = {node->left, node->right};

    at->oldest_ns = at->record.asked_ns;
    for (int i = 0; i < 2; i++) {
        if (!children[i])
            continue;
        const struct waiter *child = avl_entry_const(children[i], struct waiter, by_start);
        if (child->oldest_ns < at->oldest_ns)
            at->oldest_ns = child->oldest_ns;
    }
}

static void put_start(struct avl_node *node, const struct avl_node *added)
{
    struct waiter *at = avl_entry(node, struct waiter, by_start);

    if (by_start_of(added)->record.asked_ns < at->oldest_ns)
        at->oldest_ns = by_start_of(added)->record.asked_ns;
}

static const struct avl_kind kind_start = {compare_start, update_start, put_start};
static const struct avl_kind kind_give_up = {.compare = compare_give_up};
static const struct avl_kind kind_order = {.compare = compare_order};
static const struct avl_kind kind_node = {compare_nodes, update_node, put_node};

void queue_init(struct queue *queue)
{
    queue->by_start.kind = &kind_start;
    queue->by_give_up.kind = &kind_give_up;
    queue->gangs.kind = queue->anywhere.kind = &kind_node;
    queue->movable.kind = &kind_order;
    queue->next_start_ns = queue->next_give_up_ns = ENGINE_FOREVER;
}

void queue_free(struct queue *queue)
{
    free(queue->pass.turns);
    free(queue->reorder.slots);
}

void queue_init_device(struct avl *waiting)
{
    waiting->kind = &kind_node;
}

struct waiter *queue_new_waiter(uint32_t share_count)
{
    return calloc(1, sizeof(struct waiter) + share_count * sizeof(struct queue_place));
}

/* Set the size of a request: a lower bound of its amount on any device. */
static void set_size(const struct engine *engine, struct waiter *waiter)
{
    const struct amount *amount = &waiter->record.amount;
    uint64_t whole = amount->is_share ? amount->scale : engine->largest_bytes;
    uint128 part = amount->is_share ? amount->digits : amount->bytes;

    waiter->size = 0;
    while (part * QUEUE_SIZE_WHOLE < (uint128)queue_sizes[waiter->size] * whole)
        waiter->size++;
    part = whole > 0 ? (part << 32) / whole : 0;
    waiter->part = part > UINT32_MAX ? UINT32_MAX : (uint32_t)part;
}

static void update_next(struct queue *queue)
{
    const struct avl_node *start = avl_first(&queue->by_start);
    const struct avl_node *give_up = avl_first(&queue->by_give_up);

    queue->next_start_ns = start ? by_start_of(start)->start_ns : ENGINE_FOREVER;
    queue->next_give_up_ns = give_up ? by_give_up_of(give_up)->record.give_up_ns : ENGINE_FOREVER;
}

/* The tree in which a request that can move is beside those of its devices; NULL: none. */
static struct avl *common_tree(struct queue *queue, const struct entry *entry)
{
    if (entry->partition.share_count > 1)
        return &queue->gangs;
    return entry->waiter->record.anywhere ? &queue->anywhere : NULL;
}

void queue_add(struct engine *engine, struct entry *entry)
{
    struct queue *queue = &engine->queue;
    struct waiter *waiter = entry->waiter;

    waiter->entry = waiter->common.entry = entry;
    waiter->account = queue->rules.order ? entry->account : 0;
    waiter->start_ns = entry->partition.start_ns;
    waiter->key = waiter->common.key = queue_key_of(entry);
    set_size(engine, waiter);
    avl_insert(&queue->by_start, &waiter->by_start);
    if (waiter->record.give_up_ns != ENGINE_FOREVER)
        avl_insert(&queue->by_give_up, &waiter->by_give_up);
    queue->count++;
    update_next(queue);
    if (waiter->record.fixed)
        return;
    avl_insert(&queue->movable, &waiter->by_order);
    for (uint32_t i = 0; i < entry->partition.share_count; i++) {
        waiter->places[i].on_device.entry = entry;
        waiter->places[i].on_device.key = waiter->key;
        avl_insert(&engine->devices[entry->partition.shares[i].device].waiting,
                   &waiter->places[i].on_device.node);
    }
    if (common_tree(queue, entry))
        avl_insert(common_tree(queue, entry), &waiter->common.node);
}

void queue_remove(struct engine *engine, struct entry *entry)
{
    struct queue *queue = &engine->queue;
    struct waiter *waiter = entry->waiter;

    avl_remove(&queue->by_start, &waiter->by_start);
    if (waiter->record.give_up_ns != ENGINE_FOREVER)
        avl_remove(&queue->by_give_up, &waiter->by_give_up);
    queue->count--;
    update_next(queue);
    if (waiter->record.fixed)
        return;
    avl_remove(&queue->movable, &waiter->by_order);
    for (uint32_t i = 0; i < entry->partition.share_count; i++)
        avl_remove(&engine->devices[entry->partition.shares[i].device].waiting,
                   &waiter->places[i].on_device.node);
    if (common_tree(queue, entry))
        avl_remove(common_tree(queue, entry), &waiter->common.node);
}

struct entry *queue_next_start(const struct engine *engine, int64_t at_ns, uint64_t after_id)
{
    struct waiter probe = {.start_ns = at_ns, .key.id = after_id};
    const struct avl_node *node = avl_after(&engine->queue.by_start, &probe.by_start);

    return node ? by_start_of(node)->entry : NULL;
}

struct entry *queue_next_give_up(const struct engine *engine, int64_t at_ns, uint64_t after_id)
{
    struct entry entry = {.partition.id = after_id};
    struct waiter probe = {.record.give_up_ns = at_ns, .common.entry = &entry};
    const struct avl_node *node = avl_after(&engine->queue.by_give_up, &probe.by_give_up);

    return node ? by_give_up_of(node)->common.entry : NULL;
}

bool queue_is_before(const struct engine *engine, const struct queue_key *a,
                     const struct queue_key *b)
{
    const struct queue *queue = &engine->queue;

    if (a->priority != b->priority)
        return a->priority > b->priority;
    int usage = queue->rules.order && a->account != b->account
                    ? queue->rules.order(queue->rules.context, a->account, b->account)
                    : 0;
    if (usage)
        return usage < 0;
    return a->asked_ns != b->asked_ns ? a->asked_ns < b->asked_ns : a->id < b->id;
}

static bool may_fit(const struct avl_node *node, const struct queue_fit *fit)
{
    if (node_of(node)->least_part > fit->most_part)
        return false;
    for (uint32_t i = 0; i < QUEUE_SIZES; i++) {
        if (fit->most_s[i] > 0 &&
            (node_of(node)->least[i].s <= fit->most_s[i] ||
             (fit->planned && node_of(node)->least[i].start <= fit->until[i])))
            return true;
    }
    return false;
}

static bool fits_itself(const struct entry *entry, const struct queue_fit *fit)
{
    uint32_t size = entry->waiter->size;

    return fit->most_s[size] > 0 && entry->waiter->part <= fit->most_part &&
           (seconds_of(&entry->partition) <= fit->most_s[size] ||
            (fit->planned && index_rounded(entry->partition.start_ns) <= fit->until[size]));
}

/* The first of a subtree at or after `key` (NULL: of all) that may fit (NULL: any). */
static struct entry *first_in(const struct avl_node *node, const struct queue_key *key,
                              const struct queue_fit *fit)
{
    while (node && (!fit || may_fit(node, fit))) {
        if (!key || queue_compare_keys(key, &node_of(node)->key) <= 0) {
            struct entry *entry = node_of(node)->entry, *first = first_in(node->left, key, fit);

            if (first)
                return first;
            if (!fit || fits_itself(entry, fit))
                return entry;
            key = NULL;
        }
        node = node->right;
    }
    return NULL;
}

struct entry *queue_at_or_after(const struct avl *avl, const struct queue_key *key)
{
    return first_in(avl->root, key, NULL);
}

struct entry *queue_in_order(const struct engine *engine, const struct queue_key *key)
{
    const struct avl_node *node = engine->queue.movable.root, *first = NULL;

    while (node) {
        if (queue_compare_keys(key, &by_order_of(node)->key) <= 0) {
            first = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return first ? by_order_of(first)->entry : NULL;
}

struct entry *queue_fit_at_or_after(const struct avl *avl, const struct queue_key *key,
                                    const struct queue_fit *fit)
{
    return first_in(avl->root, key, fit);
}
