/* SPDX-License-Identifier: Apache-2.0 */
/* What every step does: ask, go on, and end; see suspend_part.h. */
#include "suspend_part.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY_NS (60 * NS_PER_SECOND) /* between two looks whether any is left */

/* It needs no driver process for now. */
void suspend_part_rest(struct suspensions *suspensions, struct suspension *suspension)
{
    suspension->checkpoint = checkpoint_free(suspension->checkpoint);
    suspensions->running -= suspension->running;
    suspension->running = false;
    free(suspension->members);
    suspension->members = NULL;
    suspension->member_count = suspension->member_capacity = 0;
}

void suspend_part_forget(struct suspensions *suspensions, struct suspension *suspension)
{
    suspend_part_rest(suspensions, suspension);
    avl_remove(&suspensions->by_id, &suspension->by_id);
    free(suspension);
}

void suspend_part_report(struct suspensions *suspensions, const struct suspension *suspension,
                         enum suspend_outcome outcome, int64_t now_ns)
{
    struct suspend_report report = {.outcome = outcome,
                                    .bytes = suspension->bytes,
                                    .count = suspension->count,
                                    .took_ns = now_ns - suspension->begun_ns};
    memcpy(report.why, suspension->why, sizeof(report.why));
    suspensions->start.report(suspensions->start.context, &suspension->partition, &report);
}

/* -- steps ------------------------------------------------------------------------------------ */

void suspend_part_enter(struct suspension *suspension, enum suspend_step step, int64_t due_ns)
{
    suspension->step = step;
    suspension->due_ns = due_ns;
}

void suspend_part_turn(struct suspension *suspension, bool back, int64_t now_ns)
{
    suspension->back = back;
    suspension->failing = suspension->lost = suspension->again = false;
    suspension->rounds = suspension->doubts = 0;
    suspension->doubted = 0;
    suspension->begun_ns = now_ns;
    suspension->why[0] = '\0';
    suspend_part_enter(suspension, STEP_TURN, now_ns);
}

void suspend_part_away(struct suspensions *suspensions, struct suspension *suspension,
                       enum suspend_outcome outcome, int64_t now_ns)
{
    suspend_part_report(suspensions, suspension, outcome, now_ns);
    suspend_part_rest(suspensions, suspension);
    suspension->back = suspension->again = false;
    suspend_part_enter(suspension, STEP_AWAY, now_ns + AWAY_NS);
}

/* It is over, and its processes run, or are to be killed. */
void suspend_part_finish(struct suspensions *suspensions, struct suspension *suspension,
                         enum suspend_outcome outcome, int64_t now_ns)
{
    suspend_part_report(suspensions, suspension, outcome, now_ns);
    if (suspension->again && outcome == SUSPEND_BACK) {
        suspend_part_rest(suspensions, suspension);
        suspension->frozen = false;
        suspend_part_turn(suspension, false, now_ns);
        return;
    }
    suspend_part_forget(suspensions, suspension);
}

/* Ask about those in these states (or `unasked`), and go on in `step` with the answer. 0: there are
 * none; negative: it failed. */
int suspend_part_ask(struct suspensions *suspensions, struct suspension *suspension,
                     enum suspend_step step, enum checkpoint_call call, bool unasked,
                     unsigned states, int64_t limit_ms)
{
    int32_t pids[CHECKPOINT_PROCESS_MAX];
    uint32_t count = suspend_members_pids(suspension, unasked, states, pids);
    int r = 0;
    if (count == 0 && call != CHECKPOINT_FIGURES && call != CHECKPOINT_LOOK)
        return 0;
    if (!suspension->checkpoint)
        r = suspensions->start.open(suspensions->start.context,
                                    suspension->partition.shares[0].device,
                                    &suspension->checkpoint);
    if (!r)
        r = checkpoint_ask(suspension->checkpoint, call, pids, count, (int)limit_ms);
    if (r)
        return r;
    suspend_part_enter(suspension, step, INT64_MAX);
    return 1;
}

/* The time that a call may take which moves memory. */
int64_t suspend_part_move_ms(const struct suspensions *suspensions)
{
    int64_t ms = suspensions->start.policy->max_suspend_ns / NS_PER_MS;
    return ms < INT32_MAX ? ms : INT32_MAX;
}
