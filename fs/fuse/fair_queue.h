/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that were read and wait to be served: one queue for each owner, served
 * in turn, one request each, so that nobody waits longer because somebody else
 * asks a lot at once. Pure: knows neither the kernel nor what a request says.
 */
#ifndef CHRONOS_FUSE_FAIR_QUEUE_H
#define CHRONOS_FUSE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is held at most; beyond that requests stay where they are. */
#define QUEUE_COUNT_MAX 4096u
#define QUEUE_BYTES_MAX (4u << 20)
/* The owner of what belongs to nobody. After every other request it has a turn:
 * such requests follow from those of owners (a RELEASE from an open), and would
 * pile up if they had one turn among many. */
#define QUEUE_NOBODY UINT64_MAX
/* Owners that share a slot cost each other a place in a round, no more. */
#define QUEUE_SLOTS 1024u

struct fair_queue_item {
    struct fair_queue_item *next; /* of the same owner */
    struct fair_queue_item *last; /* in an owner's first: the owner's last */
    struct fair_queue_item *turn; /* in an owner's first: first of the owner that is next */
    uint64_t owner;
    size_t size;
    char data[];
};

/* Owners in the order of their turns, each by its first item. */
struct fair_queue_turns {
    struct fair_queue_item *first, *last;
};

/* All zero is empty. In a round each owner has one turn. Who comes anew and had none
 * in this round has it before those who had. */
struct fair_queue {
    struct fair_queue_turns now, deferred; /* in this round, in the next */
    struct fair_queue_item *nobody;
    bool nobody_was_last;
    size_t count, bytes;
    uint64_t round;
    uint64_t served[QUEUE_SLOTS]; /* by owner: the round after its last turn */
};

bool fair_queue_is_full(const struct fair_queue *queue);
/* Copies a request to the end of its owner's queue. 0 or -ENOMEM. */
int fair_queue_push(struct fair_queue *queue, uint64_t owner, const void *data, size_t size);
/* Takes out the request whose turn it is, to be freed; NULL: there is none. */
struct fair_queue_item *fair_queue_pop(struct fair_queue *queue);
/* Forgets all. */
void fair_queue_clear(struct fair_queue *queue);

#endif
