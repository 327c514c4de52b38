/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos report: add up the partitions that have ended, of this machine or of a cluster. The share
 * of a device is that of its present memory: the history has only bytes.
 */
#include "collected.h"
#include "command.h"
#include "core/base/array.h"
#include "failure.h"
#include "output.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SINCE_DEFAULT "7d"
#define SINCE_MAX     (INT64_C(3660) * 86400)

static const char *const by_words[] = {"user", "device", "day", "node"};

static const struct option options[] = {
    {"since", 's', "DURATION",
     "Only the use within the last DURATION; " SINCE_DEFAULT " if absent."},
    {"by", 'b', "user/device/day/node", "What a line stands for; user if absent."},
    {"from", 'f', "DIR", "Of all nodes of a cluster, from the files DIR/NODE/history."},
    OPTION_JSON,
    OPTION_END,
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

/* The figures of a group as text; `peak` is "-" if nothing was asked for. */
struct row {
    char partitions[32], hours[32], gpu_hours[32], peak[32];
};

static struct row row_of(const struct report_group *group)
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
    static const char *const heads[] = {"USER", "DEVICE", "DAY", "NODE"};
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

/* The sizes of the devices that are here now, by their numbers. */
static int load_totals(const struct chronos_mount *mount, uint64_t **ret_totals, size_t *ret_count)
{
    struct chronos_device *devices;
    size_t count, room = 0;
    int r = chronos_device_load_all(mount, 1u << CHRONOS_DEVICE_MEMORY_TOTAL, &devices, &count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        room = devices[i].index >= room ? devices[i].index + 1 : room;
    uint64_t *totals = calloc(room + 1, sizeof(*totals));
    for (size_t i = 0; totals && i < count; i++) {
        if (devices[i].failure >= 0)
            totals[devices[i].index] =
                chronos_number(devices[i].record.value[CHRONOS_DEVICE_MEMORY_TOTAL]);
    }
    free(devices);
    if (!totals)
        return -ENOMEM;
    *ret_totals = totals;
    *ret_count = room;
    return 0;
}

/* Add up the history of this machine. Return an exit code. */
static int take_tree(const struct args *args, struct report *report)
{
    struct chronos_mount mount;
    char *text = NULL, *rest, *line, failed[PATH_MAX];
    uint64_t *totals = NULL;
    int r = chronos_mount_open(args_option(args, "mount"), failed, &mount);
    if (r < 0)
        return failure_no_mount(failed, r);
    r = load_totals(&mount, &totals, &report->total_count);
    report->totals = totals;
    if (r >= 0)
        r = chronos_read_all(mount.root, "history", &text);
    for (rest = text; r >= 0 && (line = strsep(&rest, "\n"));)
        r = report_take_line(report, line);
    free(text);
    free(totals);
    return r < 0 ? failure_report(&mount, "The history could not be read", r) : EXIT_DONE;
}

static int take_collected(void *context, const struct collected_node *node, const char *line)
{
    struct report *report = context;
    report->node = node->name;
    report->totals = node->totals;
    report->total_count = node->total_count;
    return report_take_line(report, line);
}

/* Add up what was collected from the nodes. Return an exit code. */
static int take_nodes(const char *directory, struct report *report)
{
    struct collected_gaps gaps;
    char why[CHRONOS_REASON_MAX];
    int r = collected_read(directory, take_collected, report, &gaps);
    if (r < 0) {
        output_message("Cannot read %s: %s.", directory, chronos_reason(r, why));
        return EXIT_REFUSED;
    }
    if (gaps.bad > 0)
        output_message("Not understood: %llu line%s, the first in %s.", gaps.bad,
                       gaps.bad == 1 ? "" : "s", gaps.first_bad);
    if (gaps.nodes == 0 && !gaps.skipped.text[0]) {
        output_message("There is no node in %s: copy each node's files history and metrics to "
                       "%s/NODE.",
                       directory, directory);
        return EXIT_REFUSED;
    }
    report->lost += gaps.lost;
    return failure_report_skipped(&gaps.skipped);
}

static int read_options(const struct args *args, struct report *report)
{
    const char *by = args_option(args, "by"), *since = args_option(args, "since");
    int64_t seconds;
    size_t i = 0;
    while (by && i < ARRAY_COUNT(by_words) && strcmp(by, by_words[i]) != 0)
        i++;
    if (i == ARRAY_COUNT(by_words))
        return args_usage_error(args->command, "\"%s\" is not one of user, device, day and node.",
                                by);
    if (i == REPORT_BY_NODE && !args_option(args, "from"))
        return args_usage_error(args->command, "--by node needs --from DIR.");
    report->by = (enum report_by)i;
    if (!read_duration(since ? since : SINCE_DEFAULT, &seconds))
        return args_usage_error(
            args->command, "\"%s\" is not a duration; 90m, 12h and 7d are, up to 3660d.", since);
    report->since = time(NULL) - (time_t)seconds;
    return 0;
}

static void print(struct report *report, bool as_json)
{
    report_sort(report);
    if (as_json)
        print_json(report);
    else if (output_terminal() && report->count > 0)
        print_table(report);
    else if (output_terminal())
        puts("No ended partitions.");
    else
        print_lines(report);
    print_gaps(report);
}

static int run(const struct chronos_mount *none, const struct args *args)
{
    const char *from = args_option(args, "from");
    bool as_json = args_option(args, "json");
    struct report report = {.local = !as_json && output_terminal()};
    int code = read_options(args, &report);
    (void)none;
    if (code)
        return code;
    code = from ? take_nodes(from, &report) : take_tree(args, &report);
    if (code == EXIT_DONE || report.count > 0)
        print(&report, as_json);
    free(report.groups);
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
            "    chronos report --since 30d --by day\n"
            "\n"
            "With --from it adds up all nodes of a cluster: DIR has a directory for each, and\n"
            "there are copies of the files history and metrics of its tree. Several histories\n"
            "of a node (history.1) may overlap.\n"
            "\n"
            "    chronos report --from /srv/usage --by node",
    .options = options,
    .without_tree = true,
    .run = run,
};
