/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generate the manual pages and the completions at build time: copy a template and replace each
 * marker line, such as @COMMANDS@, with text from the tables. The programs use the same tables, so
 * the manual agrees with the help.
 *
 *     chronos-pages TEMPLATE [FILESYSTEM.MD [CHRONOS.H]]
 */
#include "command.h"
#include "completion.h"
#include "pages_header.h"
#include "roff.h"

#include "core/base/array.h"
#include "fs/daemon/options.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *filesystem_md = ""; /* docs/filesystem.md */
static const char *chronos_h = "";     /* tools/libchronos/chronos.h */

static void manual_options(const struct command *command)
{
    /* the common options have a section of their own */
    const struct option *option = command ? command->options : command_options;
    if (!option || !option->name)
        return;
    puts(".Bl -tag -width Ds");
    for (; option->name; option++) {
        fputs(".It ", stdout);
        if (option->letter != 0)
            printf("Fl %c , ", option->letter);
        printf("Fl -%s", option->name);
        if (command_value_is_optional(option)) /* "[=TIME]" */
            printf(" Ns Oo = Ns Ar %.*s Oc", (int)strlen(option->argument) - 3,
                   option->argument + 2);
        else if (option->argument)
            printf(" Ar %s", option->argument);
        putchar('\n');
        roff_text(option->help);
    }
    puts(".El");
}

/* Convert "DEVICE [ID...]" to " Ar DEVICE Oo Ar ID... Oc". */
static void manual_words(const char *args)
{
    while (*args != '\0') {
        size_t length = strcspn(args, " ");
        if (args[0] == '[')
            printf(" Oo Ar %.*s Oc", (int)length - 2, args + 1);
        else
            printf(" Ar %.*s", (int)length, args);
        args += length;
        args += strspn(args, " ");
    }
}

static void section_commands(void)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; commands[i]; i++) {
        const char *options = commands[i]->options ? " Oo Ar OPTION ... Oc" : "";
        bool first = commands[i]->own_words;
        printf(".It Cm %s%s", commands[i]->name, first ? options : "");
        manual_words(commands[i]->args);
        puts(first ? "" : options);
        roff_text(commands[i]->help);
        manual_options(commands[i]);
    }
    puts(".El");
}

static void section_command_options(void)
{
    manual_options(NULL);
}

static void section_exit(void)
{
    puts(".Bl -tag -width Ds -compact");
    for (const struct exit_row *row = command_exits; row->help; row++) {
        printf(".It %d\n", row->code);
        roff_text(row->help);
    }
    puts(".El");
}

static void fields(const struct chronos_field *field)
{
    puts(".Bl -tag -width Ds -compact");
    for (; field->file; field++) {
        printf(".It %s%s\n", field->key, field->kind == CHRONOS_NUMBER ? " (number)" : "");
        roff_text(field->help);
    }
    puts(".El");
}

static void section_partition(void)
{
    fields(chronos_partition_fields);
}

static void section_device(void)
{
    fields(chronos_device_fields);
}

/* List the options of chronosfs: "-f", "--state-dir", "-o state_dir". */
static void section_daemon_options(void)
{
    puts(".Bl -tag -width Ds");
    for (const struct option_row *row = options_rows; row->name; row++) {
        const char *value = strchr(row->name, ' ');
        if (value)
            printf(".It Fl o Cm %s%s%s\n", value + 1, row->argument ? " Ns = Ns Ar " : "",
                   row->argument ? row->argument : "");
        else
            printf(".It Fl %s%s%s\n", row->name + 1, row->argument ? " Ar " : "",
                   row->argument ? row->argument : "");
        char text[512];
        snprintf(text, sizeof(text), "%c%s.", toupper((unsigned char)row->help[0]), row->help + 1);
        roff_text(text);
        if (row->default_value) {
            snprintf(text, sizeof(text), "Default: %s.", row->default_value);
            roff_text(text);
        }
    }
    puts(".El");
}

static void section_files(void)
{
    roff_tables(filesystem_md);
}

static void section_about(void)
{
    pages_header_about(chronos_h);
}

static void section_calls(void)
{
    pages_header_calls(chronos_h);
}

static void section_version(void)
{
    puts(".Os chronosfs " CHRONOS_VERSION);
}

/* Print the arguments and options of each command as shell variables, for completion. */
static void section_table(void)
{
    fputs("_chronos_commands='", stdout);
    for (size_t i = 0; commands[i]; i++)
        printf("%s%s", i > 0 ? " " : "", commands[i]->name);
    puts("'\n_chronos_describe() {\n    case $1 in");
    for (size_t i = 0;; i++) {
        const struct command *command = commands[i];
        const struct option *option;
        printf("    %s) words='%s' options='", command ? command->name : "*",
               command ? command->args : "");
        for (int j = 0; (option = command_option(command, j)); j++) {
            const char *equals = option->argument ? "=" : "";
            const char *value = option->argument ? option->argument : "";
            printf("%s--%s", j > 0 ? " " : "", option->name);
            if (command_value_is_optional(option)) /* the word behind it is not its value */
                continue;
            printf("%s%s", equals, value);
            if (option->letter != 0)
                printf(" -%c%s%s", option->letter, equals, value);
        }
        puts("' ;;");
        if (!command)
            break;
    }
    puts("    esac\n}");
}

static const struct {
    const char *marker;
    void (*print)(void);
} sections[] = {
    {"@COMMANDS@", section_commands}, {"@OPTIONS@", section_command_options},
    {"@EXIT@", section_exit},         {"@PARTITION@", section_partition},
    {"@DEVICE@", section_device},     {"@DAEMON-OPTIONS@", section_daemon_options},
    {"@FILES@", section_files},       {"@OS@", section_version},
    {"@TABLE@", section_table},       {"@FISH@", completion_fish},
    {"@ZSH@", completion_zsh},        {"@ABOUT@", section_about},
    {"@CALLS@", section_calls},
};

static char *read_all(const char *path)
{
    char *text;
    int r = chronos_read_all(AT_FDCWD, path, &text);
    if (r < 0) {
        fprintf(stderr, "chronos-pages: %s: %s\n", path, strerror(-r));
        exit(1);
    }
    return text;
}

/* Print a line of the template, or the section that its marker names. Exit if there is no such
 * section: the template is wrong. */
static void print_line(const char *line)
{
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
        if (strcmp(line, sections[i].marker) == 0) {
            sections[i].print();
            return;
        }
    }
    if (line[0] == '@') {
        fprintf(stderr, "chronos-pages: there is no section %s\n", line);
        exit(1);
    }
    puts(line);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fputs("usage: chronos-pages TEMPLATE [FILESYSTEM.MD [CHRONOS.H]]\n", stderr);
        return 2;
    }
    char *markdown = argc > 2 ? read_all(argv[2]) : NULL;
    char *header = argc > 3 ? read_all(argv[3]) : NULL;
    if (markdown)
        filesystem_md = markdown;
    if (header)
        chronos_h = header;
    char *text = read_all(argv[1]), *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (rest || line[0] != '\0')
            print_line(line);
    }
    free(text);
    free(markdown);
    free(header);
    return fflush(stdout) == 0 ? 0 : 1;
}
