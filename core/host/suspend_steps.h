/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a partition on its way (suspend_steps.c), for suspend.c. */
#ifndef CHRONOS_HOST_SUSPEND_STEPS_H
#define CHRONOS_HOST_SUSPEND_STEPS_H

#include "suspend_members.h"

/* Let it wait for its turn to leave, or to come back. */
void suspend_steps_turn(struct suspension *suspension, bool back, int64_t now_ns);
/* Its turn has come. */
void suspend_steps_begin(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns);
/* Take the step that is due or answered, if any. It may forget the suspension. */
void suspend_steps_take(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns);
/* Its figures are durable. */
void suspend_steps_noted(struct suspensions *suspensions, struct suspension *suspension,
                         int64_t now_ns);
/* It is away still: report that. */
void suspend_steps_away(struct suspensions *suspensions, struct suspension *suspension,
                        int64_t now_ns);
/* None of its processes is left: report that, and forget it. */
void suspend_steps_report_empty(struct suspensions *suspensions, struct suspension *suspension,
                                int64_t now_ns);
void suspend_steps_forget(struct suspensions *suspensions, struct suspension *suspension);
/* When it has to be away; INT64_MAX: it is not leaving. */
int64_t suspend_steps_limit_ns(const struct suspensions *suspensions,
                               const struct suspension *suspension);

#endif
