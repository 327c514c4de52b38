/* SPDX-License-Identifier: Apache-2.0 */
/* The steps on the way out; see suspend_part.h. */
#include "suspend_part.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 3  /* of listings that find new processes */
#define DOUBTS_MAX 10 /* how often to look again at one that may be ending */
#define DOUBT_NS   (100 * NS_PER_MS)
#define LOCK_MS    20000 /* half of it for each process (checkpoint.h) */

/* -- leaving -------------------------------------------------------------------------------- */

void suspend_out_save(struct suspensions *suspensions, struct suspension *suspension,
                      int64_t now_ns)
{
    int r = suspend_part_ask(suspensions, suspension, STEP_SAVE, CHECKPOINT_SAVE, false,
                             SUSPEND_IN(CHECKPOINT_LOCKED), suspend_part_move_ms(suspensions));
    if (r < 0)
        suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    else if (!r)
        suspend_part_enter(suspension, STEP_FREEZE, now_ns);
}

/* List again until there is no new one; then their figures have to be durable. */
void suspend_out_look(struct suspensions *suspensions, struct suspension *suspension,
                      int64_t now_ns)
{
    int fresh = suspend_members_list(suspensions, suspension);
    if (fresh < 0)
        suspend_undo(suspensions, suspension, now_ns, "Its processes cannot be listed.");
    else if (fresh == 0 && suspension->crowded) /* else they are asked first: some can be locked */
        suspend_undo(suspensions, suspension, now_ns, "It has too many processes.");
    else if (fresh > 0 && !suspension->doubted && suspension->rounds++ == ROUNDS_MAX)
        suspend_undo(suspensions, suspension, now_ns, "It has new processes all the time.");
    else if (suspension->member_count == 0)
        suspend_undo(suspensions, suspension, now_ns, "");
    else if (fresh > 0) {
        if (suspend_part_ask(suspensions, suspension, STEP_LOOK, CHECKPOINT_LOOK, true, 0,
                             SUSPEND_LOOK_MS) < 0)
            suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    } else if (suspend_part_ask(suspensions, suspension, STEP_WEIGH, CHECKPOINT_FIGURES, false,
                                SUSPEND_ANY, SUSPEND_LOOK_MS) < 0) {
        suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    }
}

void suspend_out_weighed(struct suspensions *suspensions, struct suspension *suspension,
                         const struct checkpoint_answer *answer, int64_t now_ns)
{
    uint32_t saved, count;
    if (!suspend_members_weigh(suspensions, suspension, answer)) {
        suspend_undo(suspensions, suspension, now_ns, NULL);
        return;
    }
    uint64_t bytes = suspend_members_bytes(suspension, ~SUSPEND_IN(CHECKPOINT_SAVED), &count);
    suspend_members_bytes(suspension, SUSPEND_IN(CHECKPOINT_SAVED), &saved);
    /* After a restart some may be away already: their figure is among those that are known. */
    if (saved == 0 || bytes > suspension->bytes)
        suspension->bytes = bytes;
    if (saved == 0 || count > suspension->count)
        suspension->count = count + saved;
    suspend_part_enter(suspension, STEP_NOTED, INT64_MAX);
    suspend_part_report(suspensions, suspension, SUSPEND_MEASURED, now_ns);
}

void suspend_out_looked(struct suspensions *suspensions, struct suspension *suspension,
                        const struct checkpoint_answer *answer, int64_t now_ns)
{
    suspend_members_take(suspension, answer);
    if (!suspend_members_check(suspensions, suspension, answer)) {
        if (suspension->doubted && suspension->doubts++ < DOUBTS_MAX) {
            suspend_members_doubt(suspension);
            suspend_part_enter(suspension, STEP_AGAIN, now_ns + DOUBT_NS);
        } else {
            suspend_undo(suspensions, suspension, now_ns, NULL);
        }
        return;
    }
    int r = suspend_part_ask(suspensions, suspension, STEP_LOCK, CHECKPOINT_LOCK, false,
                             SUSPEND_IN(CHECKPOINT_RUNNING), LOCK_MS);
    if (r < 0)
        suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    else if (!r)
        suspend_out_look(suspensions, suspension, now_ns);
}

void suspend_out_freeze(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns)
{
    suspension->frozen = true;
    int r = proctrack_freeze(suspensions->start.proctrack, suspension->partition.id, true);
    if (r == -EBUSY) {
        suspension->due_ns = now_ns + SUSPEND_FREEZE_NS;
        return;
    }
    if (suspension->back) { /* there was no room after all */
        suspend_part_enter(suspension, STEP_ROOM, now_ns + NS_PER_SECOND);
        return;
    }
    if (r || suspend_members_list(suspensions, suspension) < 0 ||
        suspension->crowded || /* some could be on the device, and are not asked about */
        suspend_part_ask(suspensions, suspension, STEP_CHECK, CHECKPOINT_FIGURES, false,
                         SUSPEND_ANY, SUSPEND_LOOK_MS) <= 0)
        suspend_undo(suspensions, suspension, now_ns, "Its processes cannot be frozen.");
}

void suspend_out_checked(struct suspensions *suspensions, struct suspension *suspension,
                         const struct checkpoint_answer *answer, int64_t now_ns)
{
    bool clear = answer->known;
    for (uint32_t i = 0; i < answer->count; i++)
        clear = clear && answer->process[i].bytes == 0;
    if (clear)
        suspend_part_away(suspensions, suspension, SUSPEND_DONE, now_ns);
    else if (suspension->doubts++ < DOUBTS_MAX)
        suspend_part_enter(suspension, STEP_FREEZE, now_ns + DOUBT_NS); /* and asks again */
    else
        suspend_undo(suspensions, suspension, now_ns,
                     "Some of its processes are on the device still.");
}
