/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos show: one partition, all that its directory says.
 */
#include "command.h"

static const struct option options[] = {OPTION_JSON, OPTION_END};

static int run(const struct tree *tree, const struct args *args)
{
    struct partition partition;
    uint64_t id;
    const char *text = args->words[0];
    if (!id_parse(text, &id))
        return no_partition(text);
    int error = partition_load(tree, text, PARTITION_ALL, &partition);
    if (is_gone(error))
        return no_partition(text);
    if (error != 0)
        return tree_failed(tree, "The partition could not be read", error);
    if (args_option(args, "json") != NULL)
        partition_print_json(&partition);
    else
        partition_print(&partition);
    return EXIT_DONE;
}

const struct command command_show = {
    .name = "show",
    .args = "ID",
    .summary = "Show one partition.",
    .help = "Shows all that is known of one partition.",
    .options = options,
    .run = run,
};
