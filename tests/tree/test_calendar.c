/* SPDX-License-Identifier: Apache-2.0 */
/* Local time against every minute of two years, in zones that change in four ways. */
#include "fs/tree/calendar.h"
#include "fs/tree/calendar_windows.h"
#include "tests/check.h"
#include "zones.h"

#define MINUTES (2 * 366 * 24 * 60)
#define HOUR_S  3600

static const char *const zones[] = {BERLIN, NEW_YORK, LORD_HOWE, HAVANA, "UTC0", "<+14>-14"};

/* The first moment of each local minute, counted from local 2026-01-01, in minutes; 0: none. */
static int64_t firsts[MINUTES];

static void walk_two_years(int64_t start_s)
{
    memset(firsts, 0, sizeof(firsts));
    for (int64_t wall_s = start_s - 86400; wall_s < start_s + 60LL * MINUTES; wall_s += 60) {
        time_t then = (time_t)wall_s;
        struct tm tm;
        localtime_r(&then, &tm);
        int64_t minute = (timegm(&tm) - start_s) / 60;
        if (minute >= 0 && minute < MINUTES && !firsts[minute])
            firsts[minute] = wall_s / 60;
    }
}

START_TEST(every_minute_of_two_years)
{
    int64_t start_s = utc(2026, 1, 1, 0, 0);

    for (size_t i = 0; i < (getenv("CHRONOS_TEST_LIGHT") ? 1 : ARRAY_COUNT(zones)); i++) {
        zone(zones[i]);
        walk_two_years(start_s);
        int64_t next = 0, skipped = 0;
        for (int64_t minute = MINUTES - 24 * 60; minute-- > 0;) {
            next = firsts[minute] ? firsts[minute] : next;
            skipped += !firsts[minute];
            int64_t local_s = start_s + 60 * minute;
            struct calendar_time local = {local_s / 86400, (int32_t)(local_s % 86400)};
            int64_t wall_s = calendar_wall(local);
            ck_assert_msg(wall_s == 60 * next, "%s, minute %d: %lld is not %lld", zones[i],
                          (int)minute, (long long)wall_s, (long long)(60 * next));
            struct calendar_time again = calendar_local(wall_s);
            ck_assert(!firsts[minute] || (again.day == local.day && again.second == local.second));
        }
        ck_assert_int_eq(skipped, i == 2 ? 2 * 30 : i < 4 ? 2 * 60 : 0);
    }
}
END_TEST

/* Seconds that do not exist: all of them stand for the change. */
START_TEST(skipped_and_doubled)
{
    int64_t day, change_s = utc(2026, 3, 29, 1, 0);

    zone(BERLIN);
    ck_assert(calendar_day(2026, 3, 29, &day));
    ck_assert_int_eq(calendar_wall((struct calendar_time){day, 2 * HOUR_S - 1}), change_s - 1);
    for (int32_t second = 2 * HOUR_S; second <= 3 * HOUR_S; second += 599)
        ck_assert_int_eq(calendar_wall((struct calendar_time){day, second}), change_s);
    ck_assert_int_eq(calendar_wall((struct calendar_time){day, 3 * HOUR_S + 1}), change_s + 1);
    ck_assert(calendar_day(2026, 10, 25, &day));
    ck_assert_int_eq(calendar_wall((struct calendar_time){day, 2 * HOUR_S + 1800}),
                     utc(2026, 10, 25, 0, 30)); /* the first of two */
}
END_TEST

static void check_bounds(const char *rule, int year, int month, int mday, int64_t hours_ns)
{
    int64_t days[10], weeks[4], day, number;
    int64_t noon_ns = (utc(year, month, mday, 12, 0) - 86400) * NS_PER_SECOND;

    zone(rule);
    number = calendar_days(noon_ns, days, 10);
    ck_assert(days[0] <= noon_ns && noon_ns < days[1]);
    for (int64_t i = 0; i < 10; i++) {
        struct calendar_time local = calendar_local(days[i] / NS_PER_SECOND);
        ck_assert_int_eq(local.day, number + i);
        ck_assert_int_eq(local.second, 0);
    }
    ck_assert(calendar_day(year, month, mday, &day));
    ck_assert_int_eq(days[day - number + 1] - days[day - number], hours_ns);

    number = calendar_weeks(noon_ns, weeks, 4);
    ck_assert(weeks[0] <= noon_ns && noon_ns < weeks[1]);
    for (int64_t i = 0; i < 4; i++) {
        struct calendar_time local = calendar_local(weeks[i] / NS_PER_SECOND);
        ck_assert_int_eq(calendar_weekday(local.day), 0);
        ck_assert_int_eq(local.second, 0);
        ck_assert_int_eq(local.day, 7 * (number + i) - 3);
    }
}

