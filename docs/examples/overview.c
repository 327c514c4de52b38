/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Print the devices and who has how much of them.
 *
 *     cc $(pkg-config --cflags chronos) overview.c $(pkg-config --libs chronos) -o overview
 */
#include <chronos.h>

#include <stdio.h>
#include <stdlib.h>

static const double GIB = 1 << 30;

static int print_devices(ChronosPartitionerHandle tree)
{
    ChronosDeviceStats devices[64];
    size_t count = 64;
    int r = chronos_get_device_stats(tree, devices, &count);
    for (size_t i = 0; !r && i < count && i < 64; i++)
        printf("gpu%d %s: %.1f of %.1f GiB free, partitions: %d\n", devices[i].device_index,
               devices[i].name, (double)devices[i].memory_available_bytes / GIB,
               (double)devices[i].memory_total_bytes / GIB, devices[i].partitions);
    return r;
}

static int print_partitions(ChronosPartitionerHandle tree)
{
    size_t count = 0;
    int r = chronos_list_partitions(tree, NULL, &count);
    if (r < 0)
        return r;
    const size_t room = count;
    ChronosPartitionInfo *all = (ChronosPartitionInfo *)calloc(room + 1, sizeof(*all));
    if (!all)
        return -1;
    r = chronos_list_partitions(tree, all, &count);
    for (size_t i = 0; !r && i < count && i < room; i++)
        printf("%s of %s: %.0f%% of gpu%d, %.1f GiB in use, %d seconds left%s\n",
               all[i].partition_id, all[i].username, all[i].memory_fraction * 100,
               all[i].device_index, (double)all[i].memory_used_bytes / GIB,
               all[i].time_remaining_seconds, all[i].expiring ? " (warned)" : "");
    free(all);
    return r;
}

int main(void)
{
    ChronosPartitionerHandle tree = chronos_partitioner_create();
    if (!tree || print_devices(tree) < 0 || print_partitions(tree) < 0) {
        fprintf(stderr, "%s\n", chronos_get_last_error());
        return EXIT_FAILURE;
    }
    chronos_partitioner_destroy(tree);
    return EXIT_SUCCESS;
}
