/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What threads send each other: a queue under a lock, with a descriptor that is readable
 * while there is something to take. Any thread may put, one thread takes. Nothing here
 * waits but mailbox_wait and mailbox_thread_stop.
 *
 * A thread that works for another has two: `in` for what it is to do, `out` for what
 * became of it; see mailbox_thread.
 */
#ifndef CHRONOS_BASE_MAILBOX_H
#define CHRONOS_BASE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* What a thing that is sent begins with. */
struct mail {
    struct mail *next;
};

struct mailbox {
    int fd; /* readable: something to take, or closed */
    pthread_mutex_t lock;
    /* under lock */
    struct mail *first, **last;
    size_t count, lazy_max;
    bool attentive, called, closed;
};

/* 0 or -errno. */
int mailbox_init(struct mailbox *mailbox);
/* Things that were not taken remain the caller's. One that is all zero is fine. */
void mailbox_destroy(struct mailbox *mailbox);

/* Sends one thing and wakes the taker. */
void mailbox_put(struct mailbox *mailbox, struct mail *mail);
/* Sends a list in its order; NULL is none. `lazy`: the taker need not wake for it, unless
 * it is attentive, or more than lazy_max things (0 at first) wait. */
void mailbox_put_list(struct mailbox *mailbox, struct mail *first, bool lazy);
/* All that was sent, oldest first, or NULL. */
struct mail *mailbox_take(struct mailbox *mailbox);
/* How many things wait. */
size_t mailbox_count(struct mailbox *mailbox);
/* Before the taker waits: whether it wants to wake for lazy things too. Returns whether
 * it may wait: false when it is attentive and something is there already. */
bool mailbox_rest(struct mailbox *mailbox, bool attentive);
/* Waits until there is something to take, or until the mailbox is closed: true. False:
 * timeout_ms is over; -1 never is. */
bool mailbox_wait(struct mailbox *mailbox, int timeout_ms);
/* Wakes the taker for good: its descriptor stays readable. */
void mailbox_close(struct mailbox *mailbox);
/* What was put before is still there to be taken. */
bool mailbox_is_closed(struct mailbox *mailbox);

/* A thread and its two mailboxes. It runs `run` until that returns, which it does soon after
 * `in` is closed. */
struct mailbox_thread {
    struct mailbox in, out;
    pthread_t thread;
    bool runs;
};

/* Makes the mailboxes and starts the thread. 0, or -errno and nothing to stop. */
int mailbox_thread_start(struct mailbox_thread *thread, void *(*run)(void *context), void *context);
/* Closes `in` and waits for the thread's end. What is left in both mailboxes is to be taken before
 * mailbox_thread_free. Both do nothing for one that is all zero. */
void mailbox_thread_stop(struct mailbox_thread *thread);
void mailbox_thread_free(struct mailbox_thread *thread);

#endif
