/* SPDX-License-Identifier: Apache-2.0 */
/* Draw plans with characters; see chart.h. */
#include "chart.h"
#include "output.h"

#include "core/base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW     '|'
#define ACTIVE  '#'
#define PENDING '-'
#define FIXED   '='
#define LATER   '>' /* it goes on to the right of the picture */

/* Return the column of a moment; 0 is now, `columns` the end. */
static size_t column(const struct chart_window *window, size_t columns, time_t at)
{
    if (at <= window->from)
        return 0;
    if (at >= window->to)
        return columns;
    return (size_t)((double)(at - window->from) / (double)(window->to - window->from) *
                    (double)columns);
}

static void print_row(char *row)
{
    size_t length = strlen(row);
    while (length > 1 && row[length - 1] == ' ')
        length--;
    printf("%c%.*s\n", NOW, (int)length, row);
}

static void clear(char *row, size_t columns)
{
    memset(row, ' ', columns);
    row[columns] = '\0';
}

static void print_axis(const struct chart_window *window, const struct chart_tick *ticks,
                       size_t count, size_t columns, char *row)
{
    size_t used = 0;
    clear(row, columns);
    if (count == 0 || column(window, columns, ticks[0].at) > strlen("now"))
        memcpy(row, "now", strlen("now"));
    for (size_t i = 0; i < count; i++) {
        size_t at = column(window, columns, ticks[i].at), length = strlen(ticks[i].text);
        if (at < used || at + length > columns)
            continue;
        memcpy(row + at, ticks[i].text, length);
        used = at + length + 1;
    }
    print_row(row);
}

/* Write about a partition as much as there is room for: in its bar, or behind it. */
static void write_label(const struct chart_lease *lease, char *row, size_t from, size_t to,
                        size_t room)
{
    enum { FULL, NO_NAME, NO_SHARE, ONLY_ID, TEXTS };
    static const struct {
        int text;
        bool inside;
    } places[] = {{FULL, true},     {NO_NAME, true},   {FULL, false},   {NO_NAME, false},
                  {NO_SHARE, true}, {NO_SHARE, false}, {ONLY_ID, true}, {ONLY_ID, false}};
    const struct chronos_record *record = &lease->partition.record;
    const char *id = lease->partition.id, *user = record->value[CHRONOS_PARTITION_USER];
    const char *name = record->value[CHRONOS_PARTITION_NAME];
    char share[64], text[TEXTS][3 * CHRONOS_VALUE_MAX];
    output_share_text(record->value[CHRONOS_PARTITION_FRACTION], share, sizeof(share));
    snprintf(text[FULL], sizeof(text[FULL]), " %s %s %s%s%s ", id, user, share, *name ? " " : "",
             name);
    snprintf(text[NO_NAME], sizeof(text[NO_NAME]), " %s %s %s ", id, user, share);
    snprintf(text[NO_SHARE], sizeof(text[NO_SHARE]), " %s %s ", id, user);
    snprintf(text[ONLY_ID], sizeof(text[ONLY_ID]), " %s ", id);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        const char *label = text[places[i].text];
        size_t at = places[i].inside ? from + 1 : to, end = places[i].inside ? to - 1 : room;
        if (at + strlen(label) <= end) {
            memcpy(row + at, label, strlen(label));
            return;
        }
    }
}

static void print_lane(const struct chart *chart, size_t lane, const struct chart_window *window,
                       size_t columns, char *row)
{
    clear(row, columns);
    for (size_t i = 0; i < chart->count; i++) {
        const struct chart_lease *lease = &chart->leases[i];
        if (lease->lane != lane || lease->start >= window->to)
            continue;
        size_t from = column(window, columns, lease->start), to, room = columns;
        to = column(window, columns, lease->end);
        to = to > from ? to : from + 1;
        for (size_t k = i + 1; k < chart->count; k++) {
            if (chart->leases[k].lane == lane) {
                room = column(window, columns, chart->leases[k].start);
                break;
            }
        }
        if (to > columns)
            continue;
        char mark = lease->fixed ? FIXED : lease->pending ? PENDING : ACTIVE;
        memset(row + from, mark, to - from);
        write_label(lease, row, from, to, room);
        if (lease->end > window->to)
            row[columns - 1] = LATER;
    }
    print_row(row);
}

/* Return the length of a decimal number without the zeros behind its point. */
static size_t significant(const char *number)
{
    size_t length = strlen(number);
    while (strchr(number, '.') && number[length - 1] == '0')
        length--;
    return length > 0 && number[length - 1] == '.' ? length - 1 : length;
}

/* Write how much is free and when, as far as the line has room. */
static void print_free(const struct chart *chart, size_t columns)
{
    size_t used = (size_t)printf("Free:");
    for (size_t i = 0; i < chart->step_count; i++) {
        char time_text[64], text[160];
        struct tm tm = {0};
        bool known = localtime_r(&chart->steps[i].from, &tm);
        strftime(time_text, sizeof(time_text),
                 chart->steps[i].from < chart->steps[0].from + 86400 ? "%H:%M" : "%a %d %H:%M",
                 &tm);
        size_t digits = significant(chart->steps[i].percent);
        if (i == 0)
            snprintf(text, sizeof(text), " %.*s%% now", (int)digits, chart->steps[i].percent);
        else
            snprintf(text, sizeof(text), ", %.*s%% from %s", (int)digits, chart->steps[i].percent,
                     known ? time_text : "?");
        used += strlen(text);
        if (used + strlen(", ...") > columns) {
            fputs(", ...", stdout);
            break;
        }
        fputs(text, stdout);
    }
    putchar('\n');
}

void chart_print_text(const struct chart *charts, size_t count, const struct chart_window *window,
                      size_t columns)
{
    struct chart_tick ticks[CHART_TICKS];
    size_t tick_count = chart_ticks(window, ticks); /* takes longer than a device */
    char *row = malloc(columns + 1);
    for (size_t i = 0; i < count && row; i++) {
        char size[64];
        output_bytes_text(charts[i].bytes, size, sizeof(size));
        printf("%s%sgpu%u%s: %s, %s\n", i > 0 ? "\n" : "", output_colour(BOLD),
               charts[i].device.index, output_colour(PLAIN),
               charts[i].device.record.value[CHRONOS_DEVICE_NAME], size);
        print_axis(window, ticks, tick_count, columns - 1, row);
        for (size_t lane = 0; lane < charts[i].lanes; lane++)
            print_lane(&charts[i], lane, window, columns - 1, row);
        print_free(&charts[i], columns);
    }
    free(row);
}
