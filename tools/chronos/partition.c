/* SPDX-License-Identifier: Apache-2.0 */
/* Print a partition, for people and as JSON. */
#include "partition.h"

#include "device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARES_MAX 8

static void json_lines(struct json *json, const char *key, const char *lines)
{
    char line[CHRONOS_VALUE_MAX];
    json_open(json, key, '[');
    for (size_t length; (length = strcspn(lines, "\n")) > 0;
         lines += length + (lines[length] > 0)) {
        snprintf(line, sizeof(line), "%.*s", (int)length, lines);
        json_text(json, NULL, line);
    }
    json_close(json, ']');
}

void partition_json(struct json *json, const struct chronos_partition *partition,
                    const char *members)
{
    json_open(json, NULL, '{');
    json_text(json, "id", partition->id);
    json_text(json, "device_name", partition->device_name);
    json_record(json, chronos_partition_fields, &partition->record);
    if (members)
        json_lines(json, "members", members);
    json_close(json, '}');
}

void partition_print_json(const struct chronos_partition *partition, const char *members)
{
    struct json json = {0};
    partition_json(&json, partition, members);
}

static void print_line(const char *label, const char *value)
{
    printf("  %s%s:%s %s\n", output_colour(DIM), label, output_colour(PLAIN), value);
}

static bool ends_gently(const char (*value)[CHRONOS_VALUE_MAX])
{
    return strcmp(value[CHRONOS_PARTITION_ON_EXPIRY], "term") == 0;
}

static void print_time(const char *label, const char *iso)
{
    char text[CHRONOS_VALUE_MAX];
    output_time(iso, text, sizeof(text));
    print_line(label, text);
}

static void print_seconds(const char *label, const char *seconds)
{
    char text[CHRONOS_VALUE_MAX + 16];
    output_seconds(seconds, text, sizeof(text));
    print_line(label, text);
}

/* The process that asked for the partition: another user's if an administrator did. */
static void print_people(const char (*value)[CHRONOS_VALUE_MAX])
{
    char text[CHRONOS_VALUE_MAX * 2 + 32];
    if (output_terminal()) {
        print_line("Owner", value[CHRONOS_PARTITION_USER]);
        snprintf(text, sizeof(text), "uid %s, process %s", value[CHRONOS_PARTITION_CREATOR_UID],
                 value[CHRONOS_PARTITION_CREATOR_PID]);
        print_line("Created by", text);
        return;
    }
    snprintf(text, sizeof(text), "%s (PID: %s)", value[CHRONOS_PARTITION_USER],
             value[CHRONOS_PARTITION_CREATOR_PID]);
    print_line("Owner", text);
}

void partition_print_waiting(const struct chronos_mount *mount,
                             const struct chronos_partition *partition)
{
    char path[64], text[512], when[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/reason", partition->id);
    if (chronos_read(mount->root, path, text, sizeof(text)) == 0 && text[0] != '\0') {
        chronos_clean(text);
        puts(text);
        return;
    }
    output_time(partition->record.value[CHRONOS_PARTITION_START], when, sizeof(when));
    printf("It starts at %s.\n", when);
}

/* -- several devices ---------------------------------------------------------------- */

/* A line of the file `devices`. */
struct share {
    char device[16];
    uint64_t limit_bytes, used_bytes, peak_bytes;
};

static bool has_several(const struct chronos_partition *partition)
{
    return strchr(partition->record.value[CHRONOS_PARTITION_DEVICE], ',');
}

/* Read what it has of each device. Return the number; 0 if that cannot be read. */
static size_t read_shares(const struct chronos_mount *mount, const char *id,
                          struct share shares[static SHARES_MAX])
{
    char path[64], *text = NULL, *rest, *line;
    size_t count = 0;
    snprintf(path, sizeof(path), "partitions/%s/devices", id);
    if (chronos_read_all(mount->root, path, &text) < 0)
        return 0;
    for (rest = text; count < SHARES_MAX && (line = strsep(&rest, "\n"));) {
        struct share *share = &shares[count];
        if (sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64, share->device,
                   &share->limit_bytes, &share->used_bytes, &share->peak_bytes) == 4)
            count++;
    }
    free(text);
    return count;
}

/* Return whether it has as much of each. */
static bool are_equal(const struct share *shares, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (shares[i].limit_bytes != shares[0].limit_bytes)
            return false;
    }
    return count > 0;
}

