/* SPDX-License-Identifier: Apache-2.0 */
/* Print the tables as fish and zsh want them; see completion.h. The templates define the functions
 * that are named here. */
#include "completion.h"

#include "command.h"
#include "core/base/array.h"

#include <stdio.h>
#include <string.h>

/* Print `text` within single quotes, with a backslash before each byte of `special`. */
static void put_text(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* Print words to choose from, "none/term/kill", separated by blanks. */
static void put_choice(const char *argument)
{
    for (; *argument != '\0'; argument++)
        putchar(*argument == '/' ? ' ' : *argument);
}

/* Return what completes a word that the help calls `argument`: the end of a function's name. NULL:
 * nothing does. */
static const char *kind_of(const struct command *command, const char *argument)
{
    static const char *const kinds[][2] = {
        {"DEVICE", "devices"},   {"PID", "processes"},   {"ID", "ids"},
        {"COMMAND", "commands"}, {"DIR", "directories"}, {"NAME", "users"},
        {"PROGRAM", "programs"}, {"USER", "users"},
    };
    bool creates = strcmp(command->name, "create") == 0 || strcmp(command->name, "run") == 0 ||
                   strcmp(command->name, "reserve") == 0;
    bool releases = strcmp(command->name, "release") == 0;
    size_t i = 0;
    while (i < ARRAY_COUNT(kinds) && !strstr(argument, kinds[i][0]))
        i++;
    if (i == ARRAY_COUNT(kinds))
        return NULL;
    if (creates && strcmp(kinds[i][0], "DEVICE") == 0)
        return "places";
    return releases && strcmp(kinds[i][0], "ID") == 0 ? "own_ids" : kinds[i][1];
}

/* -- fish --------------------------------------------------------------------------------- */

static void fish_option(const struct command *command, const struct option *option)
{
    printf("complete -c chronos -n '__chronos_options %s' -l %s", command->name, option->name);
    if (option->letter != 0)
        printf(" -s %c", option->letter);
    const char *kind = option->argument ? kind_of(command, option->argument) : NULL;
    if (command_value_is_optional(option)) {
        ; /* the word behind it is not its value */
    } else if (option->argument && strchr(option->argument, '/')) {
        fputs(" -x -a '", stdout);
        put_choice(option->argument);
        putchar('\'');
    } else if (option->argument) {
        fputs(" -x", stdout);
        if (kind)
            printf(" -a '(__chronos_%s)'", kind);
    }
    fputs(" -d '", stdout);
    put_text(option->help, "");
    puts("'");
}

static void fish_words(const struct command *command)
{
    int position = 0;
    for (const char *word = command->args; *word != '\0'; position++) {
        char text[32];
        size_t length = strcspn(word, " ");
        snprintf(text, sizeof(text), "%.*s", (int)length, word);
        const char *kind = kind_of(command, text);
        if (kind)
            printf("complete -c chronos -n '__chronos_at %s %d%s' -a '(__chronos_%s)'\n",
                   command->name, position, strstr(text, "...") ? " more" : "", kind);
        word += length;
        word += strspn(word, " ");
    }
}

/* Print all options with a value: the word behind one is not an argument. */
static void fish_valued(void)
{
    fputs("set -g __chronos_valued", stdout);
    for (size_t i = 0; commands[i]; i++) {
        const struct option *option;
        for (int j = 0; (option = command_option(commands[i], j)); j++) {
            if (option->argument && !command_value_is_optional(option))
                printf(" --%s", option->name);
            if (option->argument && option->letter != 0)
                printf(" -%c", option->letter);
        }
    }
    putchar('\n');
}

void completion_fish(void)
{
    fish_valued();
    for (size_t i = 0; commands[i]; i++) {
        const struct option *option;
        printf("complete -c chronos -n __chronos_no_command -a %s -d '", commands[i]->name);
        put_text(commands[i]->summary, "");
        puts("'");
        for (int j = 0; (option = command_option(commands[i], j)); j++)
            fish_option(commands[i], option);
        fish_words(commands[i]);
    }
}

/* -- zsh ---------------------------------------------------------------------------------- */

static void zsh_value(const struct command *command, const char *argument)
{
    const char *kind = kind_of(command, argument);
    putchar(':');
    put_text(argument, ":[]");
    putchar(':');
    if (strchr(argument, '/')) {
        putchar('(');
        put_choice(argument);
        putchar(')');
    } else if (kind) {
        printf("_chronos_%s", kind);
    } else {
        putchar(' ');
    }
}

static void zsh_option(const struct command *command, const struct option *option, bool letter)
{
    bool optional = command_value_is_optional(option);
    const char *equals = optional ? "=-" : "=";
    /* with --in neither DEVICE nor AMOUNT nor DURATION stands before the program */
    fputs(strcmp(option->name, "in") == 0 ? "        '(1 2 3)" : "        '", stdout);
    if (letter)
        printf("-%c[", option->letter);
    else
        printf("--%s%s[", option->name, option->argument ? equals : "");
    put_text(option->help, "[]:");
    putchar(']');
    if (optional)
        putchar(':');
    if (option->argument)
        zsh_value(command, option->argument);
    puts("' \\");
}

/* Print the arguments. `skip`: the first one is left out; in its place the second one can be it. */
static void zsh_words(const struct command *command, bool skip)
{
    int position = 1;
    char first[32] = "";
    for (const char *word = command->args; *word != '\0';) {
        char text[32];
        size_t length = strcspn(word, " ");
        snprintf(text, sizeof(text), "%.*s", (int)length, word);
        word += length;
        word += strspn(word, " ");
        if (skip && first[0] == '\0') {
            snprintf(first, sizeof(first), "%s", text);
            continue;
        }
        if (command->own_words && strcmp(text, "PROGRAM") == 0) {
            puts("        '*:::PROGRAM:_normal' \\");
            return;
        }
        if (strstr(text, "..."))
            fputs("        '*", stdout);
        else
            printf("        '%d", position);
        zsh_value(command, skip && position == 1 ? first : text);
        puts("' \\");
        position++;
    }
}

static void zsh_arguments(const struct command *command, bool skip)
{
    const struct option *option;
    puts("_arguments -s \\");
    for (int j = 0; (option = command_option(command, j)); j++) {
        zsh_option(command, option, false);
        if (option->letter != 0)
            zsh_option(command, option, true);
    }
    zsh_words(command, skip);
}

void completion_zsh(void)
{
    puts("_chronos_list=(");
    for (size_t i = 0; commands[i]; i++) {
        printf("    '%s:", commands[i]->name);
        put_text(commands[i]->summary, ":");
        puts("'");
    }
    puts(")\n_chronos_describe() {\n    case $1 in");
    for (size_t i = 0; commands[i]; i++) {
        printf("    %s) ", commands[i]->name);
        if (commands[i]->own_words) {
            fputs("if ! _chronos_names_device; then ", stdout);
            zsh_arguments(commands[i], true);
            puts("        && return 0; return 1; fi");
            fputs("        ", stdout);
        }
        zsh_arguments(commands[i], false);
        puts("        && return 0 ;;");
    }
    puts("    esac\n    return 1\n}");
}
