/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables behind the command line: which commands there are (the names come
 * from meson.build), the options that all of them take, and the exit codes. It
 * must not know what a command does.
 */
#include "command.h"
#include "run.h"

#include "command-list.h" /* COMMAND_LIST(X): made by meson.build */

#include <string.h>

#define DECLARE(name) extern const struct command command_##name;
COMMAND_LIST(DECLARE)

#define ENTRY(name) &command_##name,
const struct command *const commands[] = {COMMAND_LIST(ENTRY) NULL};

const struct option common_options[] = {
    {"mount", 0, "DIR", "Use the chronosfs that is mounted on DIR."},
    {"help", 'h', NULL, "Print the help of the command."},
    OPTION_END,
};

const struct exit_row exit_rows[] = {
    {EXIT_DONE, "Done."},
    {EXIT_REFUSED, "Refused or failed; a sentence on the standard error says why."},
    {EXIT_USAGE, "The command line was not understood."},
    {EXIT_NO_MOUNT, "No mounted chronosfs was found, or it cannot be used."},
    {EXIT_UNKNOWN, "There is no such partition or device."},
    {RUN_FAILED, "Of run: no program was started; a sentence says why."},
    {RUN_NOT_EXECUTABLE, "Of run: the program cannot be executed."},
    {RUN_NOT_FOUND, "Of run: there is no such program."},
    {EXIT_DONE, NULL},
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}
