/* SPDX-License-Identifier: Apache-2.0 */
/* Local time; see calendar.h. Of time zones it uses only the offset at a moment. */
#include "calendar.h"

#include "core/base/ns.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WEEK_DAYS 7
#define THURSDAY  3 /* 1970-01-01 */

/* Divide, rounding down. */
static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool calendar_day(int year, int month, int mday, int64_t *ret_day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};

    timegm(&tm); /* settles year and month */
    struct tm date = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = mday};
    int64_t day = floor_divide(timegm(&date), CALENDAR_DAY_S);
    if (mday < 1 || date.tm_mon != tm.tm_mon)
        return false;
    *ret_day = day;
    return true;
}

void calendar_date(int64_t day, int *ret_year, int *ret_month, int *ret_mday)
{
    time_t then = (time_t)(day * CALENDAR_DAY_S);
    struct tm tm = {0};

    gmtime_r(&then, &tm);
    *ret_year = tm.tm_year + 1900;
    *ret_month = tm.tm_mon + 1;
    *ret_mday = tm.tm_mday;
}

void calendar_date_text(int64_t day, char text[static CALENDAR_DATE_MAX])
{
    int year, month, mday;

    calendar_date(day, &year, &month, &mday);
    snprintf(text, CALENDAR_DATE_MAX, "%04d-%02d-%02d", year, month, mday);
}

int calendar_weekday(int64_t day)
{
    return (int)(day + THURSDAY - WEEK_DAYS * floor_divide(day + THURSDAY, WEEK_DAYS));
}

/* Return how far local time is ahead of UTC. */
static int64_t offset_s(int64_t wall_s)
{
    time_t then = (time_t)wall_s;
    struct tm tm = {0};

    localtime_r(&then, &tm);
    return tm.tm_gmtoff;
}

struct calendar_time calendar_local(int64_t wall_s)
{
    int64_t local_s = wall_s + offset_s(wall_s), day = floor_divide(local_s, CALENDAR_DAY_S);

    return (struct calendar_time){day, (int32_t)(local_s - day * CALENDAR_DAY_S)};
}

/* Return the first moment after `early` at which it is local_s or later. */
static int64_t first_after(int64_t early, int64_t late, int64_t local_s)
{
    while (late - early > 1) {
        int64_t middle = early + (late - early) / 2;
        if (middle + offset_s(middle) >= local_s)
            late = middle;
        else
            early = middle;
    }
    return late;
}

int64_t calendar_wall(struct calendar_time local)
{
    int64_t local_s = local.day * CALENDAR_DAY_S + local.second;
    /* All offsets are less than a day, so these are those before and after a change nearby. */
    int64_t before = offset_s(local_s - CALENDAR_DAY_S), after = offset_s(local_s + CALENDAR_DAY_S);
    int64_t early = local_s - (before > after ? before : after);
    int64_t late = local_s - (before > after ? after : before);

    if (early + offset_s(early) == local_s)
        return early;
    if (late + offset_s(late) != local_s) /* clocks skip it */
        late = first_after(early, late, local_s);
    return late;
}

static void bounds(int64_t day, int64_t step, int64_t *ret_bounds_ns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ret_bounds_ns[i] =
            calendar_wall((struct calendar_time){day + (int64_t)i * step, 0}) * NS_PER_SECOND;
}

int64_t calendar_days(int64_t wall_ns, int64_t *ret_bounds_ns, size_t count)
{
    int64_t day = calendar_local(floor_divide(wall_ns, NS_PER_SECOND)).day;

    bounds(day, 1, ret_bounds_ns, count);
    return day;
}

int64_t calendar_weeks(int64_t wall_ns, int64_t *ret_bounds_ns, size_t count)
{
    int64_t day = calendar_local(floor_divide(wall_ns, NS_PER_SECOND)).day;
    int64_t monday = day - calendar_weekday(day);

    bounds(monday, WEEK_DAYS, ret_bounds_ns, count);
    return (monday + THURSDAY) / WEEK_DAYS;
}
