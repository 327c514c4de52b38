/* SPDX-License-Identifier: Apache-2.0 */
/* chronos show: print everything about one partition. */
#include "command.h"
#include "failure.h"
#include "partition.h"

static const struct option options[] = {OPTION_JSON, OPTION_END};

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_partition partition;
    uint64_t id;
    const char *text = args->words[0];
    if (!chronos_parse_id(text, &id))
        return failure_no_partition(text);
    int r = chronos_partition_load(mount, text, CHRONOS_ALL, &partition);
    if (r < 0)
        return failure_partition(mount, text, "The partition could not be read", r);
    if (args_option(args, "json"))
        partition_print_json(&partition);
    else
        partition_print(&partition);
    return EXIT_DONE;
}

const struct command cmd_show = {
    .name = "show",
    .args = "ID",
    .summary = "Show one partition.",
    .help = "Shows everything about one partition.",
    .options = options,
    .run = run,
};
