/* SPDX-License-Identifier: Apache-2.0 */
/* chronos list: list the partitions. Leave out one that ends while it is being read. Show
 * the rest if one cannot be read: its owner may hide it. */
#include "command.h"
#include "device.h"
#include "failure.h"
#include "load.h"
#include "output.h"
#include "partition.h"
#include "select.h"
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    SELECT_OPTIONS, {"quiet", 'q', NULL, "Print only the ids, one a line."},
    OPTION_WATCH,   OPTION_JSON,
    OPTION_END,
};

/* Output formats. Call `begin` before the first partition, and `end` always. */
struct view {
    uint32_t mask;
    void (*begin)(struct view *view);
    void (*each)(struct view *view, const struct chronos_partition *partition);
    void (*end)(struct view *view, size_t count);
    bool incomplete; /* some partitions are not shown */
    struct table *table;
    struct json json;
};

static void lines_begin(struct view *view)
{
    (void)view;
    puts("Active partitions:\n-----------------");
}

static void lines_each(struct view *view, const struct chronos_partition *partition)
{
    (void)view;
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char percent[CHRONOS_VALUE_MAX];
    output_percent_text(value[CHRONOS_PARTITION_FRACTION], percent, sizeof(percent));
    printf("ID: %s\n  Device: %s (%s)\n  Memory: %s%%\n  Time remaining: %s seconds\n"
           "  Owner: %s (PID: %s)\n",
           partition->id, device_number(value[CHRONOS_PARTITION_DEVICE]), partition->device_name,
           percent, value[CHRONOS_PARTITION_REMAINING], value[CHRONOS_PARTITION_USER],
           value[CHRONOS_PARTITION_CREATOR_PID]);
    if (strcmp(value[CHRONOS_PARTITION_STATE], "pending") == 0)
        printf("  Waits until: %s\n", value[CHRONOS_PARTITION_START]);
    if (strcmp(value[CHRONOS_PARTITION_STATE], "suspended") == 0)
        printf("  Suspended, kept until: %s\n", value[CHRONOS_PARTITION_EXPIRES]);
}

static void lines_end(struct view *view, size_t count)
{
    if (count == 0 && !view->incomplete)
        puts("No active partitions.");
}

static void ids_begin(struct view *view)
{
    (void)view;
}

static void ids_each(struct view *view, const struct chronos_partition *partition)
{
    (void)view;
    puts(partition->id);
}

static void ids_end(struct view *view, size_t count)
{
    (void)view;
    (void)count;
}

static void table_begin(struct view *view)
{
    static const char *const titles[] = {"ID",        "NAME", "DEVICE", "MEMORY", "USED", "SHARE",
                                         "REMAINING", "ENDS", "USER",   "STATE",  NULL};
    view->table = table_new(titles);
}

static void table_each(struct view *view, const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char text[CHRONOS_VALUE_MAX];
    uint64_t remaining = chronos_number(value[CHRONOS_PARTITION_REMAINING]);
    bool active = strcmp(value[CHRONOS_PARTITION_STATE], "active") == 0;
    table_cell(view->table, BOLD, partition->id);
    table_cell(view->table, PLAIN,
               value[CHRONOS_PARTITION_NAME][0] ? value[CHRONOS_PARTITION_NAME] : "-");
    table_cell(view->table, PLAIN, value[CHRONOS_PARTITION_DEVICE]);
    output_bytes_text(chronos_number(value[CHRONOS_PARTITION_MEMORY]), text, sizeof(text));
    table_cell(view->table, PLAIN, text);
    output_bytes_text(chronos_number(value[CHRONOS_PARTITION_MEMORY_USED]), text, sizeof(text));
    table_cell(view->table, PLAIN, text);
    output_share_text(value[CHRONOS_PARTITION_FRACTION], text, sizeof(text));
    table_cell(view->table, PLAIN, text);
    output_seconds_text(remaining, text, sizeof(text));
    bool pending = strcmp(value[CHRONOS_PARTITION_STATE], "pending") == 0;
    table_cell(view->table,
               pending           ? PLAIN
               : remaining < 60  ? RED
               : remaining < 600 ? YELLOW
                                 : PLAIN,
               text);
    output_time_text(value[CHRONOS_PARTITION_EXPIRES], text, sizeof(text));
    table_cell(view->table, PLAIN, text);
    table_cell(view->table, PLAIN, value[CHRONOS_PARTITION_USER]);
    table_cell(view->table, active ? GREEN : YELLOW, value[CHRONOS_PARTITION_STATE]);
}

