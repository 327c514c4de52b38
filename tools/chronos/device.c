/* SPDX-License-Identifier: Apache-2.0 */
/* Read the devices that an argument names; see device.h. */
#include "device.h"

#include "failure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int list_one(const struct chronos_mount *mount, const char *text, uint32_t mask,
                    struct chronos_device **ret_devices)
{
    unsigned index;
    if (!chronos_parse_device(text, &index))
        return -ENOENT;
    struct chronos_device *device = calloc(1, sizeof(*device));
    int r = device ? chronos_device_load(mount, index, mask, device) : -ENOMEM;
    if (r < 0) {
        free(device);
        return r;
    }
    *ret_devices = device;
    return 0;
}

/* Move the devices that can be read to the front, and report the others. */
static int leave_out(struct chronos_device *devices, size_t *count)
{
    struct failure_skipped skipped = {.more = 0};
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "gpu%u", devices[i].index);
        if (!devices[i].failure)
            devices[kept++] = devices[i];
        else if (!chronos_is_gone(devices[i].failure))
            failure_skip(&skipped, name, devices[i].failure);
    }
    *count = kept;
    return failure_report_skipped(&skipped);
}

int device_list(const struct chronos_mount *mount, const char *text, uint32_t mask,
                struct chronos_device **ret_devices, size_t *ret_count, int *ret_code)
{
    size_t count = 1;
    int r = text ? list_one(mount, text, mask, ret_devices)
                 : chronos_device_load_all(mount, mask, ret_devices, &count);
    if (r < 0 && text && chronos_is_gone(r))
        return failure_no_device(mount, text);
    if (r < 0)
        return failure_report(
            mount, text ? "The device could not be read" : "The devices could not be read", r);
    *ret_code = leave_out(*ret_devices, &count);
    *ret_count = count;
    return 0;
}

const char *device_number(const char *device)
{
    return strncmp(device, "gpu", 3) == 0 && !strchr(device, ',') ? device + 3 : device;
}

bool device_is_among(const char *device, const char *devices)
{
    size_t length = strlen(device);
    while (length > 0 && *devices != '\0') {
        size_t word = strcspn(devices, ",");
        if (word == length && memcmp(devices, device, length) == 0)
            return true;
        devices += word + (devices[word] == ',');
    }
    return length == 0;
}
