/* SPDX-License-Identifier: Apache-2.0 */
/* Choose devices by name; see gpu_select in gpu.h. Pure. */
#include "identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS "+,"

/* Return whether `name` is "N" or "gpuN" with N = `number`. */
static bool is_number(const char *name, uint32_t number)
{
    const char *digits = !strncmp(name, "gpu", 3) ? name + 3 : name;
    size_t length = strlen(digits);
    return length > 0 && length <= 4 && strspn(digits, "0123456789") == length &&
           strtoul(digits, NULL, 10) == number;
}

static bool is_named(const struct gpu_device *device, uint32_t number, const char *name)
{
    char with_domain[80];
    snprintf(with_domain, sizeof(with_domain), "0000:%s", name); /* as lspci writes it */
    return is_number(name, number) || gpu_same_uuid(device->uuid, name) ||
           gpu_same_pci(device->pci, name) || gpu_same_pci(device->pci, with_domain);
}

static int refuse(const struct gpu_list *list, const char *name, struct message *message)
{
    char there[MESSAGE_MAX - 128] = "", one[256], quoted[MESSAGE_QUOTED_MAX];
    size_t length = 0;
    uint32_t i = 0;
    for (; i < list->count; i++) {
        const struct gpu_device *device = &list->device[i];
        bool uuid = device->uuid[0] != '\0', pci = device->pci[0] != '\0';
        int size = snprintf(one, sizeof(one), "%s%u (%s%s%s)", i > 0 ? ", " : "", i,
                            uuid ? device->uuid : "", uuid && pci ? ", " : "",
                            pci    ? device->pci
                            : uuid ? ""
                                   : device->name);
        if (length + (size_t)size + sizeof(", and 1024 more") > sizeof(there))
            break;
        memcpy(there + length, one, (size_t)size + 1);
        length += (size_t)size;
    }
    if (i < list->count)
        snprintf(there + length, sizeof(there) - length, ", and %u more", list->count - i);
    message_quote(name, strlen(name), quoted);
    return message_set(-ENODEV, message, "No device is called \"%s\". There are: %s.", quoted,
                       there);
}

int gpu_select(struct gpu_list *list, const char *names, struct message *message)
{
    bool chosen[GPU_DEVICE_MAX] = {false};
    char name[64];
    for (const char *at = names;; at++) {
        size_t length = strcspn(at, SEPARATORS);
        bool found = false;
        snprintf(name, sizeof(name), "%.*s", (int)length, at);
        for (uint32_t i = 0; length < sizeof(name) && i < list->count; i++) {
            if (is_named(&list->device[i], i, name))
                chosen[i] = found = true;
        }
        if (!found)
            return refuse(list, name, message);
        at += length;
        if (*at == '\0')
            break;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++)
        if (chosen[i])
            list->device[count++] = list->device[i];
    list->count = count;
    return 0;
}
