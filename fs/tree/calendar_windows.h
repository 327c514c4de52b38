/* SPDX-License-Identifier: Apache-2.0 */
/* The days and weeks of local time as windows of engine time, for quotas. */
#ifndef CHRONOS_TREE_CALENDAR_WINDOWS_H
#define CHRONOS_TREE_CALENDAR_WINDOWS_H

#include "core/engine/quota.h"

#define CALENDAR_WEEKS    60 /* listed exactly; later ones have 7 x 24 hours */
#define CALENDAR_DAYS_MAX (7 * CALENDAR_WEEKS)

/* Points into itself: do not copy it. */
struct calendar_windows {
    struct quota_calendar quota;
    int64_t day_ns[CALENDAR_DAYS_MAX + 1], week_ns[CALENDAR_WEEKS + 1];
};

/* Fill in the windows from the day and the week of wall_ns on. `offset_ns` is CLOCK_REALTIME less
 * engine time. Fill them in again when the offset has changed and when half of them are over: what
 * is charged needs no other change. */
void calendar_windows_fill(struct calendar_windows *windows, int64_t wall_ns, int64_t offset_ns);

#endif
