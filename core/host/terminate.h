/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder: what happens, step by step, to the processes of a partition that
 * ended. `none` leaves them alone, `term` asks them to end (SIGTERM) and after the
 * grace ends them (SIGKILL), `kill` ends them at once. It goes on until the last one
 * is gone, and tells each step. Time is an argument; who the processes are, the
 * process tracker knows. It must not know why a partition ended.
 */
#ifndef CHRONOS_HOST_TERMINATE_H
#define CHRONOS_HOST_TERMINATE_H

#include "core/engine/partition.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct termination;

/* Something happened to the processes of `partition`: the word of the log's line and
 * its details. */
typedef void terminate_note_fn(void *context, const struct partition *partition, const char *word,
                               const char *details);

/* `process tracker` is borrowed and must outlive it. 0 or -ENOMEM. */
int terminate_new(struct proctrack *proctrack, terminate_note_fn *note, void *context,
                  struct termination **ret_ladder);
/* Frees it, wherever its partitions are on it; returns NULL. */
struct termination *terminate_free(struct termination *termination);
/* `partition` ended at partition->end_ns. What was added before is left as it is. The
 * first step is taken by the next terminate_step. 0 or -ENOMEM. */
int terminate_add(struct termination *termination, int64_t now_ns,
                  const struct partition *partition);
/* Takes every step that is due, or as many as there is time for; then the next call takes
 * the others. */
void terminate_step(struct termination *termination, int64_t now_ns);
/* When terminate_step must be called next; INT64_MAX when never. */
int64_t terminate_next_ns(const struct termination *termination);
/* Whether the processes of partition `id` are being ended now: not where on_expiry
 * leaves them alone. */
bool terminate_ends(const struct termination *termination, uint64_t id);

#endif
