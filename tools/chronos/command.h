/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of `chronos` is: one entry with its name, what it takes, its
 * help, its options and its function. The program, `chronos help`, the man page
 * and the bash completion are all made from these entries. A new command is one
 * file cmd-NAME.c that defines command_NAME, and NAME in the list of meson.build.
 */
#ifndef CHRONOS_CHRONOS_COMMAND_H
#define CHRONOS_CHRONOS_COMMAND_H

#include "record.h"
#include "tree.h"

#include <stdbool.h>

/* How the program ends. exit_rows (commands.c) says it in words. */
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
extern const struct exit_row exit_rows[]; /* ends with a NULL help */

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
extern const struct option common_options[]; /* every command takes these */

struct args;
struct command {
    const char *name;
    /* What it takes, as documentation and as the rule: a word in brackets may be
     * left out, one that ends with ... may be repeated. DEVICE, ID and COMMAND
     * are completed. */
    const char *args;
    const char *summary; /* one line */
    /* Paragraphs with an empty line between them; lines that begin with four
     * spaces are shown as they are. */
    const char *help;
    const struct option *options; /* without the common ones; NULL none */
    bool without_tree;            /* it can be used when nothing is mounted */
    /* Does it and returns an enum exit_code. `tree` is NULL if without_tree. */
    int (*run)(const struct tree *tree, const struct args *args);
    /* For a command that runs a program: how many words of its own come before it.
     * What comes then is the program's, options too. NULL: there is no program. */
    int (*own_words)(const struct args *args);
    int failed; /* what it returns when it cannot be run at all; 0: as exit_rows says */
};
extern const struct command *const commands[]; /* ends with NULL */
const struct command *command_find(const char *name);

/* The command line, understood. */
struct args {
    const struct command *command;
    const char *option[OPTION_MAX]; /* in the order of the tables; NULL not given */
    const char **words;             /* what is not an option, without the command; ends with NULL */
    int count;
    int program; /* which word the program is; -1 none was seen */
};
/* Fills *ret_args; words point into argv, which is reordered. 0, or says on
 * stderr what is wrong and returns EXIT_USAGE; ret_args->command is set as far as it
 * was understood, and NULL without one. */
int args_parse(int argc, char **argv, struct args *ret_args);
/* The value of --NAME, "" for a switch that is set, NULL if not given. */
const char *args_option(const struct args *args, const char *name);
/* The options of `command`, its own and then the common ones, by index; NULL past the end. */
const struct option *command_option(const struct command *command, int index);
/* How many words `command` takes. *ret_max is -1 without a limit. */
void command_words(const struct command *command, int *ret_min, int *ret_max);
/* Says on stderr what is wrong and where the help is. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct command *command,
                                                      const char *format, ...);

#endif
