/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-time fair queueing over the owners of requests; see fair_queue.h. An owner is forgotten
 * when it has no request and its clock is not ahead of the queue's: it would join at the same place
 * as a new one.
 */
#include "fair_queue.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS 16384u

struct fair_queue_owner {
    uint64_t id;
    uint64_t clock_ns;
    uint64_t debt_ns;                     /* while it waits: to pay before its next turn */
    uint64_t arrival;                     /* among equal clocks: the first to wait is next */
    struct fair_queue_item *first, *last; /* waiting */
    uint32_t count;                       /* waiting or taken out */
    uint32_t next;                        /* of its bucket, or free: index + 1; 0: none */
};

struct fair_queue {
    uint32_t capacity, count, waiting;
    uint64_t clock_ns; /* of the last owner when its turn came */
    uint64_t arrivals;
    struct fair_queue_owner *served; /* the owner of the last request; NULL: charged already */
    struct fair_queue_owner unowned;
    bool unowned_was_last;
    struct fair_queue_owner **heap; /* waiting owners, without the one being served; next first */
    uint32_t heap_count;
    /* Twice the capacity, so that dropping idle owners always makes room for many. */
    struct fair_queue_owner *owners;
    uint32_t owners_used, owners_free;
    uint32_t buckets[BUCKETS];
};

int fair_queue_new(uint32_t capacity, struct fair_queue **ret_queue)
{
    struct fair_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return -ENOMEM;
    queue->capacity = capacity;
    queue->heap = calloc(capacity, sizeof(struct fair_queue_owner *));
    queue->owners = calloc(2 * (size_t)capacity, sizeof(*queue->owners));
    if (!queue->heap || !queue->owners) {
        fair_queue_free(queue);
        return -ENOMEM;
    }
    *ret_queue = queue;
    return 0;
}

struct fair_queue *fair_queue_free(struct fair_queue *queue)
{
    if (queue) {
        free(queue->heap);
        free(queue->owners);
        free(queue);
    }
    return NULL;
}

/* -- owners --------------------------------------------------------------------------- */

static uint32_t bucket_of(uint64_t id)
{
    return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % BUCKETS;
}

static struct fair_queue_owner *find(const struct fair_queue *queue, uint64_t id)
{
    if (id == QUEUE_UNOWNED)
        return (struct fair_queue_owner *)&queue->unowned;
    for (uint32_t at = queue->buckets[bucket_of(id)]; at; at = queue->owners[at - 1].next)
        if (queue->owners[at - 1].id == id)
            return &queue->owners[at - 1];
    return NULL;
}

/* Forget the idle owners of a bucket: all, or those whose clock is not ahead. */
static void forget_idle(struct fair_queue *queue, uint32_t bucket, bool all)
{
    for (uint32_t *at = &queue->buckets[bucket], here; (here = *at);) {
        struct fair_queue_owner *owner = &queue->owners[here - 1];
        if (owner->count || owner == queue->served || (!all && owner->clock_ns > queue->clock_ns)) {
            at = &owner->next;
            continue;
        }
        *at = owner->next;
        owner->next = queue->owners_free;
        queue->owners_free = here;
    }
}

static struct fair_queue_owner *add_owner(struct fair_queue *queue, uint64_t id)
{
    const uint32_t bucket = bucket_of(id);
    forget_idle(queue, bucket, false);
    if (!queue->owners_free && queue->owners_used == 2 * queue->capacity)
        for (uint32_t i = 0; i < BUCKETS; i++)
            forget_idle(queue, i, true);
    uint32_t here = queue->owners_free;
    if (here)
        queue->owners_free = queue->owners[here - 1].next;
    else
        here = ++queue->owners_used;
    struct fair_queue_owner *owner = &queue->owners[here - 1];
    *owner = (struct fair_queue_owner){.id = id, .next = queue->buckets[bucket]};
    queue->buckets[bucket] = here;
    return owner;
}

static struct fair_queue_owner *find_or_add(struct fair_queue *queue, uint64_t id)
{
    struct fair_queue_owner *owner = find(queue, id);
    return owner ? owner : add_owner(queue, id);
}

/* -- the heap ------------------------------------------------------------------------- */

