/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and their repetition; see series.h. */
#include "series.h"

#include "core/base/message.h"
#include "core/base/strbuf.h"
#include "core/engine/engine.h"
#include "core/engine/units.h"

#include <string.h>
#include <strings.h>

#define INTERVAL_MAX  366
#define NO_DAY        INT64_MIN
#define WEEKDAYS_ALL  0x7f
#define WEEKDAYS_WORK 0x1f
/* Later moments would not fit into nanoseconds. */
#define AHEAD_MAX_S (DURATION_MAX_NS / NS_PER_SECOND)

/* Text that is taken apart from the left. */
struct rest {
    const char *text;
    size_t length;
};

static bool take(struct rest *rest, const char *word)
{
    size_t length = strlen(word);

    if (rest->length < length || memcmp(rest->text, word, length) != 0)
        return false;
    rest->text += length;
    rest->length -= length;
    return true;
}

/* Take exactly `digits` digits. */
static bool take_number(struct rest *rest, size_t digits, int *ret_number)
{
    int number = 0;

    if (rest->length < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (rest->text[i] < '0' || rest->text[i] > '9')
            return false;
        number = number * 10 + (rest->text[i] - '0');
    }
    rest->text += digits;
    rest->length -= digits;
    *ret_number = number;
    return true;
}

/* Take a number of one to three digits without zeros in front. */
static bool take_count(struct rest *rest, int *ret_number)
{
    size_t digits = 0;

    while (digits < rest->length && rest->text[digits] >= '0' && rest->text[digits] <= '9')
        digits++;
    return digits >= 1 && digits <= 3 && rest->text[0] != '0' &&
           take_number(rest, digits, ret_number);
}

/* Take "2026-12-01". *ret_day is NO_DAY if there is no such date. */
static bool take_date(struct rest *rest, int64_t *ret_day)
{
    int year, month, mday;

    if (!take_number(rest, 4, &year) || !take(rest, "-") || !take_number(rest, 2, &month) ||
        !take(rest, "-") || !take_number(rest, 2, &mday))
        return false;
    if (month < 1 || month > 12 || !calendar_day(year, month, mday, ret_day))
        *ret_day = NO_DAY;
    return true;
}

/* Take "09:00" or "09:00:30". */
static bool take_clock(struct rest *rest, int32_t *ret_second)
{
    int hour, minute, second = 0;

    if (!take_number(rest, 2, &hour) || !take(rest, ":") || !take_number(rest, 2, &minute) ||
        (take(rest, ":") && !take_number(rest, 2, &second)))
        return false;
    *ret_second = hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second < 60;
}

/* Take "Z" or "+01:00". */
static bool take_zone(struct rest *rest, int64_t *ret_offset_s)
{
    int hour, minute, sign = 1;

    *ret_offset_s = 0;
    if (take(rest, "Z"))
        return true;
    if (take(rest, "-"))
        sign = -1;
    else if (!take(rest, "+"))
        return false;
    if (!take_number(rest, 2, &hour) || !take(rest, ":") || !take_number(rest, 2, &minute))
        return false;
    *ret_offset_s = sign * (hour * 3600 + minute * 60);
    return hour < 15 && minute < 60;
}

/* A start as it is written. */
struct written {
    struct calendar_time at; /* the day can be NO_DAY */
    bool zoned;              /* not local time, but with this offset */
    int64_t offset_s;
};

static bool take_start(struct rest rest, struct written *written)
{
    if (!take_date(&rest, &written->at.day) || !take(&rest, "T") ||
        !take_clock(&rest, &written->at.second))
        return false;
    written->zoned = rest.length > 0;
    return !written->zoned || (take_zone(&rest, &written->offset_s) && rest.length == 0);
}

static int refuse_date(const char *quoted, char *message, size_t size)
{
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" names a day that does not exist; write one like 2026-12-01.",
                          quoted);
}

