/* SPDX-License-Identifier: Apache-2.0 */
/* chronos stats: list the devices and how much of each is allocated. */
#include "command.h"
#include "device.h"
#include "failure.h"
#include "load.h"
#include "output.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    {"all", 'a', NULL, "Show all devices, as without DEVICE."},
    {"detailed", 0, NULL,
     "Show also what identifies each device, its partitions and what gets free."},
    OPTION_WATCH,
    OPTION_JSON,
    OPTION_END};

/* Cut "OpenCL 3.0 CUDA 13.0" to "OpenCL 3.0", which scripts expect. JSON has the rest. */
static int version_length(const char *version)
{
    size_t length = strlen(version);
    if (strncmp(version, "OpenCL ", 7) == 0)
        length = 7 + strcspn(version + 7, " ");
    return (int)length;
}

/* Format used / total as a percentage with two decimals, rounded down. */
static void usage_text(uint64_t used, uint64_t total, char *text, size_t size)
{
    while (used > UINT64_MAX / 10000 || total > UINT64_MAX / 10000) { /* more than a PiB */
        used >>= 1;
        total >>= 1;
    }
    uint64_t hundredths = total > 0 ? used * 10000 / total : 0;
    snprintf(text, size, "%llu.%02llu%%", (unsigned long long)(hundredths / 100),
             (unsigned long long)(hundredths % 100));
}

/* An absent device has no values but its memory: say so once. */
static const char *text_of(const struct chronos_device *device, enum chronos_device_field field)
{
    const char(*value)[CHRONOS_VALUE_MAX] = device->record.value;
    if (value[field][0] != '\0')
        return value[field];
    return field == CHRONOS_DEVICE_TYPE ? value[CHRONOS_DEVICE_BACKEND] : "-";
}

static void print_device(const struct chronos_device *device)
{
    const char(*value)[CHRONOS_VALUE_MAX] = device->record.value;
    uint64_t total = chronos_number(value[CHRONOS_DEVICE_MEMORY_TOTAL]);
    uint64_t used = chronos_number(value[CHRONOS_DEVICE_MEMORY_USED]);
    uint64_t available = chronos_number(value[CHRONOS_DEVICE_MEMORY_AVAILABLE]);
    char usage[32];
    usage_text(used, total, usage, sizeof(usage));
    printf("Device %u: %s\n  Type: %s\n  Vendor: %s\n", device->index, value[CHRONOS_DEVICE_NAME],
           text_of(device, CHRONOS_DEVICE_TYPE), text_of(device, CHRONOS_DEVICE_VENDOR));
    const char *version = text_of(device, CHRONOS_DEVICE_VERSION);
    printf("  %s: %.*s\n", strncmp(version, "CUDA", 4) == 0 ? "Version" : "OpenCL version",
           version_length(version), version);
    printf("  Memory:\n    Total: %llu MB\n    Used: %llu MB\n    Available: %llu MB\n"
           "    Usage: %s\n",
           (unsigned long long)(total >> 20), (unsigned long long)(used >> 20),
           (unsigned long long)(available >> 20), usage);
    printf("  Chronos management:\n    Active partitions: %llu\n",
           (unsigned long long)device->partitions);
}

/* -- details ------------------------------------------------------------------------------ */

/* Print the fields that print_device leaves out, unless they are empty. */
static void print_identity(const struct chronos_device *device)
{
    static const struct {
        enum chronos_device_field field;
        const char *label;
    } rows[] = {{CHRONOS_DEVICE_DRIVER, "Driver"},
                {CHRONOS_DEVICE_BACKEND, "Found by"},
                {CHRONOS_DEVICE_UUID, "UUID"},
                {CHRONOS_DEVICE_PCI, "PCI address"},
                {CHRONOS_DEVICE_SHARING, "Sharing"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *value = device->record.value[rows[i].field];
        if (value[0] != '\0')
            printf("  %s: %s\n", rows[i].label, value);
    }
}

static void print_partition(const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char end[CHRONOS_VALUE_MAX], share[CHRONOS_VALUE_MAX];
    output_time(value[CHRONOS_PARTITION_EXPIRES], end, sizeof(end));
    output_share_text(value[CHRONOS_PARTITION_FRACTION], share, sizeof(share));
    printf("    %s: %s, %s, %llu MB, programs use %llu MB, until %s\n", partition->id,
           value[CHRONOS_PARTITION_USER], share,
           (unsigned long long)(chronos_number(value[CHRONOS_PARTITION_MEMORY]) >> 20),
           output_mb(chronos_number(value[CHRONOS_PARTITION_MEMORY_USED])), end);
}

static bool print_or_skip(void *context, int r, const struct chronos_partition *partition)
{
    if (!r)
        print_partition(partition);
    else if (!chronos_is_gone(r))
        failure_skip(context, partition->id, r);
    return true;
}

static void print_partitions(const struct chronos_mount *mount, const char *device,
                             struct failure_skipped *skipped)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    int r = chronos_list(mount->root, device, "p", &ids, &count);
    if (r < 0 && !chronos_is_gone(r))
        failure_skip(skipped, device, r);
    r = load_each(mount, ids, count, CHRONOS_ALL, print_or_skip, skipped);
    if (r < 0)
        failure_skip(skipped, device, r);
    free(ids);
}

