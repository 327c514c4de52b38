/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of chronos.h that show partitions and devices as structures. */
#include "partitioner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN                                                                                      \
    (1u << CHRONOS_PARTITION_USER | 1u << CHRONOS_PARTITION_NAME |                                 \
     1u << CHRONOS_PARTITION_CREATOR_PID | 1u << CHRONOS_PARTITION_DEVICE |                        \
     1u << CHRONOS_PARTITION_FRACTION | 1u << CHRONOS_PARTITION_MEMORY |                           \
     1u << CHRONOS_PARTITION_MEMORY_USED | 1u << CHRONOS_PARTITION_MEMORY_PEAK |                   \
     1u << CHRONOS_PARTITION_DURATION | 1u << CHRONOS_PARTITION_REMAINING |                        \
     1u << CHRONOS_PARTITION_STATE)

/* Return the number that `text` says, with a decimal point in every locale. */
static double decimal(const char *text)
{
    double number = 0, scale = 1;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (*text - '0');
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            number = number * 10 + (*text - '0');
            scale *= 10;
        }
    }
    return number / scale;
}

static int to_int(const char *text)
{
    uint64_t number = chronos_number(text);
    return number > INT_MAX ? INT_MAX : (int)number;
}

static void copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
}

static void fill_partition(const struct chronos_partition *from, ChronosPartitionInfo *to)
{
    const char(*value)[CHRONOS_VALUE_MAX] = from->record.value;
    unsigned device;
    memset(to, 0, sizeof(*to));
    copy(to->partition_id, sizeof(to->partition_id), from->id);
    to->device_index =
        chronos_parse_device(value[CHRONOS_PARTITION_DEVICE], &device) ? (int)device : -1;
    to->memory_fraction = decimal(value[CHRONOS_PARTITION_FRACTION]);
    to->duration_seconds = to_int(value[CHRONOS_PARTITION_DURATION]);
    to->time_remaining_seconds = to_int(value[CHRONOS_PARTITION_REMAINING]);
    copy(to->username, sizeof(to->username), value[CHRONOS_PARTITION_USER]);
    to->process_id = to_int(value[CHRONOS_PARTITION_CREATOR_PID]);
    to->pending = strcmp(value[CHRONOS_PARTITION_STATE], "pending") == 0;
    to->active = !to->pending && strcmp(value[CHRONOS_PARTITION_STATE], "suspended") != 0;
    to->expiring = strcmp(value[CHRONOS_PARTITION_STATE], "expiring") == 0;
    copy(to->name, sizeof(to->name), value[CHRONOS_PARTITION_NAME]);
    to->memory_bytes = chronos_number(value[CHRONOS_PARTITION_MEMORY]);
    to->memory_used_bytes = chronos_number(value[CHRONOS_PARTITION_MEMORY_USED]);
    to->memory_peak_bytes = chronos_number(value[CHRONOS_PARTITION_MEMORY_PEAK]);
}

/* Read one; a negative errno without a sentence. */
static int load(struct chronos_partitioner *self, const char *id, ChronosPartitionInfo *ret_info)
{
    struct chronos_partition partition;
    bool tried = false;
    int r;
    do {
        memset(&partition, 0, sizeof(partition));
        r = chronos_partition_load(&self->mount, id, SHOWN, &partition);
    } while (partitioner_again(self, r, &tried));
    if (!r)
        fill_partition(&partition, ret_info);
    return r;
}

int chronos_get_partition(ChronosPartitionerHandle handle, const char *partition_id,
                          ChronosPartitionInfo *ret_partition)
{
    int r = partitioner_check(handle, partition_id);
    if (r)
        return r;
    r = load(handle, partition_id, ret_partition);
    return r ? partitioner_report(handle, partition_id, "The partition could not be read", r) : 0;
}

int chronos_list_partitions(ChronosPartitionerHandle handle, ChronosPartitionInfo *partitions,
                            size_t *count)
{
    static const char what[] = "The partitions could not be listed";
    uint64_t *ids = NULL;
    size_t found = 0, shown = 0;
    bool tried = false;
    int r = partitioner_check(handle, NULL);
    if (r)
        return r;
    do {
        r = chronos_list(handle->mount.root, "partitions", "p", &ids, &found);
    } while (partitioner_again(handle, r, &tried));
    if (r)
        return partitioner_report(handle, NULL, what, r);
    for (size_t i = 0; i < found; i++) {
        char id[CHRONOS_ID_MAX];
        if (!partitions || shown == *count) {
            shown += found - i;
            break;
        }
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        r = load(handle, id, &partitions[shown]);
        if (!r)
            shown++;
        else if (!chronos_is_gone(r) && r != -EACCES && r != -EXDEV && r != -EAGAIN)
            break;
        r = 0;
    }
    free(ids);
    if (r)
        return partitioner_report(handle, NULL, what, r);
    *count = shown;
    return 0;
}

