/* SPDX-License-Identifier: Apache-2.0 */
/* chronos join: add running processes to a partition. */
#include "change.h"
#include "container.h"
#include "handle.h"

static const struct option options[] = {
    {"oci", 0, NULL,
     "All arguments are partitions; the process is that of the container whose state is on "
     "standard input."},
    OPTION_END,
};

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char id[CHRONOS_ID_MAX];
    if (args_option(args, "oci"))
        return container_join(mount, args->command, args->words);
    int r = handle_find_started(mount, args->words[0], id);
    return r ? r : change_processes(mount, args->command, id, args->words + 1);
}

const struct command cmd_join = {
    .name = "join",
    .args = "ID [PID...]",
    .summary = "Add running processes to a partition.",
    .help = "Adds the processes to the partition, with what they start afterwards. Without\n"
            "PID it is the shell that called, which then ends with the partition.\n"
            "\n"
            "A process is in one partition of each device: the last one that it joined. Its\n"
            "environment stays as it is: limits that a library keeps need the variables of\n"
            "env when the program starts.\n"
            "\n"
            "With --oci it is the createRuntime hook of a container, as chronos cdi has it:\n"
            "if it is refused, the engine does not start the container. runc prints why, crun\n"
            "only with the annotation run.oci.hooks.stderr=FILE, there.\n"
            "\n"
            "    chronos join p1 4242\n"
            "    chronos join p1 $(podman inspect -f '{{.State.Pid}}' CONTAINER)",
    .options = options,
    .changes = true,
    .run = run,
};
