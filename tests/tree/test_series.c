/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and series: what is written, and the moments in UTC that it stands for. */
#include "fs/tree/series.h"
#include "tests/check.h"
#include "zones.h"

#include "core/engine/engine.h"

#include <stdio.h>

static char message[ENGINE_MESSAGE_MAX];
static int64_t moments[SERIES_MAX];
static size_t count;
static int64_t now_ns; /* 2026-01-15 12:00 UTC */

static void reset(void)
{
    zone(BERLIN);
    now_ns = utc(2026, 1, 15, 12, 0) * NS_PER_SECOND;
    message[0] = 0;
}

/* Parse a series that must be good; "" leaves a word out. */
static struct series parsed(const char *start, const char *every, const char *until,
                            const char *times)
{
    struct series series = {.until_day = INT64_MAX};
    int r =
        series_parse_start(start, strlen(start), now_ns, &series.start, message, sizeof(message));

    if (!r && *every)
        r = series_parse_every(every, strlen(every), &series.every, message, sizeof(message));
    if (!r && *until)
        r = series_parse_until(until, strlen(until), &series.until_day, message, sizeof(message));
    if (!r && *times)
        r = series_parse_times(times, strlen(times), &series.times, message, sizeof(message));
    ck_assert_msg(!r, "%s %s %s %s: %s", start, every, until, times, message);
    return series;
}

static int ask(const char *start, const char *every, const char *until, const char *times)
{
    struct series series = parsed(start, every, until, times);

    return series_moments(&series, moments, &count, message, sizeof(message));
}

/* Require that a series has exactly these moments, each in seconds of UTC. */
static void require(const char *start, const char *every, const char *until, const char *times,
                    size_t need, const int64_t *wall_s)
{
    ck_assert_msg(ask(start, every, until, times) == 0, "%s %s: %s", start, every, message);
    ck_assert_msg(count == need, "%s %s: %zu moments", start, every, count);
    for (size_t i = 0; i < need; i++)
        ck_assert_msg(moments[i] == wall_s[i] * NS_PER_SECOND, "%s %s, %zu: %lld is not %lld",
                      start, every, i, (long long)(moments[i] / NS_PER_SECOND),
                      (long long)wall_s[i]);
}
#define REQUIRE(start, every, until, times, ...)                                                   \
    require(start, every, until, times, ARRAY_COUNT(((int64_t[]){__VA_ARGS__})),                   \
            (int64_t[]){__VA_ARGS__})

static void refused(int r, const char *why)
{
    ck_assert_msg(r == REFUSED_INVALID && strstr(message, why), "%d: %s", r, message);
    ck_assert_msg(message[0] && strchr(".?", message[strlen(message) - 1]), "%s", message);
}

START_TEST(starts)
{
    REQUIRE("2026-12-01T09:00", "", "", "", utc(2026, 12, 1, 8, 0));
    REQUIRE("2026-12-01T09:00Z", "", "", "", utc(2026, 12, 1, 9, 0));
    REQUIRE("2026-12-01T09:00+01:00", "", "", "", utc(2026, 12, 1, 8, 0));
    REQUIRE("2026-12-01T09:00:30-03:30", "", "", "", utc(2026, 12, 1, 12, 30) + 30);
    REQUIRE("2026-07-01T09:00", "", "", "", utc(2026, 7, 1, 7, 0));
    REQUIRE("2026-01-15T13:00", "", "", "", utc(2026, 1, 15, 12, 0)); /* now */
    REQUIRE("+2h", "", "", "", utc(2026, 1, 15, 14, 0));
    REQUIRE("+90", "", "", "", utc(2026, 1, 15, 12, 1) + 30);
    now_ns += 1; /* never early */
    REQUIRE("+2h", "", "", "", utc(2026, 1, 15, 14, 0) + 1);
    /* does not exist; exists twice, and the second only with its offset */
    REQUIRE("2026-03-29T02:30", "", "", "", utc(2026, 3, 29, 1, 0));
    REQUIRE("2026-10-25T02:30", "", "", "", utc(2026, 10, 25, 0, 30));
    REQUIRE("2026-10-25T02:30+01:00", "", "", "", utc(2026, 10, 25, 1, 30));
}
END_TEST

