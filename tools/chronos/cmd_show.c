/* SPDX-License-Identifier: Apache-2.0 */
/* chronos show: print everything about one partition. */
#include "command.h"
#include "failure.h"
#include "handle.h"
#include "partition.h"
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_partition partition;
    char id[CHRONOS_ID_MAX];
    int r = handle_find(mount, args->words[0], id);
    if (r)
        return r;
    r = chronos_partition_load(mount, id, CHRONOS_ALL, &partition);
    if (r < 0)
        return failure_partition(mount, id, "The partition could not be read", r);
    char *members = share_read(mount, id);
    if (args_option(args, "json"))
        partition_print_json(&partition, members);
    else
        partition_print(mount, &partition);
    if (members && *members && !args_option(args, "json")) {
        printf("  %sShared with:%s ", output_colour(DIM), output_colour(PLAIN));
        share_print(members);
    }
    if (!args_option(args, "json") &&
        strcmp(partition.record.value[CHRONOS_PARTITION_STATE], "pending") == 0)
        partition_print_waiting(mount, &partition);
    free(members);
    return EXIT_DONE;
}

const struct command cmd_show = {
    .name = "show",
    .args = "ID",
    .summary = "Show one partition.",
    .help = "Shows everything about one partition. Wherever an ID is needed, the label of one\n"
            "of your own partitions will do, or mine if you have only one.",
    .options = options,
    .run = run,
};
