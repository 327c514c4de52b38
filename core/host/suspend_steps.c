/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step after the other, on the way out and back; see suspend.h. A step asks the checkpoint
 * port, and the answer leads to the next one; what fails is undone from where it was.
 */
#include "suspend_steps.h"
#include "suspend_part.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAY_NS (60 * NS_PER_SECOND) /* between two looks whether any is left */

static void states(struct suspensions *suspensions, struct suspension *suspension,
                   const struct checkpoint_answer *answer, int64_t now_ns)
{
    suspension->unsure &= answer->result != 0;
    suspend_members_take(suspension, answer);
    suspend_members_kill(suspensions, suspension, CHECKPOINT_FAILED);
    if (suspension->failing)
        suspend_undo_restore(suspensions, suspension, answer, now_ns);
    else
        suspend_in_come_back(suspensions, suspension, answer, now_ns);
}

/* -- answers ---------------------------------------------------------------------------------- */

/* Note what a call has done; whether all that are still there have it. */
static bool done(struct suspensions *suspensions, struct suspension *suspension,
                 const struct checkpoint_answer *answer, uint32_t state, const char *what,
                 int64_t now_ns)
{
    const struct checkpoint_process *failed = NULL;
    if (!answer->result)
        failed = suspend_members_done(suspensions, suspension, answer, state);
    if (suspension->failing || (!failed && !answer->result))
        return true;
    if (!failed) {
        suspend_undo(suspensions, suspension, now_ns, answer->note);
        return false;
    }
    suspend_undo_call(suspensions, suspension, failed, what, now_ns);
    return false;
}

static void restored(struct suspensions *suspensions, struct suspension *suspension,
                     const struct checkpoint_answer *answer, int64_t now_ns)
{
    if (!done(suspensions, suspension, answer, CHECKPOINT_LOCKED, "restored", now_ns))
        return;
    if (suspension->failing)
        suspend_undo_unlock(suspensions, suspension, now_ns);
    else
        suspend_in_unlock(suspensions, suspension, now_ns);
}

static void answered(struct suspensions *suspensions, struct suspension *suspension,
                     const struct checkpoint_answer *answer, int64_t now_ns)
{
    switch (suspension->step) {
    case STEP_LOOK:
        suspend_out_looked(suspensions, suspension, answer, now_ns);
        break;
    case STEP_LOCK:
        if (done(suspensions, suspension, answer, CHECKPOINT_LOCKED, "locked", now_ns))
            suspend_out_look(suspensions, suspension, now_ns);
        break;
    case STEP_WEIGH:
        suspend_out_weighed(suspensions, suspension, answer, now_ns);
        break;
    case STEP_SAVE:
        if (done(suspensions, suspension, answer, CHECKPOINT_SAVED, "checkpointed", now_ns))
            suspend_part_enter(suspension, STEP_FREEZE, now_ns);
        break;
    case STEP_CHECK:
        suspend_out_checked(suspensions, suspension, answer, now_ns);
        break;
    case STEP_ROOM:
        suspend_in_roomy(suspensions, suspension, answer, now_ns);
        break;
    case STEP_STATES:
        states(suspensions, suspension, answer, now_ns);
        break;
    case STEP_RESTORE:
        restored(suspensions, suspension, answer, now_ns);
        break;
    case STEP_UNLOCK:
        if (!done(suspensions, suspension, answer, CHECKPOINT_RUNNING, "unlocked", now_ns))
            break;
        suspend_part_finish(suspensions, suspension,
                            suspension->back   ? SUSPEND_BACK
                            : suspension->lost ? SUSPEND_LOST
                                               : SUSPEND_FAILED,
                            now_ns);
        break;
    default:
        break;
    }
}

/* A question is over without an answer. */
static void unanswered(struct suspensions *suspensions, struct suspension *suspension, int r,
                       int64_t now_ns)
{
    if (suspension->step == STEP_ROOM) /* they are frozen, and unharmed */
        suspend_in_no_room(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_STATES && suspension->back)
        suspend_undo_return(suspensions, suspension, now_ns);
    else if (suspension->failing && suspension->step == STEP_UNLOCK)
        suspend_part_finish(suspensions, suspension, SUSPEND_LOST, now_ns);
    else
        suspend_undo(suspensions, suspension, now_ns,
                     r == -ETIMEDOUT ? "The driver did not answer in time."
                                     : "The driver process ended, or sent an invalid answer.");
}

