/* SPDX-License-Identifier: Apache-2.0 */
/* Undo what was done of a suspension that fails; see suspend_part.h. */
#include "suspend_part.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUCK (SUSPEND_IN(CHECKPOINT_LOCKED) | SUSPEND_IN(CHECKPOINT_SAVED))

/* -- undoing -------------------------------------------------------------------------------- */

void suspend_undo_unlock(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns)
{
    int32_t pids[CHECKPOINT_PROCESS_MAX];
    suspension->lost |=
        suspend_members_pids(suspension, false, SUSPEND_IN(CHECKPOINT_SAVED), pids) > 0;
    if (suspend_part_ask(suspensions, suspension, STEP_UNLOCK, CHECKPOINT_UNLOCK, false,
                         SUSPEND_IN(CHECKPOINT_LOCKED), SUSPEND_UNLOCK_MS) <= 0)
        suspend_part_finish(suspensions, suspension,
                            suspension->lost ? SUSPEND_LOST : SUSPEND_FAILED, now_ns);
}

/* Restore those that were saved, if the device has room for them. */
void suspend_undo_restore(struct suspensions *suspensions, struct suspension *suspension,
                          const struct checkpoint_answer *answer, int64_t now_ns)
{
    uint32_t count;
    uint64_t bytes = suspend_members_bytes(suspension, SUSPEND_IN(CHECKPOINT_SAVED), &count);
    if (bytes < suspension->bytes && count > 0)
        bytes = suspension->bytes; /* after a restart that of each is unknown */
    bool room = answer && answer->known && !answer->result &&
                bytes + count * SUSPEND_SPARE_BYTES <= answer->free_bytes;
    if (!room ||
        suspend_part_ask(suspensions, suspension, STEP_RESTORE, CHECKPOINT_RESTORE, false,
                         SUSPEND_IN(CHECKPOINT_SAVED), suspend_part_move_ms(suspensions)) <= 0)
        suspend_undo_unlock(suspensions, suspension, now_ns);
}

/* Thaw all, and ask for their states. */
void suspend_undo_thaw(struct suspensions *suspensions, struct suspension *suspension,
                       int64_t now_ns)
{
    proctrack_freeze(suspensions->start.proctrack, suspension->partition.id, false);
    suspension->frozen = false;
    if (suspend_members_list(suspensions, suspension) < 0 ||
        suspend_part_ask(suspensions, suspension, STEP_STATES, CHECKPOINT_LOOK, false, SUSPEND_ANY,
                         SUSPEND_LOOK_MS) < 0) {
        if (suspension->back)
            suspend_undo_return(suspensions, suspension, now_ns);
        else
            suspend_part_enter(suspension, STEP_THAW, now_ns + SUSPEND_FREEZE_NS);
    }
}

/* Undo what was done. Whatever a call that failed has done is found by asking. */
void suspend_undo(struct suspensions *suspensions, struct suspension *suspension, int64_t now_ns,
                  const char *why)
{
    int32_t pids[CHECKPOINT_PROCESS_MAX];
    const bool touched = suspension->step > STEP_LOOK || suspension->frozen ||
                         suspend_members_pids(suspension, false, STUCK, pids) > 0;
    if (why)
        snprintf(suspension->why, sizeof(suspension->why), "%.*s", SUSPEND_WHY_MAX - 1, why);
    suspension->checkpoint = checkpoint_free(suspension->checkpoint);
    if (suspension->back) {
        suspend_part_finish(suspensions, suspension, SUSPEND_LOST, now_ns);
        return;
    }
    if (suspension->failing) { /* undoing failed as well: do what is left of it */
        suspend_undo_unlock(suspensions, suspension, now_ns);
        return;
    }
    suspension->failing = true;
    if (touched)
        suspend_undo_thaw(suspensions, suspension, now_ns);
    else
        suspend_part_finish(suspensions, suspension, SUSPEND_FAILED, now_ns);
}

/* They cannot be restored now. What is back already cannot wait frozen: it is on the device. */
void suspend_undo_return(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns)
{
    uint32_t here;
    suspend_members_bytes(suspension, ~SUSPEND_IN(CHECKPOINT_SAVED), &here);
    if (here == 0 && !suspension->unsure) {
        suspension->rounds++;
        suspend_part_enter(suspension, STEP_FREEZE, now_ns);
    } else if (now_ns - suspension->begun_ns < SUSPEND_ROOM_MOST_NS)
        suspend_part_enter(suspension, STEP_STATES, now_ns + SUSPEND_ROOM_NS);
    else
        suspend_undo(suspensions, suspension, now_ns, "Some of its processes cannot be restored.");
}

/* Say what a call failed with. */
void suspend_undo_call(struct suspensions *suspensions, struct suspension *suspension,
                       const struct checkpoint_process *failed, const char *what, int64_t now_ns)
{
    char why[SUSPEND_WHY_MAX];
    if (failed->result == CHECKPOINT_NOT_READY)
        snprintf(why, sizeof(why), "Process %d does not finish what it runs on the device.",
                 (int)failed->pid);
    else
        snprintf(why, sizeof(why), "Process %d cannot be %s (CUDA error %d).", (int)failed->pid,
                 what, (int)failed->result);
    suspend_undo(suspensions, suspension, now_ns, why);
}
