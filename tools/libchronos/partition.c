/* SPDX-License-Identifier: Apache-2.0 */
/* Read a partition as the tree shows it. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUMMARY_MAX 8192
#define USE         (1u << CHRONOS_PARTITION_MEMORY_USED | 1u << CHRONOS_PARTITION_MEMORY_PEAK)

const struct chronos_field chronos_partition_fields[] = {
#define ATTRIBUTE(ID, name, key, json, doc, ...) {#name, key, CHRONOS_##json, 0, doc},
#define SHOWN(ID, name, key, json, doc, ...)     {#name, key, CHRONOS_##json, 0, doc},
#define WORD(ID, name, key, json, doc, number)   {#name, key, CHRONOS_##json, number, doc},
#include "core/engine/partition.def"
    {NULL, NULL, CHRONOS_TEXT, 0, NULL},
};
_Static_assert(sizeof(chronos_partition_fields) / sizeof(chronos_partition_fields[0]) <=
                   CHRONOS_FIELDS_MAX + 1,
               "a record has room for every field");

/* Copy a value of the file `summary`, NAME=VALUE, one per line; "" if it is not there. */
static void take_value(const char *summary, const char *name, char *ret_value, size_t size)
{
    const size_t length = strlen(name);
    while (*summary && (strncmp(summary, name, length) != 0 || summary[length] != '=')) {
        summary += strcspn(summary, "\n");
        summary += *summary == '\n';
    }
    summary += *summary ? length + 1 : 0;
    snprintf(ret_value, size, "%.*s", (int)strcspn(summary, "\n"), summary);
}

/* Read all fields from one file: a file each would be four requests for each. -ENOENT: the version
 * that serves the tree does not have it, or the partition has ended. */
static int load_summary(const struct chronos_mount *mount, const char *id, uint32_t mask,
                        struct chronos_partition *partition)
{
    char text[SUMMARY_MAX], path[64], value[CHRONOS_VALUE_MAX];
    if (mask & USE) { /* `summary` does not ask the drivers */
        snprintf(path, sizeof(path), "partitions/%s/memory_used", id);
        chronos_read(mount->root, path, value, sizeof(value));
    }
    snprintf(path, sizeof(path), "partitions/%s/summary", id);
    int r = chronos_read(mount->root, path, text, sizeof(text));
    if (r < 0)
        return r;
    snprintf(partition->id, sizeof(partition->id), "%s", id);
    for (size_t i = 0; chronos_partition_fields[i].file; i++) {
        const struct chronos_field *field = &chronos_partition_fields[i];
        if ((mask >> i & 1) == 0)
            continue;
        take_value(text, field->file, value, sizeof(value));
        chronos_take_word(value, field->word, partition->record.value[i], CHRONOS_VALUE_MAX);
    }
    take_value(text, "device_name", value, sizeof(value));
    chronos_take_word(value, 0, partition->device_name, sizeof(partition->device_name));
    return 0;
}

int chronos_partition_load(const struct chronos_mount *mount, const char *id, uint32_t mask,
                           struct chronos_partition *partition)
{
    char path[64];
    int r = load_summary(mount, id, mask, partition);
    if (r != -ENOENT)
        return r;
    snprintf(path, sizeof(path), "partitions/%s", id);
    int directory = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    if (directory < 0)
        return directory;
    snprintf(partition->id, sizeof(partition->id), "%s", id);
    r = chronos_record_load(directory, chronos_partition_fields, mask, &partition->record);
    close(directory);
    if (!r && (mask >> CHRONOS_PARTITION_DEVICE & 1) != 0) {
        snprintf(path, sizeof(path), "%.32s/name",
                 partition->record.value[CHRONOS_PARTITION_DEVICE]);
        r = chronos_read(mount->root, path, partition->device_name, sizeof(partition->device_name));
        if (!r)
            chronos_clean(partition->device_name);
    }
    return r;
}
