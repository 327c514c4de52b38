/* SPDX-License-Identifier: Apache-2.0 */
/* Read the plan of a device; see chart.h. */
#include "chart.h"

#include "output.h"
#include "queue.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400
#define WEEK   (7 * DAY)

/* -- reading ------------------------------------------------------------------------------ */

static int compare_leases(const void *a, const void *b)
{
    const struct chart_lease *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Return how much of `device` a partition has; of several, its file `devices` has a line each. */
static uint64_t bytes_on(const struct chronos_mount *mount, const char *device,
                         const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    uint64_t bytes = chronos_number(value[CHRONOS_PARTITION_MEMORY]);
    char path[64], *text, *rest, *line;
    snprintf(path, sizeof(path), "partitions/%s/devices", partition->id);
    if (!strchr(value[CHRONOS_PARTITION_DEVICE], ',') ||
        chronos_read_all(mount->root, path, &text) < 0)
        return bytes;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        struct chronos_line words;
        chronos_line_split(line, strlen(line), &words);
        if (words.count > 1 && strcmp(words.words[0], device) == 0)
            bytes = chronos_number(words.words[1]);
    }
    free(text);
    return bytes;
}

static bool lease_of_partition(const struct chronos_mount *mount, const char *device,
                               struct chart_lease *lease)
{
    const struct chronos_record *record = &lease->partition.record;
    lease->bytes = bytes_on(mount, device, &lease->partition);
    lease->pending = strcmp(record->value[CHRONOS_PARTITION_STATE], "pending") == 0;
    return output_time_read(record->value[CHRONOS_PARTITION_START], &lease->start) &&
           output_time_read(record->value[CHRONOS_PARTITION_EXPIRES], &lease->end);
}

static int load_leases(const struct chronos_mount *mount, const char *device,
                       struct failure_skipped *skipped, struct chart *chart)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    int r = chronos_list(mount->root, device, "p", &ids, &count);
    if (r < 0)
        return r;
    chart->leases = calloc(count ? count : 1, sizeof(*chart->leases));
    for (size_t i = 0; i < count && chart->leases; i++) {
        struct chart_lease *lease = &chart->leases[chart->count];
        char id[CHRONOS_ID_MAX];
        lease->number = ids[i];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        r = chronos_partition_load(mount, id, CHRONOS_ALL, &lease->partition);
        if (r < 0 && !chronos_is_gone(r))
            failure_skip(skipped, id, r);
        /* A suspended one holds nothing until it is resumed. */
        if (!r && strcmp(lease->partition.record.value[CHRONOS_PARTITION_STATE], "suspended") &&
            lease_of_partition(mount, device, lease))
            chart->count++;
    }
    free(ids);
    if (!chart->leases)
        return -ENOMEM;
    qsort(chart->leases, chart->count, sizeof(*chart->leases), compare_leases);
    return 0;
}

/* Mark those whose start does not move. Without a queue nothing waits. */
static int find_fixed(const struct chronos_mount *mount, const char *device, struct chart *chart)
{
    struct queue_row *rows = NULL;
    const struct queue_row **sorted;
    size_t count = 0;
    bool waits = false;
    for (size_t i = 0; i < chart->count; i++)
        waits = waits || chart->leases[i].pending;
    int r = waits ? queue_load(mount, device, &rows, &count) : -ENOENT;
    if (r == -ENOENT)
        return 0;
    if (!r)
        r = queue_sort_by_id(rows, count, &sorted);
    for (size_t i = 0; i < chart->count && !r; i++) {
        const struct queue_row *row = queue_find(sorted, count, chart->leases[i].number);
        chart->leases[i].fixed = row && row->fixed;
    }
    if (!r)
        free(sorted);
    free(rows);
    return r;
}

/* Read the lines TIME PERCENT BYTES of the file `schedule`. */
static int load_steps(const struct chronos_mount *mount, const char *device, struct chart *chart)
{
    char path[64], *text, *rest, *line;
    size_t room = 0;
    snprintf(path, sizeof(path), "%s/schedule", device);
    int r = chronos_read_all(mount->root, path, &text);
    if (r < 0)
        return r;
    rest = text;
    while ((line = strsep(&rest, "\n"))) {
        struct chronos_line words;
        struct chart_step step;
        chronos_line_split(line, strlen(line), &words);
        if (words.count < 3 || !output_time_read(words.words[0], &step.from))
            continue;
        snprintf(step.time, sizeof(step.time), "%s", words.words[0]);
        snprintf(step.percent, sizeof(step.percent), "%s", words.words[1]);
        step.bytes = chronos_number(words.words[2]);
        if (array_reserve(chart->steps, room, chart->step_count + 1)) {
            r = -ENOMEM;
            break;
        }
        chart->steps[chart->step_count++] = step;
    }
    free(text);
    return r;
}

/* Partitions that follow each other share a lane: each takes the first that is free. */
static int find_lanes(struct chart *chart)
{
    time_t *ends = calloc(chart->count ? chart->count : 1, sizeof(*ends));
    if (!ends)
        return -ENOMEM;
    for (size_t i = 0; i < chart->count; i++) {
        struct chart_lease *lease = &chart->leases[i];
        while (lease->lane < chart->lanes && ends[lease->lane] > lease->start)
            lease->lane++;
        if (lease->lane == chart->lanes)
            chart->lanes++;
        ends[lease->lane] = lease->end;
    }
    free(ends);
    return 0;
}

