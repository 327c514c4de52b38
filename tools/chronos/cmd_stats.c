/* SPDX-License-Identifier: Apache-2.0 */
/* chronos stats: list the devices and how much of each is allocated. */
#include "command.h"
#include "device.h"
#include "output.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {OPTION_WATCH, OPTION_JSON, OPTION_END};

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

static void print_lines(const struct chronos_device *devices, size_t count)
{
    puts("Device statistics:\n=================");
    for (size_t i = 0; i < count; i++) {
        const char(*value)[CHRONOS_VALUE_MAX] = devices[i].record.value;
        uint64_t total = chronos_number(value[CHRONOS_DEVICE_MEMORY_TOTAL]);
        uint64_t used = chronos_number(value[CHRONOS_DEVICE_MEMORY_USED]);
        uint64_t available = chronos_number(value[CHRONOS_DEVICE_MEMORY_AVAILABLE]);
        char usage[32];
        usage_text(used, total, usage, sizeof(usage));
        printf("Device %u: %s\n  Type: %s\n  Vendor: %s\n", devices[i].index,
               value[CHRONOS_DEVICE_NAME], value[CHRONOS_DEVICE_TYPE],
               value[CHRONOS_DEVICE_VENDOR]);
        printf("  OpenCL version: %.*s\n", version_length(value[CHRONOS_DEVICE_VERSION]),
               value[CHRONOS_DEVICE_VERSION]);
        printf("  Memory:\n    Total: %llu MB\n    Used: %llu MB\n    Available: %llu MB\n"
               "    Usage: %s\n",
               (unsigned long long)(total >> 20), (unsigned long long)(used >> 20),
               (unsigned long long)(available >> 20), usage);
        printf("  Chronos management:\n    Active partitions: %llu\n",
               (unsigned long long)devices[i].partitions);
    }
}

static void print_table(const struct chronos_device *devices, size_t count)
{
    static const char *const titles[] = {"DEVICE", "NAME",  "TYPE",       "TOTAL", "USED",
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
        table_cell(table, PLAIN, value[CHRONOS_DEVICE_TYPE]);
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
    size_t count = 0;
    int code = EXIT_DONE;
    int r = device_list(mount, args->words[0], CHRONOS_ALL, &devices, &count, &code);
    if (r)
        return r;
    if (args_option(args, "json"))
        print_json(devices, count);
    else if (output_terminal())
        print_table(devices, count);
    else
        print_lines(devices, count);
    free(devices);
    return code;
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
            "and how many there are. A MB is 1048576 bytes. On a terminal it is a table.",
    .options = options,
    .run = run,
};
