/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos create: asks for a partition that stays until its time is up, and says
 * what was given.
 */
#include "output.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
#define KEY(name, option, value, doc) {option, 0, value, doc},
#include "core/engine/request.def"
    OPTION_JSON,
    OPTION_END,
};

/* Who asked, by name. It is the holder, unless an administrator asked for
 * somebody else: the partition's first event knows. */
static void creator_name(const struct tree *tree, const struct args *args,
                         const struct partition *partition, char *name, size_t size)
{
    char path[64], *text;
    snprintf(name, size, "%s", partition->record.value[PARTITION_USER]);
    if (args_option(args, "user") == NULL)
        return;
    snprintf(path, sizeof path, "partitions/%s/events", partition->id);
    snprintf(name, size, "uid %.32s", partition->record.value[PARTITION_CREATOR_UID]);
    if (tree_read_all(tree->root, path, &text) != 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    const char *by = strstr(text, " by=");
    if (by != NULL)
        snprintf(name, size, "%.*s", (int)strcspn(by + 4, " "), by + 4);
    free(text);
}

static void print_created(const struct tree *tree, const struct args *args,
                          const struct partition *partition)
{
    const char(*value)[RECORD_TEXT] = partition->record.value;
    char creator[RECORD_TEXT];
    creator_name(tree, args, partition, creator, sizeof creator);
    printf("Created partition %s%s%s on device %s (%s)\n", output_colour(BOLD), partition->id,
           output_colour(PLAIN), device_number(value[PARTITION_DEVICE]), partition->device_name);
    printf("with %llu MB for %s seconds\n",
           (unsigned long long)(number(value[PARTITION_MEMORY]) >> 20), value[PARTITION_DURATION]);
    printf("Assigned to user: %s (Created by: %s, PID: %s)\n", value[PARTITION_USER], creator,
           value[PARTITION_CREATOR_PID]);
}

static int run(const struct tree *tree, const struct args *args)
{
    char line[512];
    int file = -1;
    int result = request_line(args, args->words[1], args->words[2], "", line, sizeof line);
    if (result == 0)
        result = request_open(tree, args->words[0], &file);
    if (result != 0)
        return result;
    struct partition partition;
    result = request_ask(tree, file, line, partition.id, sizeof partition.id);
    close(file);
    if (result != 0)
        return result;
    bool as_json = args_option(args, "json") != NULL;
    char id[sizeof partition.id];
    memcpy(id, partition.id, sizeof id);
    uint32_t mask = 1u << PARTITION_USER | 1u << PARTITION_DEVICE | 1u << PARTITION_MEMORY |
                    1u << PARTITION_DURATION | 1u << PARTITION_CREATOR_UID |
                    1u << PARTITION_CREATOR_PID;
    int error = partition_load(tree, id, as_json ? PARTITION_ALL : mask, &partition);
    if (error != 0) {
        say("Partition %s was made and is gone again.", id);
        return EXIT_REFUSED;
    }
    if (as_json)
        partition_print_json(&partition);
    else
        print_created(tree, args, &partition);
    return EXIT_DONE;
}

const struct command command_create = {
    .name = "create",
    .args = "DEVICE AMOUNT DURATION",
    .summary = "Ask for a part of a device for a time.",
    .help = "Asks for AMOUNT of the memory of DEVICE for DURATION and prints what was given.\n"
            "\n"
            "DEVICE is a number, its name gpu0, or the word any for the filesystem to choose.\n"
            "AMOUNT is a fraction 0.5, a percentage 50% or a size 20G. DURATION is in\n"
            "seconds, or as in 90m, 1h30m, 2d.\n"
            "\n"
            "A partition is given at once or not at all. It ends by itself when its time is\n"
            "up, not when this command ends.\n"
            "\n"
            "    chronos create 0 0.5 3600\n"
            "    chronos create any 20G 1h30m --name training",
    .options = options,
    .run = run,
};
