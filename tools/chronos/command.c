/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by all commands: options, exit codes, and lookup by name. */
#include "command.h"

#include "run.h"

#include <string.h>

const struct option command_options[] = {
    {"mount", 0, "DIR", "Use the chronosfs that is mounted on DIR."},
    {"help", 'h', NULL, "Print the help of the command."},
    OPTION_END,
};

const struct exit_row command_exits[] = {
    {EXIT_DONE, "Done."},
    {EXIT_REFUSED, "Refused or failed; a message on the standard error says why."},
    {EXIT_USAGE, "The command line was not understood."},
    {EXIT_NO_MOUNT, "No mounted chronosfs was found, or it cannot be used."},
    {EXIT_UNKNOWN, "There is no such partition or device, or, of list, release and history, user."},
    {EXIT_DRAINED, "Of health: nothing is wrong, and the machine is being drained."},
    {EXIT_TIMEOUT, "Of wait: the time of --timeout is over."},
    {RUN_FAILED, "Of run: no program was started; a message says why."},
    {RUN_NOT_EXECUTABLE, "Of run: the program cannot be executed."},
    {RUN_NOT_FOUND, "Of run: there is no such program."},
    {EXIT_DONE, NULL},
};

const struct command *command_find(const struct command *const *list, const char *name)
{
    for (; *list; list++) {
        const char *other = (*list)->other_name;
        if (strcmp((*list)->name, name) == 0 || (other && strcmp(other, name) == 0))
            return *list;
    }
    return NULL;
}

bool command_value_is_optional(const struct option *option)
{
    return option->argument && option->argument[0] == '[';
}

const struct option *command_option(const struct command *command, int index)
{
    if (command && command->options) {
        for (const struct option *option = command->options; option->name; option++) {
            if (index-- == 0)
                return option;
        }
    }
    for (const struct option *option = command_options; option->name; option++) {
        if (index-- == 0)
            return option;
    }
    return NULL;
}
