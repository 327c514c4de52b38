/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition as the tree shows it. It must not know how it came or who asks.
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct field partition_fields[] = {
#define ATTRIBUTE(ID, name, key, json, doc, ...) {#name, key, FIELD_##json, 0, doc},
#define SHOWN(ID, name, key, json, doc, ...)     {#name, key, FIELD_##json, 0, doc},
#define WORD(ID, name, key, json, doc, number)   {#name, key, FIELD_##json, number, doc},
#include "core/engine/partition.def"
    {NULL, NULL, FIELD_TEXT, 0, NULL},
};
_Static_assert(sizeof(partition_fields) / sizeof(partition_fields[0]) <= RECORD_FIELDS + 1,
               "a record has room for every field");

const char *device_number(const char *device)
{
    return strncmp(device, "gpu", 3) == 0 ? device + 3 : device;
}

int partition_load(const struct tree *tree, const char *id, uint32_t mask,
                   struct partition *ret_partition)
{
    char path[64];
    snprintf(path, sizeof path, "partitions/%s", id);
    int directory = openat(tree->root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    snprintf(ret_partition->id, sizeof ret_partition->id, "%s", id);
    int error = record_load(directory, partition_fields, mask, &ret_partition->record);
    close(directory);
    if (error == 0 && (mask >> PARTITION_DEVICE & 1) != 0) {
        snprintf(path, sizeof path, "%.32s/name", ret_partition->record.value[PARTITION_DEVICE]);
        error = tree_read(tree->root, path, ret_partition->device_name,
                          sizeof ret_partition->device_name);
    }
    return error;
}

void partition_json(struct json *json, const char *key, const struct partition *partition)
{
    json_open(json, key, '{');
    json_text(json, "id", partition->id);
    json_text(json, "device_name", partition->device_name);
    record_json(json, partition_fields, &partition->record);
    json_close(json, '}');
}

void partition_print_json(const struct partition *partition)
{
    struct json json = {0};
    partition_json(&json, NULL, partition);
}

static void print_line(const char *label, const char *value)
{
    printf("  %s%s:%s %s\n", output_colour(DIM), label, output_colour(PLAIN), value);
}

/* Rounded up: 0 is nothing at all. */
static unsigned long long in_mb(const char *bytes)
{
    uint64_t all = number(bytes);
    return (unsigned long long)((all >> 20) + ((all & 0xfffff) != 0));
}

static bool ends_gently(const char (*value)[RECORD_TEXT])
{
    return strcmp(value[PARTITION_ON_EXPIRY], "term") == 0;
}

void partition_print(const struct partition *partition)
{
    const char(*value)[RECORD_TEXT] = partition->record.value;
    char text[RECORD_TEXT * 2], percent[RECORD_TEXT];
    printf("ID: %s%s%s\n", output_colour(BOLD), partition->id, output_colour(PLAIN));
    if (value[PARTITION_NAME][0] != '\0')
        print_line("Name", value[PARTITION_NAME]);
    snprintf(text, sizeof text, "%s (%s)", device_number(value[PARTITION_DEVICE]),
             partition->device_name);
    print_line("Device", text);
    percent_of(value[PARTITION_FRACTION], percent, sizeof percent);
    snprintf(text, sizeof text, "%s%% (%llu MB)", percent,
             (unsigned long long)(number(value[PARTITION_MEMORY]) >> 20));
    print_line("Memory", text);
    snprintf(text, sizeof text, "%llu MB (most: %llu MB)", in_mb(value[PARTITION_MEMORY_USED]),
             in_mb(value[PARTITION_MEMORY_PEAK]));
    print_line("Memory in use", text);
    print_line("State", value[PARTITION_STATE]);
    print_line("Created", value[PARTITION_CREATED]);
    print_line("Start", value[PARTITION_START]);
    print_line("End", value[PARTITION_EXPIRES]);
    snprintf(text, sizeof text, "%s seconds", value[PARTITION_DURATION]);
    print_line("Duration", text);
    snprintf(text, sizeof text, "%s seconds", value[PARTITION_REMAINING]);
    print_line("Time remaining", text);
    snprintf(text, sizeof text, "%s%s%s%s", value[PARTITION_ON_EXPIRY],
             ends_gently(value) ? ", kill after " : "",
             ends_gently(value) ? value[PARTITION_GRACE] : "",
             ends_gently(value) ? " seconds" : "");
    print_line("At the end", text);
    if (strcmp(value[PARTITION_WARN], "none") != 0)
        print_line("Warning", value[PARTITION_WARN]);
    snprintf(text, sizeof text, "%s (PID: %s)", value[PARTITION_USER],
             value[PARTITION_CREATOR_PID]);
    print_line("Owner", text);
}
