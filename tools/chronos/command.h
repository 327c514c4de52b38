/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of `chronos`: its name, arguments, options, help and function. The program,
 * `chronos help`, the manual and the bash completion are made from these entries. A new command
 * is one file cmd_NAME.c that defines command_NAME, and NAME in the list of meson.build.
 */
#ifndef CHRONOS_TOOLS_COMMAND_H
#define CHRONOS_TOOLS_COMMAND_H

#include "tools/libchronos/chronos.h"

/* How the program ends; command_exits has the words. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_MOUNT = 3,
    EXIT_UNKNOWN = 4,
};
struct exit_row {
    int code; /* an exit_code, or a run_exit */
    const char *help;
};
extern const struct exit_row command_exits[]; /* ends with a NULL help */

#define OPTION_MAX 12 /* of a command, the common ones included */

struct option {
    const char *name;     /* without the dashes */
    char letter;          /* the short form; 0 none */
    const char *argument; /* NULL: a switch. The word says how to complete it. */
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
    /* The arguments, as documentation and as the rule: a word in brackets is optional, one
     * that ends with ... can be repeated. DEVICE, ID and COMMAND are completed. */
    const char *args;
    const char *summary; /* one line */
    /* Paragraphs with an empty line between them. Lines that begin with four spaces are
     * shown as they are. */
    const char *help;
    const struct option *options; /* without the common ones; may be NULL */
    bool without_tree;            /* works when nothing is mounted */
    /* Does it and returns an enum exit_code. `mount` is NULL if without_tree. */
    int (*run)(const struct chronos_mount *mount, const struct args *args);
    /* For a command that runs a program: how many words of its own come before it. All words
     * after that are the program's, also its options. NULL: there is no program. */
    int (*own_words)(const struct args *args);
    int failed; /* the exit code if it cannot be run at all; 0: as command_exits says */
};
extern const struct command *const commands[]; /* all of them; ends with NULL */

/* Finds a command by name in a list that ends with NULL. NULL: no such command. */
const struct command *command_find(const struct command *const *list, const char *name);
/* The options of `command`, its own and then the common ones, by index; NULL past the end. */
const struct option *command_option(const struct command *command, int index);

/* The command line, parsed. */
struct args {
    const struct command *const *commands; /* all that there are */
    const struct command *command;
    const char *option[OPTION_MAX]; /* in the order of the tables; NULL: not given */
    const char **words;             /* the arguments of the command; ends with NULL */
    int count;
    int program; /* index of the program in `words`; -1: none */
};
/* Parses the command line by a table of commands. The words point into argv, which is
 * reordered. 0; or EXIT_USAGE after a message, with ret_args->command if that was understood,
 * else NULL. */
int args_parse(const struct command *const *list, int argc, char **argv, struct args *ret_args);
/* The value of --NAME, "" for a switch that is set, NULL if it was not given. */
const char *args_option(const struct args *args, const char *name);
/* Prints a message to stderr, and how to get help. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int args_usage_error(const struct command *command,
                                                           const char *format, ...);

#endif
