/* SPDX-License-Identifier: Apache-2.0 */
/* Round robin over the owners of requests; see fair_queue.h. */
#include "fair_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool fair_queue_is_full(const struct fair_queue *queue)
{
    return queue->count >= QUEUE_COUNT_MAX || queue->bytes >= QUEUE_BYTES_MAX;
}

/* Append the owner whose first item is `first`. */
static void add_turn(struct fair_queue_turns *turns, struct fair_queue_item *first)
{
    first->turn = NULL;
    if (turns->first)
        turns->last->turn = first;
    else
        turns->first = first;
    turns->last = first;
}

static struct fair_queue_item *find(struct fair_queue_item *first, uint64_t owner)
{
    while (first && first->owner != owner)
        first = first->turn;
    return first;
}

int fair_queue_push(struct fair_queue *queue, uint64_t owner, const void *data, size_t size)
{
    struct fair_queue_item *item = malloc(sizeof(*item) + size);
    if (!item)
        return -ENOMEM;
    *item = (struct fair_queue_item){.last = item, .owner = owner, .size = size};
    memcpy(item->data, data, size);
    bool unowned = owner == QUEUE_UNOWNED;
    struct fair_queue_item *first = unowned ? queue->unowned : find(queue->now.first, owner);
    if (!first && !unowned)
        first = find(queue->deferred.first, owner);
    if (first) {
        first->last->next = item;
        first->last = item;
    } else if (unowned) {
        queue->unowned = item;
    } else {
        bool had = queue->served[owner % QUEUE_SLOTS] == queue->round + 1;
        add_turn(had ? &queue->deferred : &queue->now, item);
    }
    queue->count++;
    queue->bytes += sizeof(*item) + size;
    return 0;
}

/* Remove the first request of the next owner. */
static struct fair_queue_item *pop_turn(struct fair_queue *queue)
{
    if (!queue->now.first) {
        queue->now = queue->deferred;
        queue->deferred.first = NULL;
        queue->round++;
    }
    struct fair_queue_item *item = queue->now.first;
    queue->now.first = item->turn;
    queue->served[item->owner % QUEUE_SLOTS] = queue->round + 1;
    if (item->next) {
        item->next->last = item->last;
        add_turn(&queue->deferred, item->next);
    }
    return item;
}

struct fair_queue_item *fair_queue_pop(struct fair_queue *queue)
{
    if (!queue->count)
        return NULL;
    bool others = queue->now.first || queue->deferred.first;
    bool unowned = queue->unowned && !(queue->unowned_was_last && others);
    struct fair_queue_item *item = unowned ? queue->unowned : NULL;
    if (item && item->next)
        item->next->last = item->last;
    if (item)
        queue->unowned = item->next;
    else
        item = pop_turn(queue);
    queue->unowned_was_last = unowned;
    queue->count--;
    queue->bytes -= sizeof(*item) + item->size;
    return item;
}

void fair_queue_clear(struct fair_queue *queue)
{
    for (struct fair_queue_item *item; (item = fair_queue_pop(queue));)
        free(item);
}