static void table_end(struct view *view, size_t count)
{
    if (count > 0)
        table_print(view->table);
    else if (!view->incomplete)
        puts("No active partitions.");
    table_free(view->table);
}

static void json_begin(struct view *view)
{
    json_open(&view->json, NULL, '[');
}

static void json_each(struct view *view, const struct chronos_partition *partition)
{
    partition_json(&view->json, partition, NULL);
}

static void json_end(struct view *view, size_t count)
{
    if (count == 0)
        json_begin(view);
    json_close(&view->json, ']');
}

static const struct view look_lines = {
    .mask = 1u << CHRONOS_PARTITION_DEVICE | 1u << CHRONOS_PARTITION_FRACTION |
            1u << CHRONOS_PARTITION_REMAINING | 1u << CHRONOS_PARTITION_USER |
            1u << CHRONOS_PARTITION_CREATOR_PID | 1u << CHRONOS_PARTITION_STATE |
            1u << CHRONOS_PARTITION_START,
    .begin = lines_begin,
    .each = lines_each,
    .end = lines_end,
};
static const struct view look_ids = {.begin = ids_begin, .each = ids_each, .end = ids_end};
static const struct view look_table = {
    .mask = CHRONOS_ALL, .begin = table_begin, .each = table_each, .end = table_end};
static const struct view look_json = {
    .mask = CHRONOS_ALL, .begin = json_begin, .each = json_each, .end = json_end};

/* What is shown, and what is left out. */
struct showing {
    const struct select *select;
    struct view *view;
    size_t count;
    struct failure_skipped skipped;
    int r; /* of the last one */
};

static bool show(void *context, int r, const struct chronos_partition *partition)
{
    struct showing *showing = context;
    showing->r = r;
    if (r < 0 && !chronos_is_gone(r))
        failure_skip(&showing->skipped, partition->id, r);
    if (r < 0 || !select_passes(showing->select, partition))
        return r != -ENOTCONN;
    if (showing->count++ == 0)
        showing->view->begin(showing->view);
    showing->view->each(showing->view, partition);
    return true;
}

static int show_all(const struct chronos_mount *mount, const uint64_t *ids, size_t count,
                    const struct select *select, struct view *view)
{
    struct showing showing = {.select = select, .view = view, .skipped = {.more = 0}};
    /* Without any field the id is enough. */
    int r = load_each(mount, ids, count, view->mask | select->mask, show, &showing);
    view->incomplete = showing.skipped.text[0] != '\0';
    view->end(view, showing.count);
    r = r ? r : showing.r;
    if (r == -ENOTCONN || r == -ENOMEM)
        return failure_report(mount, "The partitions could not be read", r);
    return failure_report_skipped(&showing.skipped);
}

static struct view choose_view(const struct args *args)
{
    if (args_option(args, "quiet"))
        return look_ids;
    if (args_option(args, "json"))
        return look_json;
    return output_terminal() ? look_table : look_lines;
}

static int print(const struct chronos_mount *mount, const struct args *args)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    struct select select;
    struct view view = choose_view(args);
    if (args_option(args, "quiet") && args_option(args, "json"))
        return args_usage_error(args->command, "--quiet and --json exclude each other.");
    int r = select_init(mount, args, &select);
    if (r)
        return r;
    r = select_list(mount, &select, &ids, &count);
    if (r < 0)
        return failure_report(mount, "The partitions could not be listed", r);
    r = show_all(mount, ids, count, &select, &view);
    free(ids);
    return r;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return args_option(args, "watch") ? watch(mount, args, print) : print(mount, args);
}

const struct command cmd_list = {
    .name = "list",
    .other_name = "ls",
    .args = "",
    .summary = "Show the partitions.",
    .help = "Shows every partition: device, share of the memory, time left and owner. On a\n"
            "terminal it is a table. Those that wait for their start are pending, and queue\n"
            "tells more of them.\n"
            "\n"
            "A partition whose owner hides it (by its mode or a mount over it) is named on\n"
            "standard error. If one cannot be read for another reason, the exit code is 1.",
    .options = options,
    .run = run,
};
