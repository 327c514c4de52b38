/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the processes of partitions that ended, step by step, as on_expiry says: `none` leaves
 * them alone, `term` sends SIGTERM and after the grace SIGKILL, `kill` sends SIGKILL at once.
 * It goes on until the last process is gone, and notes each step. The caller passes the time;
 * the process tracker knows the processes. It must not know why a partition ended.
 */
#ifndef CHRONOS_HOST_TERMINATE_H
#define CHRONOS_HOST_TERMINATE_H

#include "core/engine/partition.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line for the log about the processes of `partition`. */
typedef void terminate_note_fn(void *context, const struct partition *partition, const char *word,
                               const char *details);

/* All zero at the start, but for the first three. */
struct termination {
    struct proctrack *proctrack; /* borrowed */
    terminate_note_fn *note;
    void *context;
    struct ending *endings; /* malloc */
    size_t count, capacity;
    size_t turn; /* the ending whose step comes next */
};

/* Adds a partition, which ended at partition->end_ns; one that is there stays as it is. Its
 * first step is taken by the next terminate_step. 0 or -ENOMEM. */
int terminate_add(struct termination *termination, int64_t now_ns,
                  const struct partition *partition);
/* Takes the steps that are due, for 100 ms at most; the next call takes the rest. */
void terminate_step(struct termination *termination, int64_t now_ns);
/* When terminate_step must be called next; INT64_MAX: never. */
int64_t terminate_next_ns(const struct termination *termination);
/* Whether the processes of partition `id` are being ended: not where on_expiry is none. */
bool terminate_ends(const struct termination *termination, uint64_t id);

#endif