/* Print what gets free, from the lines TIME PERCENT BYTES of the file `schedule`, except the first,
 * which is now. */
static void print_schedule(const struct chronos_mount *mount, const char *device)
{
    char path[64], when[CHRONOS_VALUE_MAX], *text, *rest, *line;
    snprintf(path, sizeof(path), "%s/schedule", device);
    if (chronos_read_all(mount->root, path, &text) < 0)
        return;
    rest = text;
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n"))) {
        struct chronos_line words;
        chronos_line_split(line, strlen(line), &words);
        if (words.count < 3)
            continue;
        output_time(words.words[0], when, sizeof(when));
        printf("    Available from %s: %llu MB (%s%%)\n", when,
               (unsigned long long)(chronos_number(words.words[2]) >> 20), words.words[1]);
    }
    free(text);
}

static int print_lines(const struct chronos_mount *mount, const struct chronos_device *devices,
                       size_t count, bool detailed)
{
    struct failure_skipped skipped = {.more = 0};
    puts("Device statistics:\n=================");
    for (size_t i = 0; i < count; i++) {
        char name[32];
        print_device(&devices[i]);
        if (!detailed)
            continue;
        snprintf(name, sizeof(name), "gpu%u", devices[i].index);
        print_partitions(mount, name, &skipped);
        print_schedule(mount, name);
        print_identity(&devices[i]);
    }
    return failure_report_skipped(&skipped);
}

static void print_table(const struct chronos_device *devices, size_t count)
{
    static const char *const titles[] = {"DEVICE", "NAME",  "TYPE",       "TOTAL", "PROMISED",
                                         "FREE",   "USAGE", "PARTITIONS", NULL};
    struct table *table = table_new(titles);
    for (size_t i = 0; i < count; i++) {
        const char(*value)[CHRONOS_VALUE_MAX] = devices[i].record.value;
        uint64_t total = chronos_number(value[CHRONOS_DEVICE_MEMORY_TOTAL]);
        uint64_t used = chronos_number(value[CHRONOS_DEVICE_MEMORY_USED]);
        char text[64];
        snprintf(text, sizeof(text), "gpu%u", devices[i].index);
        table_cell(table, BOLD, text);
        table_cell(table, PLAIN, value[CHRONOS_DEVICE_NAME]);
        table_cell(table, PLAIN, text_of(&devices[i], CHRONOS_DEVICE_TYPE));
        output_bytes_text(total, text, sizeof(text));
        table_cell(table, PLAIN, text);
        output_bytes_text(used, text, sizeof(text));
        table_cell(table, PLAIN, text);
        output_bytes_text(chronos_number(value[CHRONOS_DEVICE_MEMORY_AVAILABLE]), text,
                          sizeof(text));
        table_cell(table, PLAIN, text);
        usage_text(used, total, text, sizeof(text));
        table_cell(table, used >= total ? RED : used > total / 2 ? YELLOW : GREEN, text);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)devices[i].partitions);
        table_cell(table, PLAIN, text);
    }
    table_print(table);
    table_free(table);
}

static void print_json(const struct chronos_device *devices, size_t count)
{
    struct json json = {0};
    char text[32];
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        snprintf(text, sizeof(text), "gpu%u", devices[i].index);
        json_text(&json, "device", text);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)devices[i].partitions);
        json_number(&json, "partitions", text);
        json_record(&json, chronos_device_fields, &devices[i].record);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

static int print(const struct chronos_mount *mount, const struct args *args)
{
    struct chronos_device *devices = NULL;
    bool detailed = args_option(args, "detailed");
    size_t count = 0;
    int code = EXIT_DONE;
    if (args_option(args, "all") && args->count > 0)
        return args_usage_error(args->command, "--all and DEVICE exclude each other.");
    int r = device_list(mount, args->words[0], CHRONOS_ALL, &devices, &count, &code);
    if (r)
        return r;
    if (args_option(args, "json"))
        print_json(devices, count);
    else if (output_terminal() && !detailed)
        print_table(devices, count);
    else
        r = print_lines(mount, devices, count, detailed);
    free(devices);
    return r ? r : code;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return args_option(args, "watch") ? watch(mount, args, print) : print(mount, args);
}

const struct command cmd_stats = {
    .name = "stats",
    .args = "[DEVICE]",
    .summary = "Show the devices and their use.",
    .help = "Shows DEVICE, or all: what it is, its memory, how much of that partitions have,\n"
            "and how many there are. A MB is 1048576 bytes. On a terminal it is a table.\n"
            "\n"
            "--detailed adds the partitions, when memory gets free, and what identifies the\n"
            "device. --json always has the latter.",
    .options = options,
    .run = run,
};
