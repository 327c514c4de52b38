/* SPDX-License-Identifier: Apache-2.0 */
/* Read a device as the tree shows it. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct chronos_field chronos_device_fields[] = {
    [CHRONOS_DEVICE_NAME] = {"name", "name", CHRONOS_TEXT, 0, "its name"},
    [CHRONOS_DEVICE_VENDOR] = {"vendor", "vendor", CHRONOS_TEXT, 0, "its vendor"},
    [CHRONOS_DEVICE_TYPE] = {"type", "type", CHRONOS_TEXT, 0, "GPU, ACCELERATOR or CPU"},
    [CHRONOS_DEVICE_VERSION] = {"version", "version", CHRONOS_TEXT, 0,
                                "version that its runtime reports"},
    [CHRONOS_DEVICE_DRIVER] = {"driver", "driver", CHRONOS_TEXT, 0, "version of its driver"},
    [CHRONOS_DEVICE_BACKEND] = {"backend", "backend", CHRONOS_TEXT, 0, "how chronosfs found it"},
    [CHRONOS_DEVICE_UUID] = {"uuid", "uuid", CHRONOS_TEXT, 0, "its UUID; empty if not known"},
    [CHRONOS_DEVICE_PCI] = {"pci", "pci", CHRONOS_TEXT, 0, "its PCI address; empty if not known"},
    [CHRONOS_DEVICE_MEMORY_TOTAL] = {"memory_total", "memory_total_bytes", CHRONOS_NUMBER, 0,
                                     "its memory, in bytes"},
    [CHRONOS_DEVICE_MEMORY_USED] = {"memory_used", "memory_used_bytes", CHRONOS_NUMBER, 0,
                                    "bytes that partitions have"},
    [CHRONOS_DEVICE_MEMORY_AVAILABLE] = {"memory_available", "memory_available_bytes",
                                         CHRONOS_NUMBER, 0, "bytes that no partition has"},
    [CHRONOS_DEVICE_AVAILABLE] = {"available", "available_percent", CHRONOS_NUMBER, 0,
                                  "per cent that a request could get now"},
    [CHRONOS_DEVICE_SHARING] = {"sharing", "sharing", CHRONOS_TEXT, 0,
                                "how partitions are kept apart"},
    {NULL, NULL, CHRONOS_TEXT, 0, NULL},
};

int chronos_device_load(const struct chronos_mount *mount, unsigned index, uint32_t mask,
                        struct chronos_device *device)
{
    char path[32];
    snprintf(path, sizeof(path), "gpu%u", index);
    int directory = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    if (directory < 0)
        return directory;
    device->index = index;
    int r = chronos_record_load(directory, chronos_device_fields, mask, &device->record);
    if (!r && mask == CHRONOS_ALL) {
        uint64_t *ids = NULL;
        size_t count = 0;
        r = chronos_list(directory, ".", "p", &ids, &count);
        free(ids);
        device->partitions = count;
    }
    close(directory);
    return r;
}

int chronos_device_load_all(const struct chronos_mount *mount, uint32_t mask,
                            struct chronos_device **ret_devices, size_t *ret_count)
{
    uint64_t *indices = NULL;
    size_t count = 0;
    int r = chronos_list(mount->root, ".", "gpu", &indices, &count);
    struct chronos_device *devices = r < 0 ? NULL : calloc(count + 1, sizeof(*devices));
    if (!r && !devices)
        r = -ENOMEM;
    for (size_t i = 0; !r && i < count; i++) {
        devices[i].index = (unsigned)indices[i];
        devices[i].failure = chronos_device_load(mount, devices[i].index, mask, &devices[i]);
        r = devices[i].failure == -ENOTCONN ? -ENOTCONN : 0; /* the daemon has died */
    }
    free(indices);
    if (r < 0) {
        free(devices);
        return r;
    }
    *ret_devices = devices;
    *ret_count = count;
    return 0;
}
