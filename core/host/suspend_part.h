/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a suspension, for suspend_steps.c. Each ends with a question to the checkpoint port,
 * with a moment to go on, or with a report.
 */
#ifndef CHRONOS_HOST_SUSPEND_PART_H
#define CHRONOS_HOST_SUSPEND_PART_H

#include "suspend_members.h"

#define SUSPEND_LOOK_MS      10000 /* to ask all for their states */
#define SUSPEND_UNLOCK_MS    30000
#define SUSPEND_FREEZE_NS    (20 * NS_PER_MS)     /* between two looks whether all have stopped */
#define SUSPEND_ROOM_NS      NS_PER_SECOND        /* between two questions for room */
#define SUSPEND_ROOM_MOST_NS (30 * NS_PER_SECOND) /* how long to ask for it */

/* -- suspend_part.c -- */

/* It needs no driver process and no turn for now. */
void suspend_part_rest(struct suspensions *suspensions, struct suspension *suspension);
void suspend_part_forget(struct suspensions *suspensions, struct suspension *suspension);
void suspend_part_enter(struct suspension *suspension, enum suspend_step step, int64_t due_ns);
void suspend_part_turn(struct suspension *suspension, bool back, int64_t now_ns);
void suspend_part_away(struct suspensions *suspensions, struct suspension *suspension,
                       enum suspend_outcome outcome, int64_t now_ns);
void suspend_part_report(struct suspensions *suspensions, const struct suspension *suspension,
                         enum suspend_outcome outcome, int64_t now_ns);
/* It is over, and its processes run, or are to be killed. */
void suspend_part_finish(struct suspensions *suspensions, struct suspension *suspension,
                         enum suspend_outcome outcome, int64_t now_ns);
/* Ask about those in these states (or `unasked`), and go on in `step` with the answer. 0: there are
 * none; negative: it failed. */
int suspend_part_ask(struct suspensions *suspensions, struct suspension *suspension,
                     enum suspend_step step, enum checkpoint_call call, bool unasked,
                     unsigned states, int64_t limit_ms);
/* The time that a call may take which moves memory. */
int64_t suspend_part_move_ms(const struct suspensions *suspensions);

/* -- suspend_undo.c -- */

/* Undo what was done, for this reason; NULL: the one that is set. Whatever a call that failed has
 * done is found by asking. On the way back there is nothing to undo: its processes are lost. */
void suspend_undo(struct suspensions *suspensions, struct suspension *suspension, int64_t now_ns,
                  const char *why);
/* Those on the way back cannot be restored now: freeze them again, unless some are back. */
void suspend_undo_return(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns);
/* Undo it because a call failed. */
void suspend_undo_call(struct suspensions *suspensions, struct suspension *suspension,
                       const struct checkpoint_process *failed, const char *what, int64_t now_ns);
/* Thaw all, and ask for their states. */
void suspend_undo_thaw(struct suspensions *suspensions, struct suspension *suspension,
                       int64_t now_ns);
void suspend_undo_restore(struct suspensions *suspensions, struct suspension *suspension,
                          const struct checkpoint_answer *answer, int64_t now_ns);
void suspend_undo_unlock(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns);

/* -- suspend_out.c -- */

/* List again until there is no new one; then their figures have to be durable. */
void suspend_out_look(struct suspensions *suspensions, struct suspension *suspension,
                      int64_t now_ns);
void suspend_out_looked(struct suspensions *suspensions, struct suspension *suspension,
                        const struct checkpoint_answer *answer, int64_t now_ns);
void suspend_out_weighed(struct suspensions *suspensions, struct suspension *suspension,
                         const struct checkpoint_answer *answer, int64_t now_ns);
void suspend_out_save(struct suspensions *suspensions, struct suspension *suspension,
                      int64_t now_ns);
void suspend_out_freeze(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns);
void suspend_out_checked(struct suspensions *suspensions, struct suspension *suspension,
                         const struct checkpoint_answer *answer, int64_t now_ns);

/* -- suspend_in.c -- */

uint64_t suspend_in_needed(const struct suspension *suspension);
void suspend_in_ask_room(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns);
void suspend_in_no_room(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns);
void suspend_in_roomy(struct suspensions *suspensions, struct suspension *suspension,
                      const struct checkpoint_answer *answer, int64_t now_ns);
/* Right before they are restored: is there room still? */
void suspend_in_come_back(struct suspensions *suspensions, struct suspension *suspension,
                          const struct checkpoint_answer *answer, int64_t now_ns);
void suspend_in_unlock(struct suspensions *suspensions, struct suspension *suspension,
                       int64_t now_ns);

#endif
