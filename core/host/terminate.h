/* SPDX-License-Identifier: Apache-2.0 */
/*
 * End the processes of ended partitions step by step, as on_expiry says: `none` leaves them alone,
 * `term` sends SIGTERM and SIGKILL after the grace, `kill` sends SIGKILL at once. Continue until
 * the last process is gone, and log each step. The caller passes the time; the process tracker
 * finds the processes. It must not know why a partition ended.
 */
#ifndef CHRONOS_HOST_TERMINATE_H
#define CHRONOS_HOST_TERMINATE_H

#include "core/base/avl.h"
#include "core/engine/partition.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write a log line about the processes of `partition`. */
typedef void terminate_note_fn(void *context, const struct partition *partition, const char *word,
                               const char *details);

/* Whether SIGKILL to the processes of a partition harms no others; asked again until it does not,
 * for a few seconds. */
typedef bool terminate_may_kill_fn(void *context, const struct partition *partition,
                                   int64_t now_ns);

/* Set the first four members; zero the rest. */
struct termination {
    struct proctrack *proctrack;     /* borrowed */
    terminate_may_kill_fn *may_kill; /* NULL: it may always */
    terminate_note_fn *note;
    void *context;
    struct avl by_id;
    struct ending **endings; /* all; malloc */
    size_t count, capacity;
    struct terminate_turn *turns; /* room for as many; malloc */
    size_t turn_capacity;
    struct { /* the last turn of a call that had no time for all */
        bool cut_short, kills;
        uint32_t account;
    } last;
};

/* Add a partition of an account that ended at partition->end_ns, unless it is already there. The
 * next terminate_step takes its first step. 0 or -ENOMEM. */
int terminate_add(struct termination *termination, int64_t now_ns,
                  const struct partition *partition, uint32_t account);
/* Stop ending a partition that has begun again: signals that were sent have been sent, and its
 * processes run on. Return whether it was being ended. */
bool terminate_drop(struct termination *termination, uint64_t id);
/* Forget all endings and free their memory. */
void terminate_clear(struct termination *termination);
/* Take the steps that are due, one of each account in a round, for 5 ms at most; the next call
 * takes the rest. No step waits for a process. */
void terminate_step(struct termination *termination, int64_t now_ns);
/* Return when to call terminate_step next; INT64_MAX: never. */
int64_t terminate_next_ns(const struct termination *termination);
/* Return whether the processes of partition `id` are being ended; false if on_expiry is none. */
bool terminate_ends(const struct termination *termination, uint64_t id);

#endif
