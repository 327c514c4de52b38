/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos create: writes one request into `new` and reads the id back on the
 * same descriptor. What is a good amount or duration only the filesystem knows.
 */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct option options[] = {
    {"user", 0, "NAME", "The partition is for NAME; only administrators may ask for others."},
    {"name", 0, "LABEL",
     "Give it a label of letters, digits, dots, underscores and dashes, 64 at most."},
    {"on-expiry", 0, "WORD",
     "What happens to its processes at the end: none, term (SIGTERM, later SIGKILL) or kill."},
    {"grace", 0, "SECONDS", "With term: the time from SIGTERM to SIGKILL; 0 or more, or 1m."},
    {"warn", 0, "SECONDS[:SIGNAL]",
     "Warn so long before the end, and send its processes a signal, 300:USR1; or none."},
    OPTION_JSON,
    OPTION_END,
};

/* A blank would make two words of one, and a request nobody asked for. */
static bool one_word(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

/* The line that asks: the same a shell would echo into `new`. */
static int request_line(const struct args *args, char *line, size_t size)
{
    static const struct {
        const char *option, *key;
    } keys[] = {{"user", "user"},
                {"name", "name"},
                {"on-expiry", "on_expiry"},
                {"grace", "grace"},
                {"warn", "warn"}};
    size_t used = 0;
    for (size_t i = 0; i < 2 + sizeof keys / sizeof keys[0]; i++) {
        const char *key = i < 2 ? "" : keys[i - 2].key;
        const char *value = i < 2 ? args->words[1 + i] : args_option(args, keys[i - 2].option);
        if (value == NULL)
            continue;
        if (!one_word(value))
            return usage_error(args->command, "\"%s\" is not one word.", value);
        int length = snprintf(line + used, size - used, "%s%s%s%s", i ? " " : "", key,
                              *key ? "=" : "", value);
        if (length < 0 || used + (size_t)length + 2 > size)
            return usage_error(args->command, "The request is too long.");
        used += (size_t)length;
    }
    memcpy(line + used, "\n", 2);
    return 0;
}

static int open_new(const struct tree *tree, const char *device, int *ret_file)
{
    char path[32] = "new";
    unsigned index;
    if (strcmp(device, "any") != 0) {
        if (!device_parse(device, &index))
            return no_device(device);
        snprintf(path, sizeof path, "gpu%u/new", index);
    }
    int file = openat(tree->root, path, O_RDWR | O_CLOEXEC);
    if (file >= 0) {
        *ret_file = file;
        return 0;
    }
    if (is_gone(-errno))
        return no_device(device);
    if (errno == EACCES || errno == EPERM) {
        say("Permission denied: you may not ask for partitions of device %s.", device);
        return EXIT_REFUSED;
    }
    return tree_failed(tree, "No request can be made", -errno);
}

/* Asks and fetches the id. */
static int ask(const struct tree *tree, int file, const char *line, char *id, size_t size)
{
    /* A name that is not in the system's files takes a moment to be looked up. */
    for (int tries = 0; write(file, line, strlen(line)) < 0; tries++) {
        if (errno != EAGAIN || tries == 100)
            return tree_refused(tree, -errno);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    ssize_t length = read(file, id, size - 1);
    if (length < 0)
        return tree_failed(tree, "The partition was made, but its id could not be read", -errno);
    id[length] = '\0';
    id[strcspn(id, "\n")] = '\0';
    uint64_t checked;
    if (!id_parse(id, &checked))
        return tree_failed(tree, "The partition was made, but its id could not be read", -EPROTO);
    return 0;
}

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
    int file = -1, result = request_line(args, line, sizeof line);
    if (result == 0)
        result = open_new(tree, args->words[0], &file);
    if (result != 0)
        return result;
    struct partition partition;
    result = ask(tree, file, line, partition.id, sizeof partition.id);
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
