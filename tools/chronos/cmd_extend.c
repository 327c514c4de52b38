/* SPDX-License-Identifier: Apache-2.0 */
/* chronos extend: give a partition more or less time, through `remaining`. */
#include "command.h"
#include "core/base/fd.h"
#include "failure.h"
#include "handle.h"
#include "output.h"
#include "partition.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

static int run(const struct chronos_mount *mount, const struct args *args)
{
    const char *by = args->words[1];
    char id[CHRONOS_ID_MAX], path[64], change[128];
    struct chronos_partition partition;
    int r = handle_find(mount, args->words[0], id);
    if (r)
        return r;
    if (by[0] == '\0' || strpbrk(by, " \t\r\n") || strlen(by) > 100)
        return args_usage_error(args->command, "\"%s\" is not a duration.", by);
    snprintf(path, sizeof(path), "partitions/%s/remaining", id);
    snprintf(change, sizeof(change), "%s%s", by[0] == '+' || by[0] == '-' ? "" : "+", by);
    int fd = chronos_open(mount->root, path, O_WRONLY);
    r = fd < 0 ? fd : chronos_request_send(fd, change);
    fd_close(fd);
    /* Only a refused write leaves its reason in `status`. */
    if (r < 0 && (fd < 0 || chronos_is_gone(r)))
        return failure_partition(mount, id, "Cannot change the partition", r);
    if (r < 0)
        return failure_refused(mount, r);
    r = chronos_partition_load(mount, id, CHRONOS_ALL, &partition);
    if (r < 0)
        return failure_partition(mount, id, "The partition was changed, but cannot be read", r);
    if (args_option(args, "json"))
        partition_print_json(&partition, NULL);
    else
        printf("Partition %s has %s seconds remaining, until %s\n", id,
               partition.record.value[CHRONOS_PARTITION_REMAINING],
               partition.record.value[CHRONOS_PARTITION_EXPIRES]);
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
    .run = run,
};
