/* SPDX-License-Identifier: Apache-2.0 */
/* chronos help: print the tables of the commands for a terminal. */
#include "command.h"
#include "core/base/help_row.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static void print_options(const struct command *command)
{
    const struct option *option;
    char label[64];
    for (int i = 0; (option = command_option(command, i)); i++) {
        char letter[] = {'-', option->letter, ',', ' ', '\0'};
        const char *blank = option->argument && !command_value_is_optional(option) ? " " : "";
        snprintf(label, sizeof(label), "%s--%s%s%s", option->letter ? letter : "", option->name,
                 blank, option->argument ? option->argument : "");
        help_row(stdout, label, 22, option->help);
    }
}

static void print_all(const struct command *const *list)
{
    puts("Usage: chronos COMMAND ...\n\nShare GPUs: request a part of one for a limited "
         "time.\n\nCommands:");
    for (; *list; list++)
        help_row(stdout, (*list)->name, 14, (*list)->summary);
    puts("\nOptions of all commands:");
    print_options(NULL);
    puts("\nExit codes:");
    for (const struct exit_row *row = command_exits; row->help; row++) {
        char code[16];
        snprintf(code, sizeof(code), "%d", row->code);
        help_row(stdout, code, 7, row->help);
    }
    puts("\nFor more, see chronos help COMMAND, and man chronos.");
}

static void print_one(const struct command *command)
{
    bool first = command->own_words; /* options after the program would be its own */
    printf("Usage: chronos %s%s%s%s%s\n\n%s\n\nOptions:\n", command->name,
           first ? " [OPTION]..." : "", command->args[0] != '\0' ? " " : "", command->args,
           first ? "" : " [OPTION]...", command->help);
    print_options(command);
}

static int run(const struct chronos_mount *none, const struct args *args)
{
    (void)none;
    if (args->count == 0) {
        print_all(args->commands);
        return EXIT_DONE;
    }
    const struct command *command = command_find(args->commands, args->words[0]);
    if (!command)
        return args_no_command(args->commands, args->words[0]);
    print_one(command);
    return EXIT_DONE;
}

const struct command cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .summary = "Explain a command.",
    .help = "Lists the commands, or explains the one named.",
    .without_tree = true,
    .run = run,
};