START_TEST(bad_starts)
{
    static const char *const bad[] = {"",
                                      "2026-12-01",
                                      "2026-12-01T9:00",
                                      "2026-12-01T24:00",
                                      "2026-12-01T09:60",
                                      "2026-12-01T09:00:60",
                                      "2026-12-01T09:00:",
                                      "2026-12-01T09:00z",
                                      "2026-12-01T09:00Zx",
                                      "2026-12-01T09:00+1:00",
                                      "2026-12-01T09:00+15:00",
                                      "2026-12-01T09:00+01:60",
                                      "2026-12-01T09:00+0100",
                                      "tomorrow",
                                      "26-12-01T09:00",
                                      "2026/12/01T09:00",
                                      "-2h"};
    struct series_start start = {.wall_ns = 7};

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        refused(
            series_parse_start(bad[i], strlen(bad[i]), now_ns, &start, message, sizeof(message)),
            "is not a start");
#define BAD(text, why)                                                                             \
    refused(series_parse_start(text, strlen(text), now_ns, &start, message, sizeof(message)), why)
    BAD("2026-02-30T09:00", "does not exist");
    BAD("2026-13-01T09:00", "does not exist");
    BAD("2026-01-15T12:59:59", "in the past: it is 2026-01-15T13:00:00+01:00 now");
    BAD("0001-01-01T00:00Z", "in the past");
    BAD("9999-12-31T23:59", "more than 100 years");
    BAD("2126-01-15T13:00", "more than 100 years");
    BAD("+", "duration");
    BAD("+2x", "duration");
    BAD("+0", "too short");
    now_ns += 1;
    BAD("2026-01-15T13:00", "in the past");
    ck_assert_int_eq(start.wall_ns, 7);
}
END_TEST

START_TEST(intervals)
{
    REQUIRE("2026-01-30T10:00", "day", "", "3", utc(2026, 1, 30, 9, 0), utc(2026, 1, 31, 9, 0),
            utc(2026, 2, 1, 9, 0));
    REQUIRE("2026-01-30T10:00", "10days", "2026-02-19", "", utc(2026, 1, 30, 9, 0),
            utc(2026, 2, 9, 9, 0), utc(2026, 2, 19, 9, 0)); /* inclusive */
    REQUIRE("2026-01-30T10:00", "2weeks", "2026-02-26", "", utc(2026, 1, 30, 9, 0),
            utc(2026, 2, 13, 9, 0));
    /* a Friday; the weekend is left out */
    REQUIRE("2026-01-30T10:00", "weekday", "", "3", utc(2026, 1, 30, 9, 0), utc(2026, 2, 2, 9, 0),
            utc(2026, 2, 3, 9, 0));
    /* on a Friday: from the first such day on */
    REQUIRE("2026-01-30T10:00", "Mon,wed", "", "3", utc(2026, 2, 2, 9, 0), utc(2026, 2, 4, 9, 0),
            utc(2026, 2, 9, 9, 0));
    REQUIRE("+1d", "week", "", "2", utc(2026, 1, 16, 12, 0), utc(2026, 1, 23, 12, 0));
    /* no 31st, no 29th of February */
    REQUIRE("2026-01-31T10:00", "month", "", "4", utc(2026, 1, 31, 9, 0), utc(2026, 3, 31, 8, 0),
            utc(2026, 5, 31, 8, 0), utc(2026, 7, 31, 8, 0));
    REQUIRE("2027-12-29T10:00", "2months", "2028-05-01", "", utc(2027, 12, 29, 9, 0),
            utc(2028, 2, 29, 9, 0), utc(2028, 4, 29, 8, 0));
    REQUIRE("2028-02-29T10:00", "12months", "", "2", utc(2028, 2, 29, 9, 0),
            utc(2032, 2, 29, 9, 0));
    REQUIRE("2026-11-30T10:00", "3months", "2027-05-30", "", utc(2026, 11, 30, 9, 0),
            utc(2027, 5, 30, 8, 0));
    REQUIRE("2026-01-30T10:00", "", "", "", utc(2026, 1, 30, 9, 0));
    ck_assert_int_eq(ask("2026-01-30T10:00", "day", "", "64"), 0);
    ck_assert_uint_eq(count, 64);
}
END_TEST

