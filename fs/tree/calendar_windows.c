/* SPDX-License-Identifier: Apache-2.0 */
/* Windows for quotas; see calendar_windows.h. */
#include "calendar_windows.h"

#include "calendar.h"
#include "core/base/ns.h"

#define DAY_NS (CALENDAR_DAY_S * NS_PER_SECOND)

void calendar_windows_fill(struct calendar_windows *windows, int64_t wall_ns, int64_t offset_ns)
{
    int64_t week = calendar_weeks(wall_ns, windows->week_ns, CALENDAR_WEEKS + 1);
    int64_t day = calendar_days(wall_ns, windows->day_ns, CALENDAR_DAYS_MAX + 1);
    /* The lists end together, at the beginning of a week. */
    size_t days = CALENDAR_DAYS_MAX + 1 - (size_t)calendar_weekday(day);

    for (size_t i = 0; i < CALENDAR_WEEKS + 1; i++)
        windows->week_ns[i] -= offset_ns;
    for (size_t i = 0; i < days; i++)
        windows->day_ns[i] -= offset_ns;
    windows->quota.day = (struct windows){day, windows->day_ns, days, DAY_NS};
    windows->quota.week = (struct windows){week, windows->week_ns, CALENDAR_WEEKS + 1, 7 * DAY_NS};
}