START_TEST(days_and_weeks)
{
    const int64_t hour_ns = HOUR_S * NS_PER_SECOND;

    check_bounds(BERLIN, 2026, 3, 29, 23 * hour_ns);
    check_bounds(BERLIN, 2026, 10, 25, 25 * hour_ns);
    check_bounds(BERLIN, 2026, 12, 25, 24 * hour_ns);
    check_bounds(NEW_YORK, 2026, 3, 8, 23 * hour_ns);
    check_bounds(NEW_YORK, 2026, 11, 1, 25 * hour_ns);
    check_bounds(LORD_HOWE, 2026, 4, 5, 24 * hour_ns + hour_ns / 2);
    check_bounds(LORD_HOWE, 2026, 10, 4, 24 * hour_ns - hour_ns / 2);
}
END_TEST

/* A midnight that clocks skip: the day begins an hour later. */
START_TEST(days_without_midnight)
{
    int64_t days[3], day;

    zone(HAVANA);
    ck_assert(calendar_day(2026, 3, 7, &day));
    ck_assert_int_eq(calendar_days(utc(2026, 3, 7, 12, 0) * NS_PER_SECOND, days, 3), day);
    ck_assert_int_eq(days[1], utc(2026, 3, 8, 5, 0) * NS_PER_SECOND); /* 01:00 */
    ck_assert_int_eq(calendar_local(days[1] / NS_PER_SECOND).second, HOUR_S);
    ck_assert_int_eq(days[2], utc(2026, 3, 9, 4, 0) * NS_PER_SECOND);
    /* twice: it begins with the first */
    calendar_days(utc(2026, 10, 31, 12, 0) * NS_PER_SECOND, days, 3);
    ck_assert_int_eq(days[1], utc(2026, 11, 1, 4, 0) * NS_PER_SECOND);
    ck_assert_int_eq(days[2], utc(2026, 11, 2, 5, 0) * NS_PER_SECOND);
}
END_TEST

START_TEST(dates)
{
    char text[CALENDAR_DATE_MAX];
    int year, month, mday;
    int64_t day = 0, other;

    ck_assert(!calendar_day(2026, 2, 29, &day) && !calendar_day(2026, 4, 31, &day));
    ck_assert(!calendar_day(2100, 2, 29, &day) && !calendar_day(2026, 1, 0, &day));
    ck_assert(!calendar_day(2026, 1, 99, &day) && day == 0);
    ck_assert(calendar_day(2026, 14, 28, &day) && calendar_day(2027, 2, 28, &other));
    ck_assert_int_eq(day, other);
    ck_assert(calendar_day(2028, 2, 29, &day));
    calendar_date_text(day, text);
    ck_assert_str_eq(text, "2028-02-29");
    ck_assert(calendar_day(1970, 1, 1, &day) && day == 0 && calendar_weekday(day) == 3);
    ck_assert(calendar_day(1969, 12, 28, &day) && day == -4 && calendar_weekday(day) == 6);
    for (day = -800; day < 80000; day += 13) {
        calendar_date(day, &year, &month, &mday);
        ck_assert(calendar_day(year, month, mday, &other) && other == day);
    }
}
END_TEST

/* Windows of engine time: both lists end together, and all moments are in the right ones. */
START_TEST(windows_of_engine_time)
{
    static struct calendar_windows windows;
    const int64_t offset_ns = INT64_C(1234567890123456789);

    for (size_t i = 0; i < ARRAY_COUNT(zones); i++) {
        zone(zones[i]);
        for (int64_t wall_s = utc(2026, 3, 1, 0, 0); wall_s < utc(2026, 3, 20, 0, 0);
             wall_s += 7 * HOUR_S + 11) {
            calendar_windows_fill(&windows, wall_s * NS_PER_SECOND, offset_ns);
            const struct quota_calendar *quota = &windows.quota;
            ck_assert_int_eq(windows_regular_ns(&quota->day), windows_regular_ns(&quota->week));
            ck_assert(quota->week.bounds_ns[0] <= quota->day.bounds_ns[0]);
            for (int64_t later_s = wall_s; later_s < wall_s + 400 * 86400; later_s += 86400 - 77) {
                int64_t at_ns = later_s * NS_PER_SECOND - offset_ns;
                int64_t day = calendar_local(later_s).day;
                struct window window = windows_at(&quota->day, at_ns);
                ck_assert_int_eq(window.number, day);
                window = windows_at(&quota->week, at_ns);
                ck_assert_int_eq(window.number, (day + 3) / 7);
            }
        }
    }
}
END_TEST

int main(void)
{
    return check_main("calendar", NULL, NULL, every_minute_of_two_years, skipped_and_doubled,
                      days_and_weeks, days_without_midnight, dates, windows_of_engine_time);
}