static bool is_before(const struct fair_queue_owner *a, const struct fair_queue_owner *b)
{
    return a->clock_ns != b->clock_ns ? a->clock_ns < b->clock_ns : a->arrival < b->arrival;
}

/* An owner starts to wait. */
static void add_waiting(struct fair_queue *queue, struct fair_queue_owner *owner)
{
    if (owner->clock_ns < queue->clock_ns)
        owner->clock_ns = queue->clock_ns;
    owner->clock_ns += owner->debt_ns;
    owner->debt_ns = 0;
    owner->arrival = ++queue->arrivals;
    uint32_t at = queue->heap_count++;
    for (; at && is_before(owner, queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
        queue->heap[at] = queue->heap[(at - 1) / 2];
    queue->heap[at] = owner;
}

static struct fair_queue_owner *take_first(struct fair_queue *queue)
{
    struct fair_queue_owner **heap = queue->heap, *first = heap[0];
    struct fair_queue_owner *moved = heap[--queue->heap_count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < queue->heap_count; at = child) {
        if (child + 1 < queue->heap_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
    return first;
}

/* Remove the owner whose turn it is. One with debts waits until they are paid. */
static struct fair_queue_owner *take_waiting(struct fair_queue *queue)
{
    struct fair_queue_owner *first;
    while ((first = take_first(queue))->debt_ns)
        add_waiting(queue, first);
    return first;
}

/* -- requests ------------------------------------------------------------------------- */

bool fair_queue_admits(const struct fair_queue *queue, uint64_t owner)
{
    const struct fair_queue_owner *known = find(queue, owner);
    uint32_t count = known && owner != QUEUE_UNOWNED ? known->count : 0;
    return count < queue->capacity - queue->count;
}

void fair_queue_again(struct fair_queue *queue, struct fair_queue_item *item)
{
    struct fair_queue_owner *of = item->owner;
    bool waits = of->first;
    item->next = NULL;
    if (waits)
        of->last->next = item;
    else
        of->first = item;
    of->last = item;
    queue->waiting++;
    if (!waits && of != &queue->unowned && of != queue->served)
        add_waiting(queue, of);
}

void fair_queue_push(struct fair_queue *queue, uint64_t owner, struct fair_queue_item *item)
{
    item->owner = find_or_add(queue, owner);
    item->owner->count++;
    queue->count++;
    fair_queue_again(queue, item);
}

void fair_queue_charge(struct fair_queue *queue, uint64_t owner, uint64_t spent_ns)
{
    if (owner == QUEUE_UNOWNED)
        return;
    struct fair_queue_owner *of = find_or_add(queue, owner);
    if (of->first && of != queue->served) { /* in the heap: its clock must not change */
        of->debt_ns += spent_ns;
        return;
    }
    if (of->clock_ns < queue->clock_ns)
        of->clock_ns = queue->clock_ns;
    of->clock_ns += spent_ns;
}

/* Charge the owner of the last request; it waits again if it has more. */
static void charge(struct fair_queue *queue, uint64_t spent_ns)
{
    struct fair_queue_owner *owner = queue->served;
    if (!owner)
        return;
    queue->served = NULL;
    owner->clock_ns += spent_ns;
    if (owner->first)
        add_waiting(queue, owner);
}

struct fair_queue_item *fair_queue_pop(struct fair_queue *queue, uint64_t spent_ns)
{
    charge(queue, spent_ns);
    if (!queue->waiting)
        return NULL;
    bool unowned = queue->unowned.first && !(queue->unowned_was_last && queue->heap_count);
    struct fair_queue_owner *owner = &queue->unowned;
    if (!unowned) {
        owner = queue->served = take_waiting(queue);
        queue->clock_ns = owner->clock_ns;
    }
    queue->unowned_was_last = unowned;
    queue->waiting--;
    struct fair_queue_item *item = owner->first;
    owner->first = item->next;
    return item;
}

void fair_queue_remove(struct fair_queue *queue, struct fair_queue_item *item)
{
    item->owner->count--;
    queue->count--;
}

uint32_t fair_queue_waiting(const struct fair_queue *queue)
{
    return queue->waiting;
}
