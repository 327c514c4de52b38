/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos report: add up the partitions that have ended, by user, device or day. The share of a
 * device is that of its present memory: the history has only bytes.
 */
#include "command.h"
#include "core/base/array.h"
#include "core/base/username.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SINCE_DEFAULT "7d"
#define SINCE_MAX     (INT64_C(3660) * 86400)

static const struct option options[] = {
    {"since", 's', "DURATION",
     "Only the use within the last DURATION; " SINCE_DEFAULT " if absent."},
    {"by", 'b', "user/device/day", "What a line stands for; user if absent."},
    OPTION_JSON,
    OPTION_END,
};

enum by { BY_USER, BY_DEVICE, BY_DAY };
static const char *const by_words[] = {"user", "device", "day"};

struct group {
    char key[USERNAME_MAX + 1];
    unsigned long long partitions;
    double seconds;       /* that partitions lasted */
    double share_seconds; /* the same, times the share of the device */
    double asked, peak;   /* byte seconds */
};

struct report {
    enum by by;
    bool local; /* days of the local time zone, not of UTC */
    time_t since;
    struct chronos_device *devices;
    size_t device_count;
    struct group *groups;
    size_t count, room;
    unsigned long long lost;    /* lines that the history has dropped */
    unsigned long long unknown; /* partitions of devices that are gone */
};

/* One partition, and its time within the report. */
struct use {
    time_t from, to;
    double memory, peak;
    double share; /* 0: not known */
};

/* Parse "3600", "90m", "1h30m", "2d". False for other text, for 0 and for too much. */
static bool read_duration(const char *text, int64_t *ret_seconds)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t sum = 0;
    while (*text != '\0') {
        size_t digits = strspn(text, "0123456789"), unit = 0;
        if (digits == 0 || digits > 9)
            return false;
        int64_t number = strtoll(text, NULL, 10);
        text += digits;
        while (unit < ARRAY_COUNT(units) && units[unit].letter != *text)
            unit++;
        if (unit == ARRAY_COUNT(units) && *text != '\0')
            return false;
        sum += number * (unit < ARRAY_COUNT(units) ? units[unit].seconds : 1);
        if (sum > SINCE_MAX)
            return false;
        text += *text != '\0';
    }
    *ret_seconds = sum;
    return sum > 0;
}

/* Return the group of `key`, new if there is none; NULL: out of memory. */
static struct group *group_get(struct report *report, const char *key)
{
    for (size_t i = report->count; i-- > 0;) {
        if (strcmp(report->groups[i].key, key) == 0)
            return &report->groups[i];
    }
    if (array_reserve(report->groups, report->room, report->count + 1) < 0)
        return NULL;
    struct group *group = &report->groups[report->count++];
    *group = (struct group){.partitions = 0};
    snprintf(group->key, sizeof(group->key), "%s", key);
    return group;
}

static int add(struct report *report, const char *key, const struct use *use)
{
    struct group *group = group_get(report, key);
    double seconds = use->to > use->from ? difftime(use->to, use->from) : 0;
    if (!group)
        return -ENOMEM;
    group->partitions++;
    group->seconds += seconds;
    group->share_seconds += seconds * use->share;
    group->asked += seconds * use->memory;
    group->peak += seconds * use->peak;
    return 0;
}

