/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder: what happens, step by step, to the processes of a partition that
 * ended. `none` leaves them alone, `term` asks them to end (SIGTERM) and after the
 * grace ends them (SIGKILL), `kill` ends them at once. It goes on until the last one
 * is gone, and tells each step. Time is an argument; who the processes are, the
 * enforcer knows. It must not know why a partition ended.
 */
#ifndef CHRONOS_FS_LADDER_H
#define CHRONOS_FS_LADDER_H

#include "../core/enforcer/enforcer.h"
#include "../core/engine/partition.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ladder;

/* Something happened to the processes of `partition`: the word of the log's line and
 * its details. */
typedef void ladder_note_fn(void *context, const struct partition *partition, const char *word,
                            const char *details);

/* `enforcer` is borrowed and must outlive it. 0 or -ENOMEM. */
int ladder_new(struct enforcer *enforcer, ladder_note_fn *note, void *context,
               struct ladder **ret_ladder);
/* Frees it, wherever its partitions are on it; returns NULL. */
struct ladder *ladder_free(struct ladder *ladder);
/* `partition` ended at partition->end_ns. What was added before is left as it is. The
 * first step is taken by the next ladder_step. 0 or -ENOMEM. */
int ladder_add(struct ladder *ladder, int64_t now_ns, const struct partition *partition);
/* Takes every step that is due, or as many as there is time for; then the next call takes
 * the others. */
void ladder_step(struct ladder *ladder, int64_t now_ns);
/* When ladder_step must be called next; INT64_MAX when never. */
int64_t ladder_next_ns(const struct ladder *ladder);
/* Whether the processes of partition `id` are being ended now: not where on_expiry
 * leaves them alone. */
bool ladder_ends(const struct ladder *ladder, uint64_t id);

#endif
