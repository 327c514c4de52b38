/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device as the tree shows it. It must not know who asks.
 */
#include "command.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct field device_fields[] = {
    [DEVICE_NAME] = {"name", "name", FIELD_TEXT, 0, "as its maker calls it"},
    [DEVICE_VENDOR] = {"vendor", "vendor", FIELD_TEXT, 0, "its maker"},
    [DEVICE_TYPE] = {"type", "type", FIELD_TEXT, 0, "GPU, ACCELERATOR or CPU"},
    [DEVICE_VERSION] = {"version", "version", FIELD_TEXT, 0, "version that its runtime tells"},
    [DEVICE_DRIVER] = {"driver", "driver", FIELD_TEXT, 0, "version of its driver"},
    [DEVICE_BACKEND] = {"backend", "backend", FIELD_TEXT, 0, "how chronosfs found it"},
    [DEVICE_UUID] = {"uuid", "uuid", FIELD_TEXT, 0, "its own name; empty if not known"},
    [DEVICE_PCI] = {"pci", "pci", FIELD_TEXT, 0, "its PCI address; empty if not known"},
    [DEVICE_MEMORY_TOTAL] = {"memory_total", "memory_total_bytes", FIELD_NUMBER, 0, "its memory"},
    [DEVICE_MEMORY_USED] = {"memory_used", "memory_used_bytes", FIELD_NUMBER, 0,
                            "given out to partitions"},
    [DEVICE_MEMORY_AVAILABLE] = {"memory_available", "memory_available_bytes", FIELD_NUMBER, 0,
                                 "not given out"},
    [DEVICE_AVAILABLE] = {"available", "available_percent", FIELD_NUMBER, 0,
                          "per cent that could be asked for now"},
    [DEVICE_SHARING] = {"sharing", "sharing", FIELD_TEXT, 0, "how partitions are kept apart"},
    {NULL, NULL, FIELD_TEXT, 0, NULL},
};

int device_load(const struct tree *tree, unsigned index, uint32_t mask, struct device *ret_device)
{
    char path[32];
    snprintf(path, sizeof path, "gpu%u", index);
    int directory = openat(tree->root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    ret_device->index = index;
    int error = record_load(directory, device_fields, mask, &ret_device->record);
    if (error == 0 && mask == DEVICE_ALL) {
        uint64_t *ids = NULL;
        size_t count = 0;
        error = tree_numbers(directory, ".", "p", &ids, &count);
        free(ids);
        ret_device->partitions = count;
    }
    close(directory);
    return error;
}

static int load_all(const struct tree *tree, const uint64_t *indices, size_t count, uint32_t mask,
                    struct device *devices)
{
    for (size_t i = 0; i < count; i++) {
        int error = device_load(tree, (unsigned)indices[i], mask, &devices[i]);
        if (error != 0)
            return tree_failed(tree, "A device could not be read", error);
    }
    return 0;
}

int device_list(const struct tree *tree, const char *text, uint32_t mask,
                struct device **ret_devices, size_t *ret_count)
{
    unsigned index;
    uint64_t *indices = NULL;
    size_t count = 1;
    if (text != NULL) {
        struct device *device = calloc(1, sizeof *device);
        int error = device == NULL               ? -ENOMEM
                    : device_parse(text, &index) ? device_load(tree, index, mask, device)
                                                 : -ENOENT;
        if (error == 0) {
            *ret_devices = device;
            *ret_count = 1;
            return 0;
        }
        free(device);
        return is_gone(error) ? no_device(text)
                              : tree_failed(tree, "The device could not be read", error);
    }
    int error = tree_numbers(tree->root, ".", "gpu", &indices, &count);
    if (error != 0)
        return tree_failed(tree, "The devices could not be listed", error);
    struct device *devices = calloc(count + 1, sizeof *devices);
    int result = devices == NULL ? tree_failed(tree, "The devices could not be listed", -ENOMEM)
                                 : load_all(tree, indices, count, mask, devices);
    free(indices);
    if (result != 0) {
        free(devices);
        return result;
    }
    *ret_devices = devices;
    *ret_count = count;
    return 0;
}