/* Cut the partition at every midnight, and add each part to its day. */
static int add_days(struct report *report, const struct use *use)
{
    struct use part = *use;
    int r;
    do {
        char day[USERNAME_MAX + 1];
        struct tm tm;
        if (!(report->local ? localtime_r : gmtime_r)(&part.from, &tm))
            return 0;
        strftime(day, sizeof(day), "%Y-%m-%d", &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mday++;
        tm.tm_isdst = -1;
        time_t midnight = report->local ? mktime(&tm) : timegm(&tm);
        part.to = midnight > part.from && midnight < use->to ? midnight : use->to;
        r = add(report, day, &part);
        part.from = part.to;
    } while (!r && part.from < use->to);
    return r;
}

/* Return the share of `device` that `bytes` are; 0 if it is not known. */
static double share_of(const struct report *report, const char *device, double bytes)
{
    unsigned index;
    if (!chronos_parse_device(device, &index))
        return 0;
    for (size_t i = 0; i < report->device_count; i++) {
        const struct chronos_device *each = &report->devices[i];
        if (each->index != index || each->failure < 0)
            continue;
        double total = (double)chronos_number(each->record.value[CHRONOS_DEVICE_MEMORY_TOTAL]);
        return bytes < total ? bytes / total : total > 0 ? 1 : 0;
    }
    return 0;
}

static int take_line(struct report *report, const char *text)
{
    struct chronos_line line;
    struct use use;
    uint64_t id;
    chronos_line_split(text, strlen(text), &line);
    if (line.count == 0)
        return 0;
    if (strcmp(line.words[0], "lost") == 0)
        report->lost += chronos_number(chronos_line_value(&line, "lines"));
    const char *device = chronos_line_value(&line, "device");
    if (!chronos_parse_id(line.words[0], &id) ||
        !output_time_read(chronos_line_value(&line, "start"), &use.from) ||
        !output_time_read(chronos_line_value(&line, "end"), &use.to) || use.to < report->since)
        return 0;
    if (use.from < report->since)
        use.from = report->since;
    if (use.from > use.to)
        use.from = use.to; /* it ended before its time came */
    use.memory = (double)chronos_number(chronos_line_value(&line, "memory"));
    use.peak = (double)chronos_number(chronos_line_value(&line, "memory_peak"));
    use.share = share_of(report, device, use.memory);
    report->unknown += use.share <= 0 && use.from < use.to;
    if (report->by == BY_DAY)
        return add_days(report, &use);
    return add(report, report->by == BY_USER ? chronos_line_value(&line, "user") : device, &use);
}

/* Order days by time, everything else by use, the largest first. */
static int compare_days(const void *a, const void *b)
{
    return strcmp(((const struct group *)a)->key, ((const struct group *)b)->key);
}

static int compare_use(const void *a, const void *b)
{
    double x = ((const struct group *)a)->share_seconds;
    double y = ((const struct group *)b)->share_seconds;
    return x > y ? -1 : x < y ? 1 : compare_days(a, b);
}

/* The figures of a group as text; `peak` is "-" if nothing was asked for. */
struct row {
    char partitions[32], hours[32], gpu_hours[32], peak[32];
};

static struct row row_of(const struct group *group)
{
    struct row row = {.peak = "-"};
    snprintf(row.partitions, sizeof(row.partitions), "%llu", group->partitions);
    snprintf(row.hours, sizeof(row.hours), "%.2f", group->seconds / 3600);
    snprintf(row.gpu_hours, sizeof(row.gpu_hours), "%.2f", group->share_seconds / 3600);
    if (group->asked > 0)
        snprintf(row.peak, sizeof(row.peak), "%.1f", group->peak / group->asked * 100);
    return row;
}

static void print_lines(const struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        struct row row = row_of(&report->groups[i]);
        printf("%s partitions=%s hours=%s gpu_hours=%s peak_percent=%s\n", report->groups[i].key,
               row.partitions, row.hours, row.gpu_hours, row.peak);
    }
}

static void print_table(const struct report *report)
{
    static const char *const heads[] = {"USER", "DEVICE", "DAY"};
    const char *const titles[] = {heads[report->by], "PARTITIONS", "HOURS",
                                  "GPU-HOURS",       "PEAK",       NULL};
    struct table *table = table_new(titles);
    for (size_t i = 0; i < report->count; i++) {
        struct row row = row_of(&report->groups[i]);
        char peak[sizeof(row.peak) + 1];
        snprintf(peak, sizeof(peak), "%s%s", row.peak, row.peak[0] != '-' ? "%" : "");
        table_cell(table, BOLD, report->groups[i].key);
        table_cell(table, PLAIN, row.partitions);
        table_cell(table, PLAIN, row.hours);
        table_cell(table, PLAIN, row.gpu_hours);
        table_cell(table, PLAIN, peak);
    }
    table_print(table);
    table_free(table);
}

