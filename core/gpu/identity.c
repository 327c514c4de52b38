/* SPDX-License-Identifier: Apache-2.0 */
/* Match devices by uuid and PCI address; see identity.h. */
#include "identity.h"

#include "gpu.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool gpu_is_part(const char *uuid)
{
    return !strncasecmp(uuid, "MIG-", 4);
}

bool gpu_is_own(const char *uuid)
{
    return gpu_is_part(uuid) || !strncasecmp(uuid, "GPU-", 4);
}

static const char *without_prefix(const char *uuid)
{
    return gpu_is_own(uuid) ? uuid + 4 : uuid;
}

bool gpu_same_uuid(const char *a, const char *b)
{
    size_t digits = 0;
    a = without_prefix(a);
    b = without_prefix(b);
    for (;; a++, b++, digits++) {
        a += strspn(a, "-");
        b += strspn(b, "-");
        if (*a == '\0' || *b == '\0')
            return *a == *b && digits > 0;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
    }
}

bool gpu_read_pci(const char *text, unsigned ret_parts[4])
{
    unsigned parts[4];
    int used = 0;
    if (sscanf(text, "%8x:%2x:%2x.%1x%n", &parts[0], &parts[1], &parts[2], &parts[3], &used) != 4 ||
        text[used] != '\0')
        return false;
    memcpy(ret_parts, parts, sizeof(parts));
    return true;
}

bool gpu_same_pci(const char *a, const char *b)
{
    unsigned left[4], right[4];
    return gpu_read_pci(a, left) && gpu_read_pci(b, right) && !memcmp(left, right, sizeof(left));
}

void gpu_write_pci(const char *text, char ret_pci[32])
{
    unsigned parts[4];
    ret_pci[0] = '\0';
    if (gpu_read_pci(text, parts))
        snprintf(ret_pci, 32, "%04x:%02x:%02x.%x", parts[0], parts[1], parts[2], parts[3]);
}

int gpu_match(const struct gpu_setup *setup, const char *uuid, const char *pci)
{
    for (uint32_t i = 0; i < setup->device_count; i++)
        if (gpu_same_uuid(setup->device[i].uuid, uuid))
            return (int)i;
    int found = -1;
    for (uint32_t i = 0; i < setup->device_count; i++) {
        if (!gpu_same_pci(setup->device[i].pci, pci))
            continue;
        if (found >= 0)
            return -1; /* usage of the card is not usage of one of its parts */
        found = (int)i;
    }
    return found;
}

int gpu_find_key(const struct gpu_device *devices, uint32_t count, const char *key)
{
    char pci[32] = "";
    const char *uuid = !strncmp(key, "uuid:", 5) ? key + 5 : "";
    int found = -1;

    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(devices[i].key, key))
            return (int)i;
    if (!strncmp(key, "pci:", 4))
        gpu_write_pci(key + 4, pci);
    for (uint32_t i = 0; i < count; i++) {
        if (!gpu_same_uuid(devices[i].uuid, uuid) && (!pci[0] || strcmp(devices[i].pci, pci) != 0))
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

bool gpu_is_cuda(const struct gpu_device *device)
{
    return !strncasecmp(device->vendor, "NVIDIA", 6) && gpu_is_own(device->uuid);
}
