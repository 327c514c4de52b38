/* SPDX-License-Identifier: Apache-2.0 */
/* chronos history: list ended partitions. */
#include "command.h"
#include "failure.h"
#include "output.h"
#include "user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    {"user", 0, "NAME", "Only the partitions of NAME, or of a uid."},
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
    const char *user;  /* NULL: all */
    const char *other; /* a second word of the user; NULL: none */
    bool as_json;
    struct json json;
    struct table *table; /* NULL: plain lines */
};

static bool is_of_user(const struct view *view, const struct chronos_line *line)
{
    const char *user = chronos_line_value(line, "user");
    return !view->user || strcmp(user, view->user) == 0 ||
           (view->other && strcmp(user, view->other) == 0);
}

static void each(struct view *view, const char *text, size_t length)
{
    struct chronos_line line;
    chronos_line_split(text, length, &line);
    if (line.count == 0 || !is_of_user(view, &line))
        return;
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

static int run(const struct chronos_mount *mount, const struct args *args)
{
    static const char *const titles[] = {"ID",    "NAME", "DEVICE", "MEMORY", "START",
                                         "ENDED", "USER", "HOW",    "BY",     NULL};
    const char *user = args_option(args, "user");
    char word[USERNAME_MAX + 1], name[USERNAME_MAX + 1];
    struct view view = {.user = user_word(user, word), .as_json = args_option(args, "json")};
    uid_t uid;
    if (user_uid(user, &uid) && user_of_uid(uid, name))
        view.other = name;
    char *text;
    int r = chronos_read_all(mount->root, "history", &text);
    if (r < 0)
        return failure_report(mount, "The history could not be read", r);
    if (view.as_json)
        json_open(&view.json, NULL, '[');
    else if (output_terminal())
        view.table = table_new(titles);
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        each(&view, line, length);
        line += length + (line[length] == '\n');
    }
    if (view.as_json)
        json_close(&view.json, ']');
    else if (view.table)
        table_print(view.table);
    table_free(view.table);
    free(text);
    return EXIT_DONE;
}

const struct command cmd_history = {
    .name = "history",
    .args = "",
    .summary = "Show the partitions that have ended.",
    .help = "Prints a line for each partition that has ended, the oldest first: its owner,\n"
            "its memory, when it began and ended, and how it ended (expired, released,\n"
            "revoked by an administrator, or closed with the file that held it). There are at\n"
            "least the latest 4096; config/retention says how long the filesystem keeps them.",
    .options = options,
    .run = run,
};
