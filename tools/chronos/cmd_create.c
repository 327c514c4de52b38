/* SPDX-License-Identifier: Apache-2.0 */
/* chronos create: request a partition, which lasts until it expires, and print it. */
#include "await.h"
#include "failure.h"
#include "output.h"
#include "partition.h"
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
#define KEY(name, option, value, kind, doc) {option, 0, value, doc},
#define SWITCH(name, option, doc)           {option, 0, NULL, doc},
#include "core/engine/request.def"
    REQUEST_WAIT_OPTION,
    {"queue", 0, NULL, "If it does not fit now, let it wait, and print its promised start."},
    REQUEST_START_OPTION,
    {"any", 0, NULL, "On any device: the same as any for DEVICE."},
    REQUEST_PLACE_OPTIONS,
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
    char place[PARTITION_PLACE_MAX], amount[PARTITION_AMOUNT_MAX];
    creator_name(mount, args, partition, creator, sizeof(creator));
    partition_place_text(partition, place);
    partition_amount_text(mount, partition, amount);
    /* With --unique it can be an older one. */
    printf("%s %s%s%s on %s\n", args_option(args, "unique") ? "Partition" : "Created partition",
           output_colour(BOLD), partition->id, output_colour(PLAIN), place);
    if (output_terminal())
        output_time_text(value[CHRONOS_PARTITION_EXPIRES], until, sizeof(until));
    printf("with %s for %s seconds%s%s\n", amount, value[CHRONOS_PARTITION_DURATION],
           until[0] != '\0' ? ", until " : "", until);
    printf("Assigned to user: %s (Created by: %s, PID: %s)\n", value[CHRONOS_PARTITION_USER],
           creator, value[CHRONOS_PARTITION_CREATOR_PID]);
    if (strcmp(value[CHRONOS_PARTITION_STATE], "pending") == 0)
        partition_print_waiting(mount, partition);
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
                    1u << CHRONOS_PARTITION_CREATOR_UID | 1u << CHRONOS_PARTITION_CREATOR_PID |
                    1u << CHRONOS_PARTITION_STATE | 1u << CHRONOS_PARTITION_START;
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

/* Wait for the start. If it is not wanted any more, cancel the request. 0, or an exit code after a
 * message. */
static int wait_for_start(const struct chronos_mount *mount, const struct args *args,
                          const char *id)
{
    char path[64];
    struct await waiting = {
        .mount = mount, .wanted = args_option(args, "mount"), .id = id, .until_ns = INT64_MAX};
    int r = request_waits(mount, id) ? 0 : AWAIT_REACHED;
    if (!r)
        await_report(mount, id);
    if (!r)
        r = await(&waiting);
    if (r == AWAIT_STOPPED) {
        snprintf(path, sizeof(path), "partitions/%s", id);
        if (unlinkat(mount->root, path, 0) < 0 && !chronos_is_gone(-errno))
            output_message("%s still waits; chronos release %s cancels it.", id, id);
        await_die_of_signal();
        return EXIT_REFUSED;
    }
    if (r == AWAIT_ENDED)
        await_report_ended(mount, id);
    else if (r < 0)
        failure_partition(mount, id, "The partition could not be read", r);
    return r == AWAIT_REACHED ? 0 : EXIT_REFUSED;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char id[CHRONOS_ID_MAX];
    bool waits = args_option(args, "wait");
    if (args_option(args, "quiet") && args_option(args, "json"))
        return args_usage_error(args->command, "--quiet and --json exclude each other.");
    if (waits && args_option(args, "queue"))
        return args_usage_error(args->command, "--queue and --wait exclude each other.");
    if (waits)
        await_catch_signals();
    int r = request_make(mount, args, id);
    if (!r && waits)
        r = wait_for_start(mount, args, id);
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
    .args = "[DEVICE] AMOUNT DURATION",
    .summary = "Request a part of a device for a limited time.",
    .help = "Requests AMOUNT of the memory of DEVICE for DURATION and prints the partition.\n"
            "\n"
            "DEVICE is a number, a name like gpu0, or any, for the filesystem to choose.\n"
            "AMOUNT is a fraction 0.5, a percentage 50%, a size 20G, or slot where the device\n"
            "has slots (chronos help mode). DURATION is in seconds, or as in 90m, 1h30m, 2d.\n"
            "\n"
            "The request succeeds at once or not at all, unless it may wait: --wait returns\n"
            "when the partition has started, --queue at once with the start that is promised,\n"
            "which can only become earlier; chronos wait waits for it. The partition ends by\n"
            "itself when its time is up, not when this command ends.\n"
            "\n"
            "Without DEVICE, --gpus, --prefer or --any says where.\n"
            "\n"
            "Scripts take the id from --quiet: id=$(chronos create -q 0 0.5 3600). Programs\n"
            "that may ask for the same partition at once use --unique with --name.\n"
            "\n"
            "    chronos create 0 0.5 3600\n"
            "    chronos create any 20G 1h30m --name training\n"
            "    chronos create --gpus 2 --wait 100% 6h",
    .options = options,
    .run = run,
};
