/* SPDX-License-Identifier: Apache-2.0 */
/* Put a sample in order, and find partitions in it. Pure. */
#include "watchdog_internal.h"

#include <stdlib.h>

int watchdog_compare_processes(const void *a, const void *b)
{
    const struct watchdog_process *left = a, *right = b;
    int r = COMPARE(left->pid, right->pid);
    return r ? r : COMPARE(left->start, right->start);
}

static int compare_partitions(const void *a, const void *b)
{
    const struct watchdog_partition *left = a, *right = b;
    int r = COMPARE(left->id, right->id);
    return r ? r : COMPARE(left->device, right->device);
}

static int compare_ids(const void *a, const void *b)
{
    const struct watchdog_partition *left = a, *right = b;
    return COMPARE(left->id, right->id);
}

void watchdog_sort(struct watchdog_sample *sample)
{
    size_t kept = 0;
    if (sample->process_count)
        qsort(sample->processes, sample->process_count, sizeof(*sample->processes),
              watchdog_compare_processes);
    if (sample->partition_count)
        qsort(sample->partitions, sample->partition_count, sizeof(*sample->partitions),
              compare_partitions);
    for (size_t i = 0; i < sample->partition_count; i++) {
        struct watchdog_partition *partition = &sample->partitions[i];
        if (kept && compare_partitions(&sample->partitions[kept - 1], partition) == 0)
            continue;
        partition->used_bytes = partition->own_bytes = 0;
        partition->largest = NULL;
        sample->partitions[kept++] = *partition;
    }
    sample->partition_count = kept;
}

struct watchdog_partition *watchdog_find_partition(const struct watchdog_sample *sample,
                                                   uint64_t id, uint32_t device)
{
    const struct watchdog_partition key = {.id = id, .device = device};
    if (!id || !sample->partition_count)
        return NULL;
    struct watchdog_partition *there =
        bsearch(&key, sample->partitions, sample->partition_count, sizeof(key), compare_partitions);
    if (there)
        return there;
    there = bsearch(&key, sample->partitions, sample->partition_count, sizeof(key), compare_ids);
    return there && there->ending ? there : NULL;
}