/* Clocks of Berlin, New York and Lord Howe (by half an hour) go forward and back. */
START_TEST(daylight_saving)
{
    REQUIRE("2026-03-22T09:00", "week", "", "3", utc(2026, 3, 22, 8, 0), utc(2026, 3, 29, 7, 0),
            utc(2026, 4, 5, 7, 0));
    REQUIRE("2026-10-24T09:00", "day", "2026-10-26", "", utc(2026, 10, 24, 7, 0),
            utc(2026, 10, 25, 8, 0), utc(2026, 10, 26, 8, 0));
    /* a time that does not exist, in the middle and at the beginning: the others keep theirs */
    REQUIRE("2026-03-28T02:30", "day", "", "3", utc(2026, 3, 28, 1, 30), utc(2026, 3, 29, 1, 0),
            utc(2026, 3, 30, 0, 30));
    REQUIRE("2026-03-29T02:30", "day", "", "2", utc(2026, 3, 29, 1, 0), utc(2026, 3, 30, 0, 30));
    /* one that exists twice is the first, or the one that was written */
    REQUIRE("2026-10-24T02:30", "day", "", "3", utc(2026, 10, 24, 0, 30), utc(2026, 10, 25, 0, 30),
            utc(2026, 10, 26, 1, 30));
    REQUIRE("2026-10-25T02:30+01:00", "day", "", "2", utc(2026, 10, 25, 1, 30),
            utc(2026, 10, 26, 1, 30));
    /* until counts local days */
    REQUIRE("2026-03-28T00:30", "day", "2026-03-30", "", utc(2026, 3, 27, 23, 30),
            utc(2026, 3, 28, 23, 30), utc(2026, 3, 29, 22, 30));

    zone(NEW_YORK);
    REQUIRE("2026-03-01T09:00", "week", "", "3", utc(2026, 3, 1, 14, 0), utc(2026, 3, 8, 13, 0),
            utc(2026, 3, 15, 13, 0));
    REQUIRE("2026-03-07T02:30", "day", "", "3", utc(2026, 3, 7, 7, 30), utc(2026, 3, 8, 7, 0),
            utc(2026, 3, 9, 6, 30));
    REQUIRE("2026-10-31T01:30", "day", "", "3", utc(2026, 10, 31, 5, 30), utc(2026, 11, 1, 5, 30),
            utc(2026, 11, 2, 6, 30));

    zone(LORD_HOWE);
    REQUIRE("2026-04-04T09:00", "day", "", "3", utc(2026, 4, 3, 22, 0), utc(2026, 4, 4, 22, 30),
            utc(2026, 4, 5, 22, 30));
    REQUIRE("2026-10-03T02:15", "day", "", "3", utc(2026, 10, 2, 15, 45), utc(2026, 10, 3, 15, 30),
            utc(2026, 10, 4, 15, 15));
    REQUIRE("2026-04-04T01:45", "day", "", "3", utc(2026, 4, 3, 14, 45), utc(2026, 4, 4, 14, 45),
            utc(2026, 4, 5, 15, 15));

    zone(HAVANA);
    REQUIRE("2026-03-07T00:00", "day", "", "3", utc(2026, 3, 7, 5, 0), utc(2026, 3, 8, 5, 0),
            utc(2026, 3, 9, 4, 0));
}
END_TEST

START_TEST(bad_words)
{
    static const char *const every[] = {
        "",        "days 2",   "0days", "2",    "weekdays", "Mon,",  "Mon;Wed",  "daily", "01day",
        "367days", "1000days", "-1day", ",Mon", "years",    "dayss", "2weekday", "Monday"};
    static const char *const times[] = {"", "0", "65", "-1", "3x", "1.5", "01", "9999"};
    static const char *const until[] = {"", "2026-12", "2026-12-1", "2026-12-01T09:00", "x"};
    struct series_every ret_every;
    int64_t day;
    int number;

    for (size_t i = 0; i < ARRAY_COUNT(every); i++)
        refused(
            series_parse_every(every[i], strlen(every[i]), &ret_every, message, sizeof(message)),
            "is not an interval");
    for (size_t i = 0; i < ARRAY_COUNT(times); i++)
        refused(series_parse_times(times[i], strlen(times[i]), &number, message, sizeof(message)),
                "is not a number of times");
    for (size_t i = 0; i < ARRAY_COUNT(until); i++)
        refused(series_parse_until(until[i], strlen(until[i]), &day, message, sizeof(message)),
                "is not a date");
    refused(series_parse_until("2026-02-29", 10, &day, message, sizeof(message)), "does not exist");
    /* text that does not end where its length does */
    ck_assert_int_eq(series_parse_every("weekday", 4, &ret_every, message, sizeof(message)), 0);
    ck_assert_int_eq(ret_every.interval, 7);
}
END_TEST

START_TEST(bad_series)
{
    refused(ask("2026-12-01T09:00", "day", "", ""), "needs an end");
    refused(ask("2026-12-01T09:00", "day", "2026-12-03", "3"), "one end");
    refused(ask("2026-12-01T09:00", "day", "2026-11-30", ""), "before it starts");
    refused(ask("2026-12-01T09:00", "Mon", "2026-12-06", ""), "None of its days");
    refused(ask("2026-12-01T09:00", "day", "2027-02-03", ""), "end this one before 2027-02-03");
    ck_assert_int_eq(ask("2026-12-01T09:00", "day", "2027-02-02", ""), 0);
    ck_assert_uint_eq(count, 64);
    refused(ask("2026-12-01T09:00", "366months", "", "64"), "100 years");
    refused(ask("2026-12-01T09:00", "366months", "9999-12-31", ""), "100 years");
}
END_TEST

int main(void)
{
    return check_main("series", reset, NULL, starts, bad_starts, intervals, daylight_saving,
                      bad_words, bad_series);
}
