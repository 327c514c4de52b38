/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message queues between threads: a list under a lock, with a descriptor that is readable while
 * something is queued. Any thread may put, one thread takes. Only mailbox_wait and
 * mailbox_thread_stop block.
 *
 * A worker thread has two: `in` for work items, `out` for results; see mailbox_thread.
 */
#ifndef CHRONOS_BASE_MAILBOX_H
#define CHRONOS_BASE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Header of everything that is sent. */
struct mail {
    struct mail *next;
};

struct mailbox {
    int fd; /* readable while something is queued, and once closed */
    pthread_mutex_t lock;
    /* protected by lock */
    struct mail *first, **last;
    size_t count, lazy_max;
    bool attentive, called, closed;
};

/* 0 or -errno. */
int mailbox_init(struct mailbox *mailbox);
/* Items still queued belong to the caller. A mailbox that is all zero is allowed. */
void mailbox_destroy(struct mailbox *mailbox);

/* Send one item and wake the taker. */
void mailbox_put(struct mailbox *mailbox, struct mail *mail);
/* Send a list in order; NULL is empty. `lazy`: do not wake the taker, unless it is attentive or
 * more than lazy_max items (initially 0) are queued. */
void mailbox_put_list(struct mailbox *mailbox, struct mail *first, bool lazy);
/* Take everything sent, oldest first; NULL if empty. */
struct mail *mailbox_take(struct mailbox *mailbox);
/* Number of items queued. */
size_t mailbox_count(struct mailbox *mailbox);
/* Call before the taker waits. `attentive`: wake it for lazy items too. False if it must not wait
 * because it is attentive and something is queued. */
bool mailbox_rest(struct mailbox *mailbox, bool attentive);
/* Wait until something is queued or the mailbox is closed: true. False after timeout_ms; -1 waits
 * forever. */
bool mailbox_wait(struct mailbox *mailbox, int timeout_ms);
/* Close it: the taker wakes, and the descriptor stays readable. */
void mailbox_close(struct mailbox *mailbox);
/* Items put earlier can still be taken. */
bool mailbox_is_closed(struct mailbox *mailbox);

/* A thread with two mailboxes. `run` must return soon after `in` is closed. */
struct mailbox_thread {
    struct mailbox in, out;
    pthread_t thread;
    bool runs;
};

/* Create the mailboxes and start the thread. 0, or -errno with nothing to stop. */
int mailbox_thread_start(struct mailbox_thread *thread, void *(*run)(void *context), void *context);
/* Close `in` and wait for the thread to end; then free the mailboxes. Take what is left in both
 * before mailbox_thread_free. Both functions accept a struct that is all zero. */
void mailbox_thread_stop(struct mailbox_thread *thread);
void mailbox_thread_free(struct mailbox_thread *thread);

#endif
