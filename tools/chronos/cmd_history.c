/* SPDX-License-Identifier: Apache-2.0 */
/* chronos history: list ended partitions. */
#include "command.h"
#include "core/base/fd.h"
#include "failure.h"
#include "handle.h"
#include "output.h"
#include "select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    SELECT_OPTIONS,
    OPTION_JSON,
    OPTION_END,
};

static void add_row(struct table *table, const struct chronos_line *line)
{
    char memory[32], time[64];
    const char *name = chronos_line_value(line, "name"), *how = chronos_line_value(line, "how");
    output_bytes_text(chronos_number(chronos_line_value(line, "memory")), memory, sizeof(memory));
    table_cell(table, BOLD, line->words[0]);
    table_cell(table, PLAIN, name[0] != '\0' ? name : "-");
    table_cell(table, PLAIN, chronos_line_value(line, "device"));
    table_cell(table, PLAIN, memory);
    output_time_text(chronos_line_value(line, "start"), time, sizeof(time));
    table_cell(table, PLAIN, time);
    output_time_text(chronos_line_value(line, "end"), time, sizeof(time));
    table_cell(table, PLAIN, time);
    table_cell(table, PLAIN, chronos_line_value(line, "user"));
    table_cell(table, strcmp(how, "revoked") == 0 ? YELLOW : PLAIN, how);
    table_cell(table, PLAIN, chronos_line_value(line, "by"));
}

struct view {
    struct select select;
    const char *id; /* NULL: all */
    size_t count;   /* lines that fit */
    bool as_json;
    struct json json;
    struct table *table; /* NULL: plain lines */
};

static void each(struct view *view, const char *text, size_t length)
{
    struct chronos_line line;
    chronos_line_split(text, length, &line);
    if (line.count == 0 || !select_line(&view->select, &line) ||
        (view->id && strcmp(view->id, line.words[0]) != 0))
        return;
    view->count++;
    if (view->as_json) {
        json_open(&view->json, NULL, '{');
        json_text(&view->json, "id", line.words[0]);
        json_line(&view->json, &line, 1);
        if (chronos_line_value(&line, "name")[0] == '\0')
            json_text(&view->json, "name", "");
        json_close(&view->json, '}');
    } else if (view->table) {
        add_row(view->table, &line);
    } else {
        printf("%.*s\n", (int)length, text);
    }
}

/* Explain that nothing was found, unless that is an answer. */
static int report_none(const struct chronos_mount *mount, const struct args *args,
                       const struct view *view)
{
    struct fd_identity directory;
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s", view->id ? view->id : "");
    if (view->id && !fd_identify(mount->root, path, &directory)) {
        output_message("Partition %s has not ended: see chronos show %s.", view->id, view->id);
        return EXIT_REFUSED;
    }
    if (args->count > 0)
        return failure_no_partition(mount, args->words[0]);
    int r = user_check(mount, args_option(args, "user"));
    if (!r && output_terminal() && !view->as_json)
        puts("No ended partitions.");
    return r;
}

static void print_all(struct view *view, const char *text)
{
    static const char *const titles[] = {"ID",    "NAME", "DEVICE", "MEMORY", "START",
                                         "ENDED", "USER", "HOW",    "BY",     NULL};
    if (view->as_json)
        json_open(&view->json, NULL, '[');
    else if (output_terminal())
        view->table = table_new(titles);
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        each(view, line, length);
        line += length + (line[length] == '\n');
    }
    if (view->as_json)
        json_close(&view->json, ']');
    else if (view->table && view->count > 0)
        table_print(view->table);
    view->table = table_free(view->table);
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct view view = {.as_json = args_option(args, "json")};
    char id[CHRONOS_ID_MAX], *text;
    int r = select_init(NULL, args, &view.select);
    if (r)
        return r;
    if (args->count > 0 && handle_id(args->words[0], id))
        view.id = id;
    else if (args->count > 0 && view.select.name)
        return args_usage_error(args->command, "A label and --name exclude each other.");
    else if (args->count > 0)
        select_label(&view.select, args->words[0]);
    if (view.select.by_uid)
        user_of_uid(view.select.uid, view.select.owner);
    r = chronos_read_all(mount->root, "history", &text);
    if (r < 0)
        return failure_report(mount, "The history could not be read", r);
    chronos_clean(text);
    print_all(&view, text);
    free(text);
    return view.count > 0 ? EXIT_DONE : report_none(mount, args, &view);
}

const struct command cmd_history = {
    .name = "history",
    .args = "[ID]",
    .summary = "Show the partitions that have ended.",
    .help = "Prints a line for each partition that has ended, the oldest first: its owner,\n"
            "its memory, when it began and ended, and how it ended (expired, released,\n"
            "revoked by an administrator, or closed with the file that held it). There are at\n"
            "least the latest 4096; config/retention says how long the filesystem keeps them.\n"
            "With an ID, only that partition; with a label, those of your own that had it.",
    .options = options,
    .run = run,
};
