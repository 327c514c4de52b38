/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos extend: more time for a partition, or less, through `remaining`.
 */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

static int refused(const struct tree *tree, const char *id, int error)
{
    char path[64], owner[RECORD_TEXT];
    if (is_gone(error))
        return no_partition(id);
    snprintf(path, sizeof path, "partitions/%s/user", id);
    if (error != -EACCES || tree_read(tree->root, path, owner, sizeof owner) != 0)
        return tree_refused(tree, error);
    say("Permission denied: partition owned by %s", owner);
    return EXIT_REFUSED;
}

static int run(const struct tree *tree, const struct args *args)
{
    const char *id = args->words[0], *by = args->words[1];
    char path[64], change[128];
    uint64_t checked;
    struct partition partition;
    if (!id_parse(id, &checked))
        return no_partition(id);
    if (by[0] == '\0' || strpbrk(by, " \t\r\n") != NULL || strlen(by) > 100)
        return usage_error(args->command, "\"%s\" is not a duration.", by);
    snprintf(path, sizeof path, "partitions/%s/remaining", id);
    snprintf(change, sizeof change, "%s%s", by[0] == '+' || by[0] == '-' ? "" : "+", by);
    int error = tree_write(tree->root, path, change);
    if (error != 0)
        return refused(tree, id, error);
    error = partition_load(tree, id, PARTITION_ALL, &partition);
    if (is_gone(error))
        return no_partition(id);
    if (error != 0)
        return tree_failed(tree, "The partition could not be read", error);
    if (args_option(args, "json") != NULL)
        partition_print_json(&partition);
    else
        printf("Partition %s has %s seconds remaining, until %s\n", id,
               partition.record.value[PARTITION_REMAINING],
               partition.record.value[PARTITION_EXPIRES]);
    return EXIT_DONE;
}

const struct command command_extend = {
    .name = "extend",
    .args = "ID DURATION",
    .summary = "Give a partition more time, or less.",
    .help = "Adds DURATION to the time that the partition has left. With a minus sign it\n"
            "takes it away. More time needs room on the device.\n"
            "\n"
            "    chronos extend p1 30m\n"
            "    chronos extend p1 -10m",
    .options = options,
    .run = run,
};
