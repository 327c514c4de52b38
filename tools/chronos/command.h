/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of `chronos`: its name, arguments, options, help and function. The program, `chronos
 * help`, the manual and the completions are generated from these entries. To add a command,
 * define command_NAME in a new file cmd_NAME.c, and add NAME to the list in meson.build.
 */
#ifndef CHRONOS_TOOLS_COMMAND_H
#define CHRONOS_TOOLS_COMMAND_H

#include "tools/libchronos/client.h"

/* Exit codes; command_exits describes them. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_MOUNT = 3,
    EXIT_UNKNOWN = 4,
    EXIT_DRAINED = 5,
    EXIT_TIMEOUT = 124, /* as timeout(1) */
};
struct exit_row {
    int code; /* an exit_code, or a run_exit */
    const char *help;
};
extern const struct exit_row command_exits[]; /* ends with a NULL help */

#define OPTION_MAX 32 /* per command, including the common ones */

struct option {
    const char *name; /* without the dashes */
    char letter;      /* the short form; 0 none */
    /* NULL: a switch. The word selects the completion. In brackets, "[=TIME]", it can be left out,
     * and is given only as --NAME=VALUE. */
    const char *argument;
    const char *help;
};
#define OPTION_JSON                                                                                \
    {                                                                                              \
        "json", 0, NULL, "Print JSON."                                                             \
    }
#define OPTION_END                                                                                 \
    {                                                                                              \
        NULL, 0, NULL, NULL                                                                        \
    }
extern const struct option command_options[]; /* every command takes these */

struct args;
struct command {
    const char *name;
    const char *other_name; /* understood as well; NULL: none */
    /* The arguments, both documentation and rule: a word in brackets is optional, one that ends
     * with ... can be repeated. DEVICE, ID and COMMAND are completed. */
    const char *args;
    const char *summary; /* one line */
    /* Paragraphs separated by empty lines. Lines that begin with four spaces are printed
     * unchanged. */
    const char *help;
    const struct option *options; /* without the common ones; may be NULL */
    bool without_tree;            /* works when nothing is mounted */
    bool changes;                 /* repeating it could do more */
    /* Execute the command and return an enum exit_code. `mount` is NULL if without_tree. */
    int (*run)(const struct chronos_mount *mount, const struct args *args);
    /* Return the number of the command's own words before the program that it runs, by those that
     * are taken already and the next one. All words after them are the program's, even options.
     * NULL: the command runs no program. */
    int (*own_words)(const struct args *args);
    int failed; /* exit code if it cannot be run at all; 0: as command_exits says */
};
extern const struct command *const commands[]; /* all of them; ends with NULL */

/* Find a command by name in a list that ends with NULL. NULL: no such command. */
const struct command *command_find(const struct command *const *list, const char *name);
/* Return whether the option takes a value that can be left out. */
bool command_value_is_optional(const struct option *option);
/* Return an option of `command` by index, its own first, then the common ones; NULL past the
 * end. */
const struct option *command_option(const struct command *command, int index);

/* A parsed command line. */
struct args {
    const struct command *const *commands; /* list of all commands */
    const struct command *command;
    const char *option[OPTION_MAX]; /* in the order of the tables; NULL: not given */
    const char **words;             /* the arguments of the command; ends with NULL */
    int count;
    int program; /* index of the program in `words`; -1: none */
};
/* Parse the command line by a table of commands. The words point into argv, which is reordered. 0;
 * or EXIT_USAGE after a message, with ret_args->command set if it was recognized, else NULL. */
int args_parse(const struct command *const *list, int argc, char **argv, struct args *ret_args);
/* Return the value of --NAME, "" for a switch that is set, NULL if it was not given. */
const char *args_option(const struct args *args, const char *name);
/* Report that there is no such command, and which may have been meant. Return EXIT_USAGE. */
int args_no_command(const struct command *const *list, const char *text);
/* Print a message to stderr, and how to get help. Return EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int args_usage_error(const struct command *command,
                                                           const char *format, ...);

#endif
