/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that have been read and wait to be served: one queue per owner, served round robin, so
 * that a burst from one owner does not delay the others. Pure: it knows neither the kernel nor the
 * contents of requests.
 */
#ifndef CHRONOS_FUSE_FAIR_QUEUE_H
#define CHRONOS_FUSE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits; beyond them, requests stay in the kernel. */
#define QUEUE_COUNT_MAX 4096u
#define QUEUE_BYTES_MAX (4u << 20)
/* The owner of requests that belong to no user. They get every second turn: they follow from
 * requests of users (a RELEASE from an OPEN) and would pile up with one turn among many. */
#define QUEUE_UNOWNED UINT64_MAX
/* Owners that share a slot can lose a place in a round, no more. */
#define QUEUE_SLOTS 1024u

struct fair_queue_item {
    struct fair_queue_item *next; /* next of the same owner */
    struct fair_queue_item *last; /* first item of an owner: its last item */
    struct fair_queue_item *turn; /* first item of an owner: the first item of the next owner */
    uint64_t owner;
    size_t size;
    char data[];
};

/* Owners in the order of their turns, each represented by its first item. */
struct fair_queue_turns {
    struct fair_queue_item *first, *last;
};

/* All zero is empty. Each owner has one turn per round. An owner that arrives and has had no turn
 * in this round goes before those that have. */
struct fair_queue {
    struct fair_queue_turns now, deferred; /* this round, next round */
    struct fair_queue_item *unowned;
    bool unowned_was_last;
    size_t count, bytes;
    uint64_t round;
    uint64_t served[QUEUE_SLOTS]; /* by owner: the round after its last turn */
};

bool fair_queue_is_full(const struct fair_queue *queue);
/* Append a copy of the request to its owner's queue. 0 or -ENOMEM. */
int fair_queue_push(struct fair_queue *queue, uint64_t owner, const void *data, size_t size);
/* Remove and return the next request; the caller frees it. NULL: the queue is empty. */
struct fair_queue_item *fair_queue_pop(struct fair_queue *queue);
/* Free all requests. */
void fair_queue_clear(struct fair_queue *queue);

#endif
