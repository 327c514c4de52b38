/* SPDX-License-Identifier: Apache-2.0 */
/* chronos queue: show what waits, and the start that each is promised. */
#include "command.h"
#include "failure.h"
#include "output.h"
#include "queue.h"
#include "user.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    {"mine", 'm', NULL, "Only your own."},
    {"device", 'd', "DEVICE", "Only what waits for DEVICE."},
    OPTION_WATCH,
    OPTION_JSON,
    OPTION_END,
};

/* Keep the rows of the caller. */
static size_t keep_own(struct queue_row *rows, size_t count)
{
    char name[USERNAME_MAX + 1] = "", number[16];
    size_t kept = 0;
    user_of_uid(geteuid(), name);
    snprintf(number, sizeof(number), "%u", (unsigned)geteuid());
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].user, name) == 0 || strcmp(rows[i].user, number) == 0)
            rows[kept++] = rows[i];
    }
    return kept;
}

static void print_lines(const struct queue_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%s %s %s %llu %s %s %s %s%s\n", rows[i].id, rows[i].user, rows[i].share,
               (unsigned long long)rows[i].seconds, rows[i].priority, rows[i].start,
               rows[i].promised, rows[i].devices, rows[i].fixed ? " fixed" : "");
}

static void print_table(const struct queue_row *rows, size_t count)
{
    static const char *const titles[] = {"ID",     "USER",          "SHARE",   "TIME", "PRIORITY",
                                         "STARTS", "AT THE LATEST", "DEVICES", NULL};
    struct table *table = table_new(titles);
    for (size_t i = 0; i < count; i++) {
        char text[CHRONOS_VALUE_MAX];
        table_cell(table, BOLD, rows[i].id);
        table_cell(table, PLAIN, rows[i].user);
        output_share_text(rows[i].share, text, sizeof(text));
        table_cell(table, PLAIN, text);
        output_seconds_text(rows[i].seconds, text, sizeof(text));
        table_cell(table, PLAIN, text);
        table_cell(table, strcmp(rows[i].priority, "high") == 0 ? YELLOW : PLAIN, rows[i].priority);
        output_time_text(rows[i].start, text, sizeof(text));
        table_cell(table, GREEN, text);
        output_time_text(rows[i].promised, text, sizeof(text));
        table_cell(table, PLAIN, rows[i].fixed ? "fixed" : text);
        table_cell(table, PLAIN, rows[i].devices);
    }
    if (count > 0)
        table_print(table);
    else
        puts("Nothing waits.");
    table_free(table);
}

static void json_devices(struct json *json, char *devices)
{
    char *device;
    json_open(json, "devices", '[');
    while ((device = strsep(&devices, ",")))
        json_text(json, NULL, device);
    json_close(json, ']');
}

static void print_json(struct queue_row *rows, size_t count)
{
    struct json json = {0};
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        char seconds[32];
        json_open(&json, NULL, '{');
        json_text(&json, "id", rows[i].id);
        json_text(&json, "user", rows[i].user);
        json_number(&json, "fraction", rows[i].share);
        snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)rows[i].seconds);
        json_number(&json, "duration_seconds", seconds);
        json_text(&json, "priority", rows[i].priority);
        json_text(&json, "start", rows[i].start);
        json_text(&json, "promised", rows[i].promised);
        json_bool(&json, "fixed", rows[i].fixed);
        json_devices(&json, rows[i].devices);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

static int print(const struct chronos_mount *mount, const struct args *args)
{
    struct queue_row *rows = NULL;
    const char *text = args_option(args, "device");
    char device[32];
    size_t count = 0;
    unsigned index = 0;
    if (text && !chronos_parse_device(text, &index))
        return failure_no_device(mount, text);
    snprintf(device, sizeof(device), "gpu%u", index);
    int r = queue_load(mount, text ? device : NULL, &rows, &count);
    if (text && chronos_is_gone(r))
        return failure_no_device(mount, text);
    if (r < 0)
        return failure_report(mount, "The queue could not be read", r);
    if (args_option(args, "mine"))
        count = keep_own(rows, count);
    if (args_option(args, "json"))
        print_json(rows, count);
    else if (output_terminal())
        print_table(rows, count);
    else
        print_lines(rows, count);
    free(rows);
    return EXIT_DONE;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return args_option(args, "watch") ? watch(mount, args, print) : print(mount, args);
}

const struct command cmd_queue = {
    .name = "queue",
    .args = "",
    .summary = "Show what waits, and when it starts.",
    .help = "Shows the requests that wait, by start: user, share of each device, time, class,\n"
            "the start that is planned now, and the one that is promised: it starts then at\n"
            "the latest. In a pipe it prints the lines of the file queue.",
    .options = options,
    .run = run,
};