/* -- for suspend.c -------------------------------------------------------------------------- */

/* Whether it has to be away by then. */
static bool is_leaving(const struct suspension *suspension)
{
    return !suspension->back && !suspension->failing && suspension->step != STEP_AWAY;
}

int64_t suspend_steps_limit_ns(const struct suspensions *suspensions,
                               const struct suspension *suspension)
{
    int64_t most_ns = suspensions->start.policy->max_suspend_ns;
    if (!is_leaving(suspension))
        return INT64_MAX;
    return suspension->begun_ns > INT64_MAX - most_ns ? INT64_MAX : suspension->begun_ns + most_ns;
}

void suspend_steps_begin(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns)
{
    suspension->running = true;
    suspensions->running++;
    if (suspensions->start.impossible && suspension->back)
        suspend_part_away(suspensions, suspension, SUSPEND_NO_ROOM, now_ns);
    else if (suspensions->start.impossible)
        suspend_undo(suspensions, suspension, now_ns, suspensions->start.impossible);
    else if (suspension->back && !suspension->frozen) { /* after a restart: where are they? */
        suspension->unsure = true;
        suspension->begun_ns = now_ns;
        suspend_undo_thaw(suspensions, suspension, now_ns);
    } else if (suspension->back)
        suspend_part_enter(suspension, STEP_ROOM, now_ns);
    else if (suspension->frozen) /* so it was the last step; they must not be asked */
        suspend_part_enter(suspension, STEP_FREEZE, now_ns);
    else
        suspend_out_look(suspensions, suspension, now_ns);
}

void suspend_steps_turn(struct suspension *suspension, bool back, int64_t now_ns)
{
    suspend_part_turn(suspension, back, now_ns);
}

void suspend_steps_away(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns)
{
    suspend_part_away(suspensions, suspension, SUSPEND_DONE, now_ns);
}

void suspend_steps_forget(struct suspensions *suspensions, struct suspension *suspension)
{
    suspend_part_forget(suspensions, suspension);
}

void suspend_steps_noted(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns)
{
    if (suspension->step == STEP_NOTED)
        suspend_out_save(suspensions, suspension, now_ns);
}

void suspend_steps_report_empty(struct suspensions *suspensions, struct suspension *suspension,
                                int64_t now_ns)
{
    suspend_part_finish(suspensions, suspension, SUSPEND_EMPTY, now_ns);
}

/* Look whether any of those that are away is left. */
static void look_away(struct suspensions *suspensions, struct suspension *suspension,
                      int64_t now_ns)
{
    int count =
        proctrack_members(suspensions->start.proctrack, suspension->partition.id, NULL, NULL);
    suspension->due_ns = now_ns + AWAY_NS;
    if (count == 0 && !suspensions->start.impossible) /* else they cannot be seen */
        suspend_part_finish(suspensions, suspension, SUSPEND_EMPTY, now_ns);
}

void suspend_steps_take(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns)
{
    const struct checkpoint_answer *answer;
    if (now_ns >= suspend_steps_limit_ns(suspensions, suspension)) {
        suspend_undo(suspensions, suspension, now_ns, "It takes longer than max_suspend allows.");
        return;
    }
    if (suspension->checkpoint && checkpoint_fd(suspension->checkpoint) >= 0) {
        int r = checkpoint_take(suspension->checkpoint, &answer);
        if (!r)
            answered(suspensions, suspension, answer, now_ns);
        else if (r != -EAGAIN)
            unanswered(suspensions, suspension, r, now_ns);
        return;
    }
    if (suspension->due_ns > now_ns)
        return;
    if (suspension->step == STEP_AGAIN)
        suspend_out_look(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_FREEZE)
        suspend_out_freeze(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_ROOM)
        suspend_in_ask_room(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_THAW) /* nothing else can be asked */
        suspend_undo_unlock(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_STATES)
        suspend_undo_thaw(suspensions, suspension, now_ns);
    else if (suspension->step == STEP_AWAY)
        look_away(suspensions, suspension, now_ns);
}
