/* SPDX-License-Identifier: Apache-2.0 */
/* The steps on the way back; see suspend_part.h. */
#include "suspend_part.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3 /* to restore those that do not answer, or find no room after all */

/* -- coming back ------------------------------------------------------------------------------ */

uint64_t suspend_in_needed(const struct suspension *suspension)
{
    return suspension->bytes + suspension->count * SUSPEND_SPARE_BYTES;
}

void suspend_in_ask_room(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns)
{
    suspension->member_count = 0; /* they are frozen: only figures of the device */
    if (suspend_members_list(suspensions, suspension) < 0 ||
        suspend_part_ask(suspensions, suspension, STEP_ROOM, CHECKPOINT_FIGURES, false, SUSPEND_ANY,
                         SUSPEND_LOOK_MS) <= 0)
        suspend_part_enter(suspension, STEP_ROOM, now_ns + SUSPEND_ROOM_NS);
}

/* There is none now, or it is not known. */
void suspend_in_no_room(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns)
{
    if (now_ns - suspension->begun_ns < SUSPEND_ROOM_MOST_NS && !suspension->again &&
        suspension->rounds <= TRIES_MAX) {
        suspend_part_enter(suspension, STEP_ROOM, now_ns + SUSPEND_ROOM_NS);
        return;
    }
    snprintf(suspension->why, sizeof(suspension->why),
             "The device has less than %llu MiB free, which others use.",
             (unsigned long long)(suspend_in_needed(suspension) >> 20));
    suspend_part_away(suspensions, suspension, suspension->again ? SUSPEND_DONE : SUSPEND_NO_ROOM,
                      now_ns);
}

/* Is there room? One that went to the device while all were thawed cannot be left there. */
void suspend_in_roomy(struct suspensions *suspensions, struct suspension *suspension,
                      const struct checkpoint_answer *answer, int64_t now_ns)
{
    bool clear = !suspension->crowded;
    for (uint32_t i = 0; i < answer->count; i++)
        clear = clear && answer->process[i].bytes == 0;
    if (!clear)
        suspend_undo(suspensions, suspension, now_ns,
                     "Some of its processes went to the device before the others were back.");
    else if (!suspension->again && suspension->rounds <= TRIES_MAX && answer->known &&
             answer->free_bytes >= suspend_in_needed(suspension))
        suspend_undo_thaw(suspensions, suspension, now_ns);
    else
        suspend_in_no_room(suspensions, suspension, now_ns);
}

void suspend_in_unlock(struct suspensions *suspensions, struct suspension *suspension,
                       int64_t now_ns)
{
    int r = suspend_part_ask(suspensions, suspension, STEP_UNLOCK, CHECKPOINT_UNLOCK, false,
                             SUSPEND_IN(CHECKPOINT_LOCKED), SUSPEND_UNLOCK_MS);
    if (r < 0)
        suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    else if (!r)
        suspend_part_finish(suspensions, suspension, SUSPEND_BACK, now_ns);
}

/* Right before they are restored: is there room still? */
void suspend_in_come_back(struct suspensions *suspensions, struct suspension *suspension,
                          const struct checkpoint_answer *answer, int64_t now_ns)
{
    uint32_t saved, here;
    suspend_members_bytes(suspension, SUSPEND_IN(CHECKPOINT_SAVED), &saved);
    uint64_t bytes = suspend_members_bytes(suspension, ~SUSPEND_IN(CHECKPOINT_SAVED), &here);
    uint64_t needed = suspend_in_needed(suspension);
    needed = bytes < needed ? needed - bytes : 0; /* after a restart some may be back already */
    bool room = answer->known && answer->free_bytes >= needed;
    if (answer->result || (saved > 0 && !room)) {
        suspend_undo_return(suspensions, suspension, now_ns);
        return;
    }
    int r = suspend_part_ask(suspensions, suspension, STEP_RESTORE, CHECKPOINT_RESTORE, false,
                             SUSPEND_IN(CHECKPOINT_SAVED), suspend_part_move_ms(suspensions));
    if (r < 0)
        suspend_undo(suspensions, suspension, now_ns, "The driver process cannot be asked.");
    else if (!r)
        suspend_in_unlock(suspensions, suspension, now_ns);
}
