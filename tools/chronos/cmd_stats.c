/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos stats: the devices and how much of them is given out.
 */
#include "command.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {OPTION_JSON, OPTION_END};

/* "OpenCL 3.0" of "OpenCL 3.0 CUDA 13.0": what scripts look for. The rest is in
 * JSON. */
static int version_length(const char *version)
{
    size_t length = strlen(version);
    if (strncmp(version, "OpenCL ", 7) == 0)
        length = 7 + strcspn(version + 7, " ");
    return (int)length;
}

/* used / total in per cent with two decimals, rounded down. */
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

static void print_lines(const struct device *devices, size_t count)
{
    puts("Device statistics:\n=================");
    for (size_t i = 0; i < count; i++) {
        const char(*value)[RECORD_TEXT] = devices[i].record.value;
        uint64_t total = number(value[DEVICE_MEMORY_TOTAL]);
        uint64_t used = number(value[DEVICE_MEMORY_USED]);
        uint64_t available = number(value[DEVICE_MEMORY_AVAILABLE]);
        char usage[32];
        usage_text(used, total, usage, sizeof usage);
        printf("Device %u: %s\n  Type: %s\n  Vendor: %s\n", devices[i].index, value[DEVICE_NAME],
               value[DEVICE_TYPE], value[DEVICE_VENDOR]);
        printf("  OpenCL version: %.*s\n", version_length(value[DEVICE_VERSION]),
               value[DEVICE_VERSION]);
        printf("  Memory:\n    Total: %llu MB\n    Used: %llu MB\n    Available: %llu MB\n"
               "    Usage: %s\n",
               (unsigned long long)(total >> 20), (unsigned long long)(used >> 20),
               (unsigned long long)(available >> 20), usage);
        printf("  Chronos management:\n    Active partitions: %llu\n",
               (unsigned long long)devices[i].partitions);
    }
}

static void print_table(const struct device *devices, size_t count)
{
    static const char *const titles[] = {"DEVICE", "NAME",  "TYPE",       "TOTAL", "USED",
                                         "FREE",   "USAGE", "PARTITIONS", NULL};
    struct table *table = table_new(titles);
    for (size_t i = 0; i < count; i++) {
        const char(*value)[RECORD_TEXT] = devices[i].record.value;
        uint64_t total = number(value[DEVICE_MEMORY_TOTAL]);
        uint64_t used = number(value[DEVICE_MEMORY_USED]);
        char text[64];
        snprintf(text, sizeof text, "gpu%u", devices[i].index);
        table_cell(table, BOLD, text);
        table_cell(table, PLAIN, value[DEVICE_NAME]);
        table_cell(table, PLAIN, value[DEVICE_TYPE]);
        bytes_text(total, text, sizeof text);
        table_cell(table, PLAIN, text);
        bytes_text(used, text, sizeof text);
        table_cell(table, PLAIN, text);
        bytes_text(number(value[DEVICE_MEMORY_AVAILABLE]), text, sizeof text);
        table_cell(table, PLAIN, text);
        usage_text(used, total, text, sizeof text);
        table_cell(table, used >= total ? RED : used > total / 2 ? YELLOW : GREEN, text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)devices[i].partitions);
        table_cell(table, PLAIN, text);
    }
    table_print(table);
    table_free(table);
}

static void print_json(const struct device *devices, size_t count)
{
    struct json json = {0};
    char text[32];
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        snprintf(text, sizeof text, "gpu%u", devices[i].index);
        json_text(&json, "device", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)devices[i].partitions);
        json_number(&json, "partitions", text);
        record_json(&json, device_fields, &devices[i].record);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

static int run(const struct tree *tree, const struct args *args)
{
    struct device *devices = NULL;
    size_t count = 0;
    int result = device_list(tree, args->words[0], DEVICE_ALL, &devices, &count);
    if (result != 0)
        return result;
    if (args_option(args, "json") != NULL)
        print_json(devices, count);
    else if (output_terminal())
        print_table(devices, count);
    else
        print_lines(devices, count);
    free(devices);
    return EXIT_DONE;
}

const struct command command_stats = {
    .name = "stats",
    .args = "[DEVICE]",
    .summary = "Show the devices and what is given out of them.",
    .help = "Shows each device, or the one named: what it is, its memory, how much of that is\n"
            "given out to partitions, and how many there are. MB are 1048576 bytes. On a\n"
            "terminal it is a table.",
    .options = options,
    .run = run,
};
