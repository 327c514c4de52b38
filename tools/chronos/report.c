/* SPDX-License-Identifier: Apache-2.0 */
/* Add up partitions; see report.h. */
#include "report.h"

#include "core/base/array.h"
#include "core/base/username.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One partition, and its time within the report. */
struct use {
    time_t from, to;
    double memory, peak;
    double share; /* 0: not known */
};

/* Return the group of `key`, new if there is none; NULL: out of memory. */
static struct report_group *group_get(struct report *report, const char *key)
{
    for (size_t i = report->count; i-- > 0;) {
        if (strcmp(report->groups[i].key, key) == 0)
            return &report->groups[i];
    }
    if (array_reserve(report->groups, report->room, report->count + 1) < 0)
        return NULL;
    struct report_group *group = &report->groups[report->count++];
    *group = (struct report_group){.partitions = 0};
    snprintf(group->key, sizeof(group->key), "%s", key);
    return group;
}

static int add(struct report *report, const char *key, const struct use *use)
{
    struct report_group *group = group_get(report, key);
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
    if (!chronos_parse_device(device, &index) || index >= report->total_count)
        return 0;
    double total = (double)report->totals[index];
    return bytes < total ? bytes / total : total > 0 ? 1 : 0;
}

/* Add a partition to the group that it belongs to. */
static int add_to_group(struct report *report, const struct chronos_line *line,
                        const struct use *use)
{
    const char *device = chronos_line_value(line, "device");
    char key[REPORT_KEY_MAX];
    switch (report->by) {
    case REPORT_BY_DAY:
        return add_days(report, use);
    case REPORT_BY_NODE:
        return add(report, report->node, use);
    case REPORT_BY_DEVICE:
        snprintf(key, sizeof(key), "%s%s%.40s", report->node ? report->node : "",
                 report->node ? "/" : "", device);
        return add(report, key, use);
    default:
        return add(report, chronos_line_value(line, "user"), use);
    }
}

int report_take_line(struct report *report, const char *text)
{
    struct chronos_line line;
    struct use use;
    uint64_t id;
    chronos_line_split(text, strlen(text), &line);
    if (line.count == 0)
        return 0;
    if (strcmp(line.words[0], "lost") == 0)
        report->lost += chronos_number(chronos_line_value(&line, "lines"));
    if (!chronos_parse_id(line.words[0], &id) ||
        !output_time_read(chronos_line_value(&line, "start"), &use.from) ||
        !output_time_read(chronos_line_value(&line, "end"), &use.to) || use.to < report->since)
        return 0;
    if (strcmp(chronos_line_value(&line, "state"), "pending") == 0)
        return 0; /* it had not started */
    if (use.from < report->since)
        use.from = report->since;
    if (use.from > use.to)
        use.from = use.to; /* it ended before its time came */
    use.memory = (double)chronos_number(chronos_line_value(&line, "memory"));
    use.peak = (double)chronos_number(chronos_line_value(&line, "memory_peak"));
    use.share = share_of(report, chronos_line_value(&line, "device"), use.memory);
    report->unknown += use.share <= 0 && use.from < use.to;
    return add_to_group(report, &line, &use);
}

static int compare_days(const void *a, const void *b)
{
    return strcmp(((const struct report_group *)a)->key, ((const struct report_group *)b)->key);
}

static int compare_use(const void *a, const void *b)
{
    double x = ((const struct report_group *)a)->share_seconds;
    double y = ((const struct report_group *)b)->share_seconds;
    return x > y ? -1 : x < y ? 1 : compare_days(a, b);
}

void report_sort(struct report *report)
{
    if (report->count > 0)
        qsort(report->groups, report->count, sizeof(*report->groups),
              report->by == REPORT_BY_DAY ? compare_days : compare_use);
}