/* Check that a start lies between now and 100 years ahead. */
static int check_start(const char *quoted, int64_t wall_s, int64_t now_wall_ns, char *message,
                       size_t size)
{
    char now[STRBUF_TIME_MAX];

    strbuf_time(now_wall_ns, now);
    if (wall_s > now_wall_ns / NS_PER_SECOND + AHEAD_MAX_S)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The start \"%s\" is more than 100 years ahead.", quoted);
    if (wall_s < units_seconds_up(now_wall_ns))
        return message_refuse(REFUSED_INVALID, message, size,
                              "The start \"%s\" is in the past: it is %s now.", quoted, now);
    return 0;
}

/* Parse "2h", from now on. Rounded up to a whole second. */
static int parse_ahead(const char *text, size_t length, int64_t now_wall_ns,
                       struct series_start *ret_start, char *message, size_t size)
{
    int64_t ahead_ns;
    int r = units_parse_duration(text, length, &ahead_ns, message, size);

    if (r)
        return r;
    int64_t wall_s = units_seconds_up(now_wall_ns + ahead_ns);
    *ret_start = (struct series_start){wall_s * NS_PER_SECOND, calendar_local(wall_s)};
    return 0;
}

int series_parse_start(const char *text, size_t length, int64_t now_wall_ns,
                       struct series_start *ret_start, char *message, size_t size)
{
    struct written written;
    char quoted[MESSAGE_QUOTED_MAX];

    if (length > 0 && text[0] == '+')
        return parse_ahead(text + 1, length - 1, now_wall_ns, ret_start, message, size);
    message_quote(text, length, quoted);
    if (!take_start((struct rest){text, length}, &written))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a start; write +2h, or a local time like "
                              "2026-12-01T09:00, or the same with Z or +01:00 behind it.",
                              quoted);
    if (written.at.day == NO_DAY)
        return refuse_date(quoted, message, size);
    int64_t wall_s = written.zoned
                         ? written.at.day * CALENDAR_DAY_S + written.at.second - written.offset_s
                         : calendar_wall(written.at);
    int r = check_start(quoted, wall_s, now_wall_ns, message, size);
    if (r)
        return r;
    *ret_start = (struct series_start){wall_s * NS_PER_SECOND,
                                       written.zoned ? calendar_local(wall_s) : written.at};
    return 0;
}

/* Return the bit of a weekday such as "Mon", at the beginning of the text; 0: none. */
static unsigned take_weekday(struct rest *rest)
{
    static const char *const names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (rest->length < strlen(names[i]) ||
            strncasecmp(rest->text, names[i], strlen(names[i])) != 0)
            continue;
        rest->text += strlen(names[i]);
        rest->length -= strlen(names[i]);
        return 1U << i;
    }
    return 0;
}

/* Take "Mon,Wed". 0: it is not that. */
static unsigned take_weekdays(struct rest rest)
{
    unsigned weekdays = 0, weekday;

    do {
        weekday = take_weekday(&rest);
        weekdays |= weekday;
    } while (weekday && take(&rest, ","));
    return weekday && rest.length == 0 ? weekdays : 0;
}

/* Take "day", "weeks". 0: unknown. */
static int take_unit(struct rest rest, bool *ret_months)
{
    int days = take(&rest, "day") ? 1 : take(&rest, "week") ? 7 : 0;

    *ret_months = !days && take(&rest, "month");
    if (rest.length > 0)
        take(&rest, "s");
    return rest.length > 0 ? 0 : *ret_months ? 1 : days;
}

int series_parse_every(const char *text, size_t length, struct series_every *ret_every,
                       char *message, size_t size)
{
    struct rest rest = {text, length};
    struct series_every every = {false, 1, take_weekdays(rest)};
    char quoted[MESSAGE_QUOTED_MAX];
    int count = 1, unit;

    if (length == strlen("weekday") && take(&rest, "weekday"))
        every.weekdays = WEEKDAYS_WORK;
    if (!every.weekdays) {
        every.weekdays = WEEKDAYS_ALL;
        bool good = rest.length > 0 && (rest.text[0] > '9' || take_count(&rest, &count));
        unit = take_unit(rest, &every.months);
        every.interval = unit * count;
        if (!good || unit == 0 || count > INTERVAL_MAX) {
            message_quote(text, length, quoted);
            return message_refuse(REFUSED_INVALID, message, size,
                                  "\"%s\" is not an interval; write day, weekday, week, month, "
                                  "10days, 2weeks (at most %d), or days like Mon,Wed.",
                                  quoted, INTERVAL_MAX);
        }
    }
    *ret_every = every;
    return 0;
}

