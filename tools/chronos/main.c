/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos: manage the partitions of a mounted chronosfs by commands.
 *
 *   command.h    what a command is        commands.c   the list of them
 *   cmd_*.c      the commands             args.c       the command line
 *   request.c    requests                 environment.c  applying the file `env`
 *   await.c      waiting for the start or the end of a partition
 *   queue.c      what waits               series.c     occurrences of a reservation
 *   run.c        running a program until it ends   change.c  settable files
 *   handle.c     partitions by id or label    ended.c  how a partition ended
 *   select.c     partitions by owner, label and device
 *   device.c     devices by name          partition.c  a partition for people and in JSON
 *   output.c table.c json.c               how results look
 *   watch.c      results in place, again and again
 *   failure.c    messages about errors
 *   container.c  the hook of container engines   oci_state.c  what engines tell it
 *   pages.c      another program, at build time: man pages and completion
 *
 * tools/libchronos reads and writes the files. Every command could be a shell script.
 */
#include "command.h"
#include "failure.h"
#include "output.h"

#include <fcntl.h>
#include <stddef.h>

/* Open closed standard descriptors so that they can be neither used nor inherited: another file
 * must not take their numbers and receive the output. */
static void take_standard_places(void)
{
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) < 0)
            open("/dev/null", (i == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

/* Return the exit code for a command that was not run. */
static int not_run(const struct command *command, int code)
{
    return command && command->failed != 0 ? command->failed : code;
}

static int print_help(const struct args *args)
{
    const struct command *help = command_find(commands, "help");
    const char *name = args->command ? args->command->name : NULL;
    struct args about = {
        .commands = commands, .command = help, .words = &name, .count = name ? 1 : 0};
    return help->run(NULL, &about);
}

/* People who typed the name alone look for the help; a script has lost its command. */
static int no_command(const struct args *args)
{
    if (!output_terminal())
        return args_usage_error(NULL, "A command is needed.");
    print_help(args);
    output_finish();
    return EXIT_USAGE;
}

static int run_in_tree(const struct args *args)
{
    struct chronos_mount mount;
    char failed[PATH_MAX];
    int r = chronos_mount_open(args_option(args, "mount"), failed, &mount);
    if (r < 0)
        return not_run(args->command, failure_no_mount(failed, r));
    return args->command->run(&mount, args);
}

int main(int argc, char **argv)
{
    struct args args;
    take_standard_places();
    int code = args_parse(commands, argc, argv, &args);
    if (code != 0)
        return not_run(args.command, code);
    if (args_option(&args, "help"))
        code = print_help(&args);
    else if (!args.command)
        return no_command(&args);
    else
        code = args.command->without_tree ? args.command->run(NULL, &args) : run_in_tree(&args);
    int written = output_finish();
    if (code != EXIT_DONE || written == EXIT_DONE)
        return code;
    if (!args_option(&args, "help") && args.command->changes)
        output_message("What was asked is done, but could not be shown.");
    return written;
}
