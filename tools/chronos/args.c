/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse a command line by the commands' tables. Options can stand anywhere, `--name=VALUE` and
 * `--name VALUE` are the same, `-qm` is `-q -m`, `--` ends the options, and `-10m` is a word, not
 * an option. If a command runs a program, the program's name ends the options too. It must not know
 * the commands.
 */
#include "command.h"
#include "nearest.h"
#include "output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int args_usage_error(const struct command *command, const char *format, ...)
{
    char message[512];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    output_message("%s Try: chronos help%s%s", message, command ? " " : "",
                   command ? command->name : "");
    return EXIT_USAGE;
}

int args_no_command(const struct command *const *list, const char *text)
{
    struct nearest nearest = nearest_new(text, strlen(text));
    for (; *list; list++)
        nearest_offer(&nearest, (*list)->name);
    return args_usage_error(NULL, "There is no command \"%s\".%s", text,
                            nearest_question(&nearest, ""));
}

/* Return the index of an option by its name (`length` bytes) or its letter; -1: none. */
static int option_find(const struct command *command, const char *name, size_t length, char letter)
{
    const struct option *option;
    for (int i = 0; (option = command_option(command, i)); i++) {
        if (letter != 0 ? option->letter == letter
                        : strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return i;
    }
    return -1;
}

const char *args_option(const struct args *args, const char *name)
{
    int index = option_find(args->command, name, strlen(name), 0);
    return index < 0 ? NULL : args->option[index];
}

/* Return the minimum number of words that `command` takes. *ret_max is -1 without a limit. */
static void count_words(const struct command *command, int *ret_min, int *ret_max)
{
    int min = 0, max = 0;
    for (const char *word = command->args; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (word[0] != '[')
            min++;
        if (max >= 0)
            max++;
        if (memmem(word, length, "...", 3))
            max = -1;
        word += length;
        word += strspn(word, " ");
    }
    *ret_min = min;
    *ret_max = max;
}

/* Report an option that the command does not have; `length` is that of a long name, or 0. */
static int unknown_option(const struct args *args, const char *text, size_t length)
{
    const struct option *option;
    struct nearest nearest = nearest_new(text + 2, length);
    for (int i = 0; (option = command_option(args->command, i)); i++)
        nearest_offer(&nearest, option->name);
    return args_usage_error(args->command, "There is no option %.*s%s%s.%s",
                            length > 0 ? (int)length + 2 : (int)strlen(text), text,
                            args->command ? " of " : " before the command",
                            args->command ? args->command->name : "",
                            nearest_question(&nearest, "--"));
}

/* Set an option. `value` NULL: an option that takes one has it in the next argument. */
static int set_option(struct args *args, int index, const char *value, int argc, char **argv,
                      int *position)
{
    const struct option *option = command_option(args->command, index);
    if (!option->argument || (command_value_is_optional(option) && !value)) {
        args->option[index] = "";
        return 0;
    }
    if (!value && *position + 1 >= argc)
        return args_usage_error(args->command, "--%s needs %s.", option->name, option->argument);
    if (!value)
        value = argv[++*position];
    if (value[0] == '\0') /* a script's variable that is not set */
        return args_usage_error(args->command, "--%s is empty; it needs %s.", option->name,
                                option->argument);
    args->option[index] = value;
    return 0;
}

/* Take --NAME, --NAME VALUE or --NAME=VALUE. */
static int take_long(struct args *args, int argc, char **argv, int *position)
{
    const char *name = argv[*position] + 2;
    size_t length = strcspn(name, "=");
    int index = option_find(args->command, name, length, 0);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (index < 0)
        return unknown_option(args, argv[*position], length);
    if (value && !command_option(args->command, index)->argument)
        return args_usage_error(args->command, "--%.*s takes no value.", (int)length, name);
    return set_option(args, index, value, argc, argv, position);
}

/* Take letters: -q, -qm, -n VALUE, -nVALUE or -n=VALUE. */
static int take_short(struct args *args, int argc, char **argv, int *position)
{
    const char *text = argv[*position];
    for (const char *at = text + 1; *at != '\0'; at++) {
        int index = option_find(args->command, NULL, 0, *at);
        if (index < 0)
            return unknown_option(args, text, 0);
        bool last = command_option(args->command, index)->argument;
        const char *value = last && at[1] != '\0' ? at + 1 + (at[1] == '=') : NULL;
        int r = set_option(args, index, value, argc, argv, position);
        if (r || last)
            return r;
    }
    return 0;
}

/* Set the command. Options given before it are common ones, which come last in its options. */
static void choose_command(struct args *args, const struct command *command)
{
    const char *early[OPTION_MAX];
    memcpy(early, args->option, sizeof(early));
    memset(args->option, 0, sizeof(args->option));
    args->command = command;
    for (int i = 0; command_options[i].name; i++) {
        const char *name = command_options[i].name;
        args->option[option_find(command, name, strlen(name), 0)] = early[i];
    }
}

/* Report that there are too few words. */
static int too_few(const struct command *command)
{
    const char *blank = strrchr(command->args, ' '), *last = blank ? blank + 1 : command->args;
    if (last[0] == '[' || !strstr(last, "..."))
        return args_usage_error(command, "%s needs %s.", command->name, command->args);
    return args_usage_error(command, "%s needs %.*s%sat least one %.*s.", command->name,
                            blank ? (int)(blank - command->args) : 0, command->args,
                            blank ? " and " : "", (int)strcspn(last, "."), last);
}

static int check_words(const struct args *args)
{
    const struct command *command = args->command;
    int min, max;
    count_words(command, &min, &max);
    if (args_option(args, "help") || command->own_words)
        return 0;
    if (args->count < min)
        return too_few(command);
    for (int i = 0; i < args->count; i++)
        if (args->words[i][0] == '\0')
            return args_usage_error(command, "An argument is empty.");
    if (max >= 0 && args->count > max)
        return args_usage_error(args->command, "Unexpected argument \"%s\".", args->words[max]);
    return 0;
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != '\0' && !(text[1] >= '0' && text[1] <= '9');
}

/* Take an argument that is not an option or follows `--`. */
static int take_word(struct args *args, const char *text)
{
    if (args->command) {
        args->words[args->count++] = text;
        return 0;
    }
    const struct command *command = command_find(args->commands, text);
    if (!command)
        return args_no_command(args->commands, text);
    choose_command(args, command);
    return 0;
}

/* Return whether this word, which is next, is the program that the command runs. */
static bool program_is_next(struct args *args, const char *text)
{
    if (args->command)
        args->words[args->count] = text; /* for own_words to look at */
    return args->command && args->command->own_words && args->program < 0 &&
           args->count >= args->command->own_words(args);
}

static bool is_version(const char *text)
{
    return strcmp(text, "--version") == 0 || strcmp(text, "-V") == 0;
}

static int parse(int argc, char **argv, struct args *args)
{
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        bool option = !options_end && is_option(argv[i]);
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
            if (args->command && args->command->own_words)
                args->program = args->count;
        } else if (option && !args->command && is_version(argv[i])) {
            choose_command(args, command_find(args->commands, "version")); /* a common first try */
        } else if (option) {
            int r = argv[i][1] == '-' ? take_long(args, argc, argv, &i)
                                      : take_short(args, argc, argv, &i);
            if (r)
                return r;
        } else {
            if (program_is_next(args, argv[i])) {
                args->program = args->count;
                options_end = true;
            }
            if (take_word(args, argv[i]) != 0)
                return EXIT_USAGE;
        }
    }
    args->words[args->count] = NULL;
    return args->command ? check_words(args) : 0;
}

int args_parse(const struct command *const *list, int argc, char **argv, struct args *ret_args)
{
    *ret_args = (struct args){.commands = list, .words = (const char **)argv, .program = -1};
    return parse(argc, argv, ret_args);
}