void partition_place_text(const struct chronos_partition *partition,
                          char text[static PARTITION_PLACE_MAX])
{
    const char *device = partition->record.value[CHRONOS_PARTITION_DEVICE];
    if (has_several(partition))
        snprintf(text, PARTITION_PLACE_MAX, "devices %s", device);
    else
        snprintf(text, PARTITION_PLACE_MAX, "device %s (%s)", device_number(device),
                 partition->device_name);
}

void partition_amount_text(const struct chronos_mount *mount,
                           const struct chronos_partition *partition,
                           char text[static PARTITION_AMOUNT_MAX])
{
    uint64_t bytes = chronos_number(partition->record.value[CHRONOS_PARTITION_MEMORY]);
    struct share shares[SHARES_MAX];
    const char *where = "";
    if (has_several(partition)) {
        size_t count = read_shares(mount, partition->id, shares);
        bool equal = are_equal(shares, count);
        bytes = equal ? shares[0].limit_bytes : bytes;
        where = equal ? " on each" : " in all";
    }
    snprintf(text, PARTITION_AMOUNT_MAX, "%llu MB%s", (unsigned long long)(bytes >> 20), where);
}

static void print_one_device(const char (*value)[CHRONOS_VALUE_MAX], const char *name)
{
    char text[CHRONOS_VALUE_MAX * 2], percent[CHRONOS_VALUE_MAX];
    snprintf(text, sizeof(text), "%s (%s)", device_number(value[CHRONOS_PARTITION_DEVICE]), name);
    print_line("Device", text);
    output_percent_text(value[CHRONOS_PARTITION_FRACTION], percent, sizeof(percent));
    snprintf(text, sizeof(text), "%s%% (%llu MB)", percent,
             (unsigned long long)(chronos_number(value[CHRONOS_PARTITION_MEMORY]) >> 20));
    print_line("Memory", text);
}

static void print_devices(const char (*value)[CHRONOS_VALUE_MAX], const struct share *shares,
                          size_t count)
{
    char text[CHRONOS_VALUE_MAX], label[sizeof(shares->device) + 16];
    print_line("Devices", value[CHRONOS_PARTITION_DEVICE]);
    snprintf(text, sizeof(text), "%llu MB in all",
             (unsigned long long)(chronos_number(value[CHRONOS_PARTITION_MEMORY]) >> 20));
    print_line("Memory", text);
    for (size_t i = 0; i < count; i++) {
        snprintf(label, sizeof(label), "Memory of %.15s", shares[i].device);
        snprintf(text, sizeof(text), "%llu MB, in use %llu MB (most: %llu MB)",
                 (unsigned long long)(shares[i].limit_bytes >> 20), output_mb(shares[i].used_bytes),
                 output_mb(shares[i].peak_bytes));
        print_line(label, text);
    }
}

void partition_print(const struct chronos_mount *mount, const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    struct share shares[SHARES_MAX];
    char text[CHRONOS_VALUE_MAX * 2];
    printf("ID: %s%s%s\n", output_colour(BOLD), partition->id, output_colour(PLAIN));
    if (value[CHRONOS_PARTITION_NAME][0] != '\0')
        print_line("Name", value[CHRONOS_PARTITION_NAME]);
    if (has_several(partition))
        print_devices(value, shares, read_shares(mount, partition->id, shares));
    else
        print_one_device(value, partition->device_name);
    snprintf(text, sizeof(text), "%llu MB (most: %llu MB)",
             output_mb(chronos_number(value[CHRONOS_PARTITION_MEMORY_USED])),
             output_mb(chronos_number(value[CHRONOS_PARTITION_MEMORY_PEAK])));
    print_line("Memory in use", text);
    print_line("State", value[CHRONOS_PARTITION_STATE]);
    print_time("Created", value[CHRONOS_PARTITION_CREATED]);
    print_time("Start", value[CHRONOS_PARTITION_START]);
    print_time("End", value[CHRONOS_PARTITION_EXPIRES]);
    print_seconds("Duration", value[CHRONOS_PARTITION_DURATION]);
    print_seconds("Time remaining", value[CHRONOS_PARTITION_REMAINING]);
    snprintf(text, sizeof(text), "%s%s%s%s", value[CHRONOS_PARTITION_ON_EXPIRY],
             ends_gently(value) ? ", kill after " : "",
             ends_gently(value) ? value[CHRONOS_PARTITION_GRACE] : "",
             ends_gently(value) ? " seconds" : "");
    print_line("At the end", text);
    if (strcmp(value[CHRONOS_PARTITION_WARN], "none") != 0)
        print_line("Warning", value[CHRONOS_PARTITION_WARN]);
    print_people(value);
}
