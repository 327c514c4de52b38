/* SPDX-License-Identifier: Apache-2.0 */
/* Read a partition as the tree shows it. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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

int chronos_partition_load(const struct chronos_mount *mount, const char *id, uint32_t mask,
                           struct chronos_partition *partition)
{
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s", id);
    int directory = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    if (directory < 0)
        return directory;
    snprintf(partition->id, sizeof(partition->id), "%s", id);
    int r = chronos_record_load(directory, chronos_partition_fields, mask, &partition->record);
    close(directory);
    if (!r && (mask >> CHRONOS_PARTITION_DEVICE & 1) != 0) {
        snprintf(path, sizeof(path), "%.32s/name",
                 partition->record.value[CHRONOS_PARTITION_DEVICE]);
        r = chronos_read(mount->root, path, partition->device_name, sizeof(partition->device_name));
    }
    return r;
}