static void print_json(const struct report *report)
{
    struct json json = {0};
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < report->count; i++) {
        struct row row = row_of(&report->groups[i]);
        json_open(&json, NULL, '{');
        json_text(&json, by_words[report->by], report->groups[i].key);
        json_number(&json, "partitions", row.partitions);
        json_number(&json, "hours", row.hours);
        json_number(&json, "gpu_hours", row.gpu_hours);
        json_number(&json, "peak_percent", row.peak[0] != '-' ? row.peak : "");
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

/* Report what the sums lack. */
static void print_gaps(const struct report *report)
{
    if (report->lost > 0)
        output_message("Not counted: partitions that the history no longer has (%llu).",
                       report->lost);
    if (report->unknown > 0)
        output_message("Not in the GPU-hours: partitions of devices that are not here now (%llu).",
                       report->unknown);
}

static int take_all(const struct chronos_mount *mount, struct report *report)
{
    char *text = NULL, *rest, *line;
    int r = chronos_device_load_all(mount, 1u << CHRONOS_DEVICE_MEMORY_TOTAL, &report->devices,
                                    &report->device_count);
    if (r >= 0)
        r = chronos_read_all(mount->root, "history", &text);
    for (rest = text; r >= 0 && (line = strsep(&rest, "\n"));)
        r = take_line(report, line);
    free(text);
    return r;
}

static int read_options(const struct args *args, struct report *report)
{
    const char *by = args_option(args, "by"), *since = args_option(args, "since");
    int64_t seconds;
    size_t i = 0;
    while (by && i < ARRAY_COUNT(by_words) && strcmp(by, by_words[i]) != 0)
        i++;
    if (i == ARRAY_COUNT(by_words))
        return args_usage_error(args->command, "\"%s\" is not one of user, device and day.", by);
    report->by = (enum by)i;
    if (!read_duration(since ? since : SINCE_DEFAULT, &seconds))
        return args_usage_error(
            args->command, "\"%s\" is not a duration; 90m, 12h and 7d are, up to 3660d.", since);
    report->since = time(NULL) - (time_t)seconds;
    return 0;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    bool as_json = args_option(args, "json");
    struct report report = {.local = !as_json && output_terminal()};
    int code = read_options(args, &report);
    if (code)
        return code;
    int r = take_all(mount, &report);
    if (r < 0) {
        code = failure_report(mount, "The history could not be read", r);
    } else {
        if (report.count > 0)
            qsort(report.groups, report.count, sizeof(*report.groups),
                  report.by == BY_DAY ? compare_days : compare_use);
        if (as_json)
            print_json(&report);
        else if (output_terminal() && report.count > 0)
            print_table(&report);
        else if (output_terminal())
            puts("No ended partitions.");
        else
            print_lines(&report);
        print_gaps(&report);
    }
    free(report.groups);
    free(report.devices);
    return code;
}

const struct command cmd_report = {
    .name = "report",
    .args = "",
    .summary = "Add up the use by user, device or day.",
    .help = "Adds up the partitions that have ended, from the history, and prints a line for\n"
            "each user, device or day: the number of partitions, the hours that they lasted,\n"
            "their GPU-hours (the hours times the share of the device) and their peak: how\n"
            "much of the memory that was asked for was in use at most. The largest use comes\n"
            "first. A partition counts on every day that it touched.\n"
            "\n"
            "Days are those of UTC, and on a terminal those of the local time zone.\n"
            "\n"
            "    chronos report --since 30d --by day",
    .options = options,
    .run = run,
};
