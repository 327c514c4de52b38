/* SPDX-License-Identifier: Apache-2.0 */
/* chronos leave: take running processes out of their partitions. */
#include "change.h"

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return change_processes(mount, args->command, NULL, args->words);
}

const struct command cmd_leave = {
    .name = "leave",
    .args = "[PID...]",
    .summary = "Take running processes out of their partitions.",
    .help = "Takes the processes and their children out of every partition, so that they do\n"
            "not end with it. Without PID it is the shell that called. What they hold on a\n"
            "device they keep: free it first, or it counts as use outside of a partition.\n"
            "For a process that is in none it says so; that is no error.\n"
            "\n"
            "It is refused where config/allowed_on_expiry lacks none: there programs end with\n"
            "their partition.",
    .changes = true,
    .run = run,
};
