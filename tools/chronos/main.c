/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos: the partitions of a mounted chronosfs, by command.
 *
 *   command.h    what a command is        commands.c  which ones there are
 *   cmd-*.c      the commands             args.c      the command line
 *   mount.c      finding the tree         tree.c      its files
 *   record.c     a directory as a record  partition.c, device.c  the two kinds
 *   line.c       lines of events and history
 *   request.c    asking for a partition   environment.c  what `env` says
 *   run.c        a program that is run, and its end
 *   output.c table.c json.c               how answers look
 *   pages.c      another program, at build time: man pages and completion
 *
 * Every command is a client of the files and could be a shell script.
 */
#include "command.h"
#include "output.h"

#include <fcntl.h>
#include <stddef.h>

extern const struct command command_help;

/* Where the caller closed one of the three, none of our files may take its place:
 * what is printed would go there. These cannot be used, and no program inherits
 * them. */
static void take_standard_places(void)
{
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) < 0)
            open("/dev/null", (i == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

/* The exit code of a command that was not run. */
static int not_run(const struct command *command, int result)
{
    return command != NULL && command->failed != 0 ? command->failed : result;
}

int main(int argc, char **argv)
{
    struct args args;
    struct tree tree;
    take_standard_places();
    int result = args_parse(argc, argv, &args);
    if (result != 0)
        return not_run(args.command, result);
    if (args.command == NULL && args_option(&args, "help") == NULL)
        return usage_error(NULL, "A command is needed.");
    if (args.command == NULL || args_option(&args, "help") != NULL) {
        const char *name = args.command != NULL ? args.command->name : NULL;
        struct args about = {.command = &command_help, .words = &name, .count = name ? 1 : 0};
        result = command_help.run(NULL, &about);
    } else if (args.command->without_tree) {
        result = args.command->run(NULL, &args);
    } else {
        result = tree_open(args_option(&args, "mount"), false, &tree);
        result = result == 0 ? args.command->run(&tree, &args) : not_run(args.command, result);
    }
    int written = output_finish();
    return result != EXIT_DONE ? result : written;
}
