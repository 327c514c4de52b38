/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos events: print past events, and with --follow new ones. Number the lines: read the whole
 * log again whenever it changes and print only lines above the last number, so that no event is
 * printed twice even if the log drops old lines.
 */
#include "command.h"
#include "failure.h"
#include "handle.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    {"follow", 'f', NULL, "Print new events as they happen, until interrupted."},
    {"json", 0, NULL, "Print JSON, an object a line."},
    OPTION_END,
};

struct watch {
    const char *id; /* NULL: all */
    bool as_json;
    uint64_t seen; /* number of the last line taken */
    size_t printed;
    bool ended; /* the partition `id` has ended */
};

static void print_json(const struct chronos_line *line)
{
    struct json json = {.one_line = true};
    json_open(&json, NULL, '{');
    json_number(&json, "seq", line->words[0]);
    json_text(&json, "time", line->words[1]);
    json_text(&json, "kind", line->words[2]);
    json_text(&json, "id", line->words[3]);
    json_line(&json, line, 4);
    json_close(&json, '}');
}

static bool is_end(const char *kind)
{
    return strcmp(kind, "expired") == 0 || strcmp(kind, "released") == 0 ||
           strcmp(kind, "revoked") == 0 || strcmp(kind, "closed") == 0;
}

static void each(struct watch *watch, const char *text, size_t length)
{
    struct chronos_line line;
    chronos_line_split(text, length, &line);
    uint64_t seq = line.count >= 4 ? chronos_number(line.words[0]) : 0;
    if (seq <= watch->seen)
        return;
    watch->seen = seq;
    if (watch->id && strcmp(line.words[3], watch->id) != 0)
        return;
    if (watch->as_json)
        print_json(&line);
    else
        printf("%.*s\n", (int)length, text);
    watch->printed++;
    if (watch->id && is_end(line.words[2]))
        watch->ended = true;
}

static int take(struct watch *watch, int file)
{
    char *text;
    int r = chronos_read_fd(file, &text);
    if (r < 0)
        return r;
    chronos_clean(text);
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (line[length] == '\0')
            break; /* incomplete line */
        each(watch, line, length);
        line += length + 1;
    }
    free(text);
    return 0;
}

/* Wait for the file to change: chronosfs reports changes as POLLPRI. Any other file is always
 * readable; check it once a second. False if the reader of stdout has closed it. */
static bool wait_for_change(int file)
{
    struct pollfd fds[] = {{.fd = file, .events = POLLPRI | POLLIN}, {.fd = STDOUT_FILENO}};
    int r = poll(fds, 2, -1);
    if (r > 0 && fds[1].revents & POLLERR) {
        raise(SIGPIPE); /* as a write would */
        return false;
    }
    if (r > 0 && (fds[0].revents & POLLPRI) == 0)
        poll(NULL, 0, 1000);
    return true;
}

static int follow(struct watch *watch, int file)
{
    while (!watch->ended) {
        if (output_finish() != 0 || !wait_for_change(file))
            return -EPIPE;
        int r = take(watch, file);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Read the partition's own file, which can go further back than the common log. */
static int take_past(const struct chronos_mount *mount, struct watch *watch)
{
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s/events", watch->id);
    int file = chronos_open(mount->root, path, O_RDONLY);
    if (file < 0)
        return file;
    int r = take(watch, file);
    close(file);
    return r;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct watch watch = {.id = args->count > 0 ? args->words[0] : NULL,
                          .as_json = args_option(args, "json")};
    char id[CHRONOS_ID_MAX];
    int past = 0, r = watch.id ? handle_find(mount, watch.id, id) : 0;
    if (r)
        return r;
    if (watch.id)
        watch.id = id;
    int file = chronos_open(mount->root, "events", O_RDONLY);
    if (file < 0)
        return failure_report(mount, "The events could not be read", file);
    if (watch.id)
        past = take_past(mount, &watch);
    r = take(&watch, file);
    if (!r && past < 0 && watch.printed == 0) {
        close(file);
        return failure_partition(mount, watch.id, "The events could not be read", past);
    }
    if (!r && args_option(args, "follow"))
        r = follow(&watch, file);
    close(file);
    if (r == -EPIPE)
        return EXIT_REFUSED; /* the reader of stdout closed it */
    return r < 0 ? failure_report(mount, "The events could not be read", r) : EXIT_DONE;
}

const struct command cmd_events = {
    .name = "events",
    .args = "[ID]",
    .summary = "Show past events, and follow new ones.",
    .help = "Prints the latest events, a line each: a number that only rises, the time, the\n"
            "kind of event, the partition, and details as key=value. With an ID, only the\n"
            "events of that partition.\n"
            "\n"
            "With --follow it goes on until interrupted, or until the partition ends.",
    .options = options,
    .run = run,
};