int chart_load(const struct chronos_mount *mount, const struct chronos_device *device,
               struct failure_skipped *skipped, struct chart *ret_chart)
{
    struct chart chart = {.device = *device};
    const uint32_t fields = 1u << CHRONOS_DEVICE_NAME | 1u << CHRONOS_DEVICE_MEMORY_TOTAL;
    char name[32];
    snprintf(name, sizeof(name), "gpu%u", device->index);
    int r = chronos_device_load(mount, device->index, fields, &chart.device);
    chart.bytes = chronos_number(chart.device.record.value[CHRONOS_DEVICE_MEMORY_TOTAL]);
    if (!r)
        r = load_leases(mount, name, skipped, &chart);
    if (!r)
        r = find_fixed(mount, name, &chart);
    if (!r)
        r = load_steps(mount, name, &chart);
    if (!r)
        r = find_lanes(&chart);
    if (r < 0) {
        chart_release(&chart);
        return r;
    }
    *ret_chart = chart;
    return 0;
}

void chart_release(struct chart *chart)
{
    for (size_t i = 0; i < chart->count; i++)
        free(chart->leases[i].bands);
    free(chart->leases);
    free(chart->steps);
    *chart = (struct chart){.count = 0};
}

/* -- bands -------------------------------------------------------------------------------- */

static int compare_bands(const void *a, const void *b)
{
    const struct chart_band *left = a, *right = b;
    return left->from < right->from ? -1 : left->from > right->from;
}

static int take(struct chart_lease *lease, uint64_t from, uint64_t to, uint64_t *wanted)
{
    uint64_t size = to - from < *wanted ? to - from : *wanted;
    if (size == 0)
        return 0;
    if (array_reserve(lease->bands, lease->band_room, lease->band_count + 1))
        return -ENOMEM;
    lease->bands[lease->band_count++] = (struct chart_band){from, from + size};
    *wanted -= size;
    return 0;
}

/* Take the gaps between the bands in use, from the lowest on. */
static int take_gaps(struct chart *chart, struct chart_lease *lease, const struct chart_band *used,
                     size_t count)
{
    uint64_t at = 0, wanted = lease->bytes;
    for (size_t i = 0; i <= count && wanted > 0; i++) {
        uint64_t end = i < count ? used[i].from : chart->bytes;
        int r = end > at ? take(lease, at, end, &wanted) : 0;
        if (r < 0)
            return r;
        at = i < count && used[i].to > at ? used[i].to : at;
    }
    return 0;
}

int chart_place(struct chart *chart)
{
    struct chart_band *used = NULL;
    size_t room = 0;
    int r = 0;
    for (size_t i = 0; i < chart->count && !r; i++) {
        struct chart_lease *lease = &chart->leases[i];
        size_t count = 0;
        for (size_t k = 0; k < i && !r; k++) {
            const struct chart_lease *other = &chart->leases[k];
            if (other->end <= lease->start)
                continue;
            r = array_reserve(used, room, count + other->band_count) ? -ENOMEM : 0;
            for (size_t b = 0; b < other->band_count && !r; b++)
                used[count++] = other->bands[b];
        }
        if (!r && count > 1)
            qsort(used, count, sizeof(*used), compare_bands);
        if (!r)
            r = take_gaps(chart, lease, used, count);
    }
    free(used);
    return r;
}

/* -- time ----------------------------------------------------------------------------------- */

struct chart_window chart_window(const struct chart *charts, size_t count, time_t now, int days)
{
    struct chart_window window = {.from = now - now % MINUTE, .to = now + HOUR};
    if (days > 0) {
        window.to = now + (time_t)days * DAY;
        return window;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < charts[i].count; k++) {
            if (charts[i].leases[k].end > window.to)
                window.to = charts[i].leases[k].end;
        }
    }
    if (window.to > now + WEEK)
        window.to = now + WEEK;
    return window;
}

size_t chart_ticks(const struct chart_window *window, struct chart_tick ticks[static CHART_TICKS])
{
    static const int minutes[] = {10, 15, 30, 60, 120, 180, 360, 720};
    const time_t span = window->to - window->from;
    struct tm tm;
    size_t count = 0, choice = 0;
    while (choice < ARRAY_COUNT(minutes) && span / 60 / minutes[choice] >= CHART_TICKS)
        choice++;
    int days = choice < ARRAY_COUNT(minutes) ? 0 : (int)(span / DAY) / CHART_TICKS + 1;
    if (!localtime_r(&window->from, &tm))
        return 0;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    /* Let mktime() do the sums, so that ticks stay round where clocks change. */
    while (count < CHART_TICKS) {
        struct tm then = tm;
        then.tm_isdst = -1;
        time_t at = mktime(&then);
        if (at > window->to || at == (time_t)-1)
            break;
        if (at >= window->from) {
            bool midnight = then.tm_hour == 0 && then.tm_min == 0;
            ticks[count].at = at;
            strftime(ticks[count].text, sizeof(ticks[count].text), midnight ? "%a %d" : "%H:%M",
                     &then);
            count++;
        }
        tm.tm_mday += days;
        tm.tm_min += days > 0 ? 0 : minutes[choice];
    }
    return count;
}