/* -- devices ------------------------------------------------------------------------------- */

static void fill_device(const struct chronos_device *from, ChronosDeviceStats *to)
{
    const char(*value)[CHRONOS_VALUE_MAX] = from->record.value;
    memset(to, 0, sizeof(*to));
    to->device_index = (int)from->index;
    copy(to->name, sizeof(to->name), value[CHRONOS_DEVICE_NAME]);
    copy(to->vendor, sizeof(to->vendor), value[CHRONOS_DEVICE_VENDOR]);
    copy(to->type, sizeof(to->type), value[CHRONOS_DEVICE_TYPE]);
    copy(to->backend, sizeof(to->backend), value[CHRONOS_DEVICE_BACKEND]);
    copy(to->uuid, sizeof(to->uuid), value[CHRONOS_DEVICE_UUID]);
    copy(to->pci, sizeof(to->pci), value[CHRONOS_DEVICE_PCI]);
    to->memory_total_bytes = chronos_number(value[CHRONOS_DEVICE_MEMORY_TOTAL]);
    to->memory_used_bytes = chronos_number(value[CHRONOS_DEVICE_MEMORY_USED]);
    to->memory_available_bytes = chronos_number(value[CHRONOS_DEVICE_MEMORY_AVAILABLE]);
    to->available_percent = decimal(value[CHRONOS_DEVICE_AVAILABLE]);
    to->partitions = from->partitions > INT_MAX ? INT_MAX : (int)from->partitions;
}

int chronos_get_device_stats(ChronosPartitionerHandle handle, ChronosDeviceStats *devices,
                             size_t *count)
{
    struct chronos_device *found = NULL;
    size_t total = 0, shown = 0;
    bool tried = false;
    int r = partitioner_check(handle, NULL);
    if (r)
        return r;
    do {
        r = chronos_device_load_all(&handle->mount, CHRONOS_ALL, &found, &total);
    } while (partitioner_again(handle, r, &tried));
    if (r)
        return partitioner_report(handle, NULL, "The devices could not be read", r);
    for (size_t i = 0; i < total; i++) {
        if (found[i].failure)
            continue;
        if (devices && shown < *count)
            fill_device(&found[i], &devices[shown]);
        shown++;
    }
    free(found);
    *count = shown;
    return 0;
}

/* Read one field of a device. */
static int read_device(struct chronos_partitioner *self, unsigned index,
                       enum chronos_device_field field, char value[static CHRONOS_VALUE_MAX])
{
    char path[64];
    bool tried = false;
    int r;
    snprintf(path, sizeof(path), "gpu%u/%s", index, chronos_device_fields[field].file);
    do {
        r = chronos_read(self->mount.root, path, value, CHRONOS_VALUE_MAX);
    } while (partitioner_again(self, r, &tried));
    return r;
}

double chronos_get_available_percentage(ChronosPartitionerHandle handle, int device_index)
{
    char value[CHRONOS_VALUE_MAX];
    int r = partitioner_check(handle, NULL);
    if (r)
        return r;
    r = device_index < 0
            ? -ENOENT
            : read_device(handle, (unsigned)device_index, CHRONOS_DEVICE_AVAILABLE, value);
    if (chronos_is_gone(r)) {
        snprintf(value, sizeof(value), "%d", device_index);
        return partitioner_fail_no_device(handle, value);
    }
    return r ? partitioner_report(handle, NULL, "The device could not be read", r) : decimal(value);
}

ChronosExecutionMode chronos_get_execution_mode(ChronosPartitionerHandle handle)
{
    char sharing[CHRONOS_VALUE_MAX];
    if (partitioner_check(handle, NULL) ||
        read_device(handle, 0, CHRONOS_DEVICE_SHARING, sharing) < 0)
        return CHRONOS_MODE_STUB;
    if (strncmp(sharing, "mps", 3) == 0 || strncmp(sharing, "mig", 3) == 0)
        return CHRONOS_MODE_CONCURRENT;
    return CHRONOS_MODE_TIME_SLICED;
}

int chronos_check_concurrent_support(void)
{
    ChronosPartitionerHandle handle = chronos_partitioner_create();
    int concurrent = handle && chronos_get_execution_mode(handle) == CHRONOS_MODE_CONCURRENT;
    chronos_partitioner_destroy(handle);
    return concurrent;
}
