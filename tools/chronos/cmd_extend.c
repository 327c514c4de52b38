/* SPDX-License-Identifier: Apache-2.0 */
/* chronos extend: give a partition more or less time, through `remaining`. */
#include "change.h"
#include "failure.h"
#include "handle.h"
#include "output.h"
#include "partition.h"

#include <stdio.h>
#include <string.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

static void print_end(const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char left[CHRONOS_VALUE_MAX], end[CHRONOS_VALUE_MAX];
    output_seconds(value[CHRONOS_PARTITION_REMAINING], left, sizeof(left));
    output_time(value[CHRONOS_PARTITION_EXPIRES], end, sizeof(end));
    printf("Partition %s has %s remaining, until %s\n", partition->id, left, end);
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    const char *by = args->words[1];
    char id[CHRONOS_ID_MAX], text[CHRONOS_VALUE_MAX];
    struct chronos_partition partition;
    int r = handle_find(mount, args->words[0], id);
    if (r)
        return r;
    if (by[0] == '\0' || strpbrk(by, " \t\r\n") || strlen(by) > 100)
        return args_usage_error(
            args->command,
            "\"%s\" is not a duration; write whole seconds like 3600, or 90m, 1h30m, 2d.", by);
    snprintf(text, sizeof(text), "%s%s", by[0] == '+' || by[0] == '-' ? "" : "+", by);
    r = change_write(mount, id, "remaining", text, "Cannot change the partition");
    if (r)
        return r;
    r = chronos_partition_load(mount, id, CHRONOS_ALL, &partition);
    if (r < 0)
        return failure_partition(mount, id, "The partition was changed, but cannot be read", r);
    if (args_option(args, "json"))
        partition_print_json(&partition, NULL);
    else
        print_end(&partition);
    return EXIT_DONE;
}

const struct command cmd_extend = {
    .name = "extend",
    .args = "ID DURATION",
    .summary = "Give a partition more time, or less.",
    .help = "Adds DURATION to the time that the partition has left, or with a minus sign\n"
            "takes it away. More time needs free memory on the device.\n"
            "\n"
            "    chronos extend p1 30m\n"
            "    chronos extend p1 -10m",
    .options = options,
    .changes = true,
    .run = run,
};
