/* SPDX-License-Identifier: Apache-2.0 */
/* chronos schedule: show the plan of the devices as a picture. */
#include "chart.h"
#include "command.h"
#include "device.h"
#include "output.h"
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_MAX      366
#define COLUMNS_LEAST 40

static const struct option options[] = {
    {"days", 'D', "N", "Show N days from now on, from 1 to 366."},
    {"svg", 0, NULL, "Print an SVG picture: time to the right, memory upwards."},
    OPTION_WATCH,
    OPTION_JSON,
    OPTION_END,
};

static void json_lease(struct json *json, const struct chart_lease *lease)
{
    const char(*value)[CHRONOS_VALUE_MAX] = lease->partition.record.value;
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)lease->bytes);
    json_open(json, NULL, '{');
    json_text(json, "id", lease->partition.id);
    json_text(json, "user", value[CHRONOS_PARTITION_USER]);
    json_text(json, "name", value[CHRONOS_PARTITION_NAME]);
    json_text(json, "state", value[CHRONOS_PARTITION_STATE]);
    json_bool(json, "fixed", lease->fixed);
    json_number(json, "fraction", value[CHRONOS_PARTITION_FRACTION]);
    json_number(json, "memory_bytes", bytes);
    json_text(json, "start", value[CHRONOS_PARTITION_START]);
    json_text(json, "expires", value[CHRONOS_PARTITION_EXPIRES]);
    json_close(json, '}');
}

static void json_step(struct json *json, const struct chart_step *step)
{
    char text[64];
    json_open(json, NULL, '{');
    json_text(json, "from", step->time);
    json_number(json, "percent", step->percent);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)step->bytes);
    json_number(json, "bytes", text);
    json_close(json, '}');
}

static void print_json(const struct chart *charts, size_t count)
{
    struct json json = {0};
    char text[32];
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        const struct chart *chart = &charts[i];
        json_open(&json, NULL, '{');
        snprintf(text, sizeof(text), "gpu%u", chart->device.index);
        json_text(&json, "device", text);
        json_number(&json, "memory_bytes", chart->device.record.value[CHRONOS_DEVICE_MEMORY_TOTAL]);
        json_open(&json, "partitions", '[');
        for (size_t k = 0; k < chart->count; k++)
            json_lease(&json, &chart->leases[k]);
        json_close(&json, ']');
        json_open(&json, "free", '[');
        for (size_t k = 0; k < chart->step_count; k++)
            json_step(&json, &chart->steps[k]);
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

static int draw(struct chart *charts, size_t count, const struct args *args, int days)
{
    struct chart_window window = chart_window(charts, count, time(NULL), days);
    if (args_option(args, "json")) {
        print_json(charts, count);
    } else if (args_option(args, "svg")) {
        for (size_t i = 0; i < count; i++) {
            int r = chart_place(&charts[i]);
            if (r < 0)
                return r;
        }
        chart_print_svg(charts, count, &window);
    } else {
        size_t columns = output_size(NULL);
        chart_print_text(charts, count, &window, columns > COLUMNS_LEAST ? columns : COLUMNS_LEAST);
    }
    return 0;
}

static int show(const struct chronos_mount *mount, const struct args *args, int days,
                const struct chronos_device *devices, size_t count)
{
    struct failure_skipped skipped = {.more = 0};
    struct chart *charts = calloc(count ? count : 1, sizeof(*charts));
    size_t loaded = 0, lines = 0, most = SIZE_MAX;
    int r = charts ? 0 : -ENOMEM;
    if (args_option(args, "watch")) /* shows what fits the terminal */
        output_size(&most);
    for (size_t i = 0; i < count && lines < most && !r; i++) {
        r = chart_load(mount, &devices[i], &skipped, &charts[loaded]);
        if (!r)
            lines += CHART_LINES + charts[loaded++].lanes;
        else if (chronos_is_gone(r))
            r = 0;
    }
    if (!r)
        r = draw(charts, loaded, args, days);
    for (size_t i = 0; i < loaded; i++)
        chart_release(&charts[i]);
    free(charts);
    return r < 0 ? failure_report(mount, "The schedule could not be read", r)
                 : failure_report_skipped(&skipped);
}

static int print(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_device *devices = NULL;
    size_t count = 0;
    int code = EXIT_DONE, days = 0;
    const char *text = args_option(args, "days");
    if (text) {
        uint64_t number = chronos_number(text);
        if (number == 0 || number > DAYS_MAX)
            return args_usage_error(args->command, "--days takes a number from 1 to %d, not %s.",
                                    DAYS_MAX, text);
        days = (int)number;
    }
    if (args_option(args, "json") && args_option(args, "svg"))
        return args_usage_error(args->command, "--json and --svg exclude each other.");
    int r = device_list(mount, args->words[0], 0, &devices, &count, &code);
    if (r)
        return r;
    r = show(mount, args, days, devices, count);
    free(devices);
    return r ? r : code;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return args_option(args, "watch") ? watch(mount, args, print) : print(mount, args);
}

const struct command cmd_schedule = {
    .name = "schedule",
    .args = "[DEVICE]",
    .summary = "Draw what is held and promised, and until when.",
    .help = "Draws DEVICE, or all: time to the right, from now on, and a row for\n"
            "partitions that follow each other. A # is time that a partition holds, a - time\n"
            "promised to one that waits, a = a reservation with a fixed start, and a > means\n"
            "that it goes on to the right of the picture. The last line of a device tells\n"
            "what is free when.\n"
            "\n"
            "Without --days it shows all partitions to their end, but at most a week.\n"
            "\n"
            "    chronos schedule --svg > week.svg",
    .options = options,
    .run = run,
};
