/* SPDX-License-Identifier: Apache-2.0 */
/* chronos env: print the environment of programs inside a partition, with the paths as the caller
 * sees them. */
#include "command.h"
#include "core/base/fd.h"
#include "environment.h"
#include "failure.h"
#include "handle.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST "export CHRONOS_PARTITION='" /* begins the file `env` */

static const struct option options[] = {
    {"shell", 0, NULL, "Print lines for a POSIX shell, the last of which joins; the default."},
    {"plain", 0, NULL, "Print NAME=VALUE, without quotes."},
    OPTION_JSON,
    OPTION_END,
};

/* Print a text within single quotes, without the last one. */
static void print_open_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++)
        fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, stdout);
}

/* Print the file `env`, with `own` in the place of the path that the daemon knows. With several
 * devices that is the first of a list, and the others are beside it. */
static void print_shell(const char *text, const char *own)
{
    const char *old = text + sizeof(FIRST) - 2, *end = old, *found;
    char *list = NULL;
    if (!own || strncmp(text, FIRST, sizeof(FIRST) - 1) != 0) {
        fputs(text, stdout);
        return;
    }
    while ((end = strchr(end + 1, '\'')) && strncmp(end, "'\\''", 4) == 0)
        end += 3;
    size_t all = end ? (size_t)(end - old) : strlen(old);
    const char *colon = memchr(old, ':', all);
    size_t length = colon ? (size_t)(colon - old) : all;
    printf("%.*s", (int)(old - text), text);
    bool is_made = chronos_places_own(old + 1, all - 1, own, &list) == 0;
    print_open_quoted(is_made ? list : own);
    free(list);
    for (text = old + all; (found = memmem(text, strlen(text), old, length));
         text = found + length) {
        printf("%.*s", (int)(found - text), text);
        if (found[length] == '\'' || found[length] == '/')
            print_open_quoted(own);
        else
            printf("%.*s", (int)length, found);
    }
    fputs(text, stdout);
}

static int print_plain(void *none, const char *name, const char *value)
{
    (void)none;
    printf("%s=%s\n", name, value);
    return 0;
}

static int print_json(void *json, const char *name, const char *value)
{
    json_text(json, name, value);
    return 0;
}

static int print(const struct args *args, int directory, char *text)
{
    struct json json = {0};
    char own[PATH_MAX];
    int r = 0;
    if (args_option(args, "json")) {
        json_open(&json, NULL, '{');
        r = environment_each(text, print_json, &json);
        json_close(&json, '}');
    } else if (args_option(args, "plain")) {
        r = environment_each(text, print_plain, NULL);
    } else {
        print_shell(text, chronos_find_path(directory, own) ? own : NULL);
    }
    return r;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    bool shell = !args_option(args, "json") && !args_option(args, "plain");
    char id[CHRONOS_ID_MAX], path[64], *text = NULL;
    if (!!args_option(args, "json") + !!args_option(args, "plain") + !!args_option(args, "shell") >
        1)
        return args_usage_error(args->command, "--shell, --plain and --json exclude each other.");
    int r = handle_find_started(mount, args->words[0], id);
    if (r)
        return r;
    snprintf(path, sizeof(path), "partitions/%s", id);
    int directory = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    if (directory < 0)
        r = directory;
    else
        r = shell ? chronos_read_all(directory, "env", &text)
                  : chronos_variables_read(directory, &text);
    if (!r)
        r = print(args, directory, text);
    free(text);
    fd_close(directory);
    return r ? failure_partition(mount, id, "The environment could not be read", r) : EXIT_DONE;
}

const struct command cmd_env = {
    .name = "env",
    .args = "ID",
    .summary = "Print the environment of programs in a partition.",
    .help = "Prints the variables that a program in the partition needs, with the path at\n"
            "which this command finds the tree. As lines of a POSIX shell they also join, so\n"
            "the shell that evaluates them ends with the partition; other shells use run.\n"
            "\n"
            "    ( eval \"$(chronos env p1)\"; python3 train.py )\n"
            "    docker run --env-file <(chronos env p1 --plain) IMAGE",
    .options = options,
    .run = run,
};
