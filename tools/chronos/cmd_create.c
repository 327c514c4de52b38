/* SPDX-License-Identifier: Apache-2.0 */
/* chronos create: request a partition, which lasts until it expires, and print it. */
#include "device.h"
#include "failure.h"
#include "output.h"
#include "partition.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
#define KEY(name, option, value, kind, doc) {option, 0, value, doc},
#define SWITCH(name, option, doc)           {option, 0, NULL, doc},
#include "core/engine/request.def"
    {"quiet", 'q', NULL, "Print only the id of the partition."},
    OPTION_JSON,
    OPTION_END,
};

/* Get the name of the requesting user: the owner, unless an administrator requested the partition
 * for another user. Then the partition's first event names the requester. */
static void creator_name(const struct chronos_mount *mount, const struct args *args,
                         const struct chronos_partition *partition, char *name, size_t size)
{
    char path[64], *text;
    struct chronos_line first;
    snprintf(name, size, "%s", partition->record.value[CHRONOS_PARTITION_USER]);
    if (!args_option(args, "user"))
        return;
    snprintf(path, sizeof(path), "partitions/%s/events", partition->id);
    snprintf(name, size, "uid %.32s", partition->record.value[CHRONOS_PARTITION_CREATOR_UID]);
    if (chronos_read_all(mount->root, path, &text) < 0)
        return;
    chronos_line_split(text, strcspn(text, "\n"), &first);
    const char *by = chronos_line_value(&first, "by");
    if (by[0] != '\0')
        snprintf(name, size, "%s", by);
    free(text);
}

static void print_created(const struct chronos_mount *mount, const struct args *args,
                          const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char creator[CHRONOS_VALUE_MAX], until[CHRONOS_VALUE_MAX] = "";
    creator_name(mount, args, partition, creator, sizeof(creator));
    /* With --unique it can be an older one. */
    printf("%s %s%s%s on device %s (%s)\n",
           args_option(args, "unique") ? "Partition" : "Created partition", output_colour(BOLD),
           partition->id, output_colour(PLAIN), device_number(value[CHRONOS_PARTITION_DEVICE]),
           partition->device_name);
    if (output_terminal())
        output_time_text(value[CHRONOS_PARTITION_EXPIRES], until, sizeof(until));
    printf("with %llu MB for %s seconds%s%s\n",
           (unsigned long long)(chronos_number(value[CHRONOS_PARTITION_MEMORY]) >> 20),
           value[CHRONOS_PARTITION_DURATION], until[0] != '\0' ? ", until " : "", until);
    printf("Assigned to user: %s (Created by: %s, PID: %s)\n", value[CHRONOS_PARTITION_USER],
           creator, value[CHRONOS_PARTITION_CREATOR_PID]);
}

/* Report that the partition exists although the command failed. */
static int report_created(const char *id)
{
    output_message("Partition %s was created and stays until it ends; chronos release %s ends it.",
                   id, id);
    return EXIT_REFUSED;
}

/* Print the partition as the options ask. 0, or an exit code after a message. */
static int show(const struct chronos_mount *mount, const struct args *args, const char *id)
{
    struct chronos_partition partition;
    bool as_json = args_option(args, "json");
    if (args_option(args, "quiet")) {
        puts(id);
        return 0;
    }
    uint32_t mask = 1u << CHRONOS_PARTITION_USER | 1u << CHRONOS_PARTITION_DEVICE |
                    1u << CHRONOS_PARTITION_MEMORY | 1u << CHRONOS_PARTITION_DURATION |
                    1u << CHRONOS_PARTITION_CREATOR_UID | 1u << CHRONOS_PARTITION_CREATOR_PID;
    if (output_terminal())
        mask |= 1u << CHRONOS_PARTITION_EXPIRES;
    int r = chronos_partition_load(mount, id, as_json ? CHRONOS_ALL : mask, &partition);
    if (chronos_is_gone(r)) {
        output_message("Partition %s was created but has already ended.", id);
        return EXIT_REFUSED;
    }
    if (r < 0) {
        failure_partition(mount, id, "The partition could not be read", r);
        return report_created(id);
    }
    if (as_json)
        partition_print_json(&partition, NULL);
    else
        print_created(mount, args, &partition);
    return 0;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char line[512], id[CHRONOS_ID_MAX];
    int fd = -1;
    if (args_option(args, "quiet") && args_option(args, "json"))
        return args_usage_error(args->command, "--quiet and --json exclude each other.");
    int r = request_line(args, args->words[1], args->words[2], NULL, line, sizeof(line));
    if (!r)
        r = request_open(mount, args->words[0], &fd);
    if (r)
        return r;
    r = request_ask(mount, fd, line, id);
    close(fd);
    if (!r)
        request_report_warned(mount, args, id);
    if (!r)
        r = show(mount, args, id);
    if (r)
        return r;
    return output_finish() == EXIT_DONE ? EXIT_DONE : report_created(id);
}

const struct command cmd_create = {
    .name = "create",
    .args = "DEVICE AMOUNT DURATION",
    .summary = "Request a part of a device for a limited time.",
    .help = "Requests AMOUNT of the memory of DEVICE for DURATION and prints the partition.\n"
            "\n"
            "DEVICE is a number, a name like gpu0, or any, for the filesystem to choose.\n"
            "AMOUNT is a fraction 0.5, a percentage 50% or a size 20G. DURATION is in\n"
            "seconds, or as in 90m, 1h30m, 2d.\n"
            "\n"
            "The request succeeds at once or not at all. The partition ends by itself when\n"
            "its time is up, not when this command ends.\n"
            "\n"
            "Scripts take the id from --quiet: id=$(chronos create -q 0 0.5 3600). Programs\n"
            "that may ask for the same partition at once use --unique with --name.\n"
            "\n"
            "    chronos create 0 0.5 3600\n"
            "    chronos create any 20G 1h30m --name training",
    .options = options,
    .run = run,
};
