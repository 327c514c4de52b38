/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that have been read and wait to be served, and whose turn is next. Each owner has a
 * clock, which advances by the time that its requests take. The owner whose clock is furthest
 * behind is next; one that was idle joins at the clock of the owner served last. So owners with
 * waiting requests get equal time, whatever their requests cost, and a burst from one owner does
 * not delay the others. Every operation takes O(log n) of the number of waiting owners.
 *
 * It also bounds what each owner may have unanswered: as many requests as there is room left for.
 * So one owner can take half of all, two a third each, and there is always room for another.
 *
 * Pure: it knows neither the kernel nor the contents of requests.
 */
#ifndef CHRONOS_FUSE_FAIR_QUEUE_H
#define CHRONOS_FUSE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The owner of requests that belong to no user. They get every second turn: they follow from
 * requests of users (a RELEASE from an OPEN) and would pile up with one turn among many. */
#define QUEUE_UNOWNED UINT64_MAX

struct fair_queue;
struct fair_queue_owner;

/* A request; the caller keeps it from push to remove. */
struct fair_queue_item {
    struct fair_queue_item *next;
    struct fair_queue_owner *owner;
};

/* Create a queue for at most `capacity` unanswered requests. 0 or -ENOMEM. */
int fair_queue_new(uint32_t capacity, struct fair_queue **ret_queue);
/* Free the queue; its items stay the caller's. Accepts NULL. Returns NULL. */
struct fair_queue *fair_queue_free(struct fair_queue *queue);
/* Return whether the owner may have one more request. */
bool fair_queue_admits(const struct fair_queue *queue, uint64_t owner);
/* Append a request to its owner's, also beyond the bound of fair_queue_admits, up to the
 * capacity. */
void fair_queue_push(struct fair_queue *queue, uint64_t owner, struct fair_queue_item *item);
/* Append a request again that was taken out and not answered. */
void fair_queue_again(struct fair_queue *queue, struct fair_queue_item *item);
/* Charge the owner of the last request with the time that it took, and take the next one out of the
 * queue. NULL: no request waits. */
struct fair_queue_item *fair_queue_pop(struct fair_queue *queue, uint64_t spent_ns);
/* Charge an owner for a request that was not admitted, or is not in the queue. */
void fair_queue_charge(struct fair_queue *queue, uint64_t owner, uint64_t spent_ns);
/* A request that was taken out has been answered: it does not count any more. */
void fair_queue_remove(struct fair_queue *queue, struct fair_queue_item *item);
/* Return the number of waiting requests. */
uint32_t fair_queue_waiting(const struct fair_queue *queue);

#endif