int series_parse_until(const char *text, size_t length, int64_t *ret_day, char *message,
                       size_t size)
{
    struct rest rest = {text, length};
    char quoted[MESSAGE_QUOTED_MAX];
    int64_t day;

    message_quote(text, length, quoted);
    if (!take_date(&rest, &day) || rest.length > 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a date; write the last day, like 2026-12-24.", quoted);
    if (day == NO_DAY)
        return refuse_date(quoted, message, size);
    *ret_day = day;
    return 0;
}

int series_parse_times(const char *text, size_t length, int *ret_times, char *message, size_t size)
{
    struct rest rest = {text, length};
    char quoted[MESSAGE_QUOTED_MAX];
    int times;

    message_quote(text, length, quoted);
    if (!take_count(&rest, &times) || rest.length > 0 || times > SERIES_MAX)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a number of times; write one from 1 to %d.", quoted,
                              SERIES_MAX);
    *ret_times = times;
    return 0;
}

/* Find the day of step `step` of a series. False: it has none, such as a 31st of April. */
static bool step_day(const struct series *series, int64_t step, int64_t *ret_day)
{
    const struct series_every *every = &series->every;
    int64_t day = series->start.local.day;
    int year, month, mday;

    if (every->months) {
        calendar_date(day, &year, &month, &mday);
        return calendar_day(year, month + (int)step * every->interval, mday, ret_day);
    }
    *ret_day = day + step * every->interval;
    return every->weekdays & 1U << calendar_weekday(*ret_day);
}

static int64_t moment_ns(const struct series *series, int64_t day)
{
    struct calendar_time local = {day, series->start.local.second};

    /* The first can be the second of two equal local times, if it was written with its offset. */
    if (day == series->start.local.day)
        return series->start.wall_ns;
    return calendar_wall(local) * NS_PER_SECOND;
}

static int check_end(const struct series *series, char *message, size_t size)
{
    if (series->until_day == INT64_MAX && series->times == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "What repeats needs an end; add until=2026-12-24 or times=10.");
    if (series->until_day != INT64_MAX && series->times > 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "A series has one end; write either until= or times=.");
    if (series->until_day < series->start.local.day)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The series ends before it starts; choose a later until=.");
    return 0;
}

int series_moments(const struct series *series, int64_t ret_wall_ns[static SERIES_MAX],
                   size_t *ret_count, char *message, size_t size)
{
    int64_t first_day = series->start.local.day, day = first_day, wall_ns[SERIES_MAX];
    size_t count = 0, most = series->times ? (size_t)series->times : SERIES_MAX;
    char last[CALENDAR_DATE_MAX];

    if (series->every.interval == 0) {
        ret_wall_ns[0] = series->start.wall_ns;
        *ret_count = 1;
        return 0;
    }
    int r = check_end(series, message, size);
    if (r)
        return r;
    for (int64_t step = 0; day <= series->until_day && (count < most || !series->times); step++) {
        if (!step_day(series, step, &day))
            continue;
        if (day > first_day + AHEAD_MAX_S / CALENDAR_DAY_S)
            return message_refuse(REFUSED_INVALID, message, size,
                                  "The series goes on for more than 100 years; end it earlier.");
        if (day > series->until_day)
            break;
        calendar_date_text(day, last);
        if (count == SERIES_MAX)
            return message_refuse(REFUSED_INVALID, message, size,
                                  "A series has at most %d parts; end this one before %s.",
                                  SERIES_MAX, last);
        wall_ns[count++] = moment_ns(series, day);
    }
    if (count == 0)
        return message_refuse(
            REFUSED_INVALID, message, size,
            "None of its days is before the end of the series; choose a later until=.");
    memcpy(ret_wall_ns, wall_ns, count * sizeof(wall_ns[0]));
    *ret_count = count;
    return 0;
}
