/* SPDX-License-Identifier: Apache-2.0 */
/* Join what several vendors say about the same devices; see join.h. It must not know any vendor. */
#include "join.h"

#include "identity.h"

#include <stdio.h>
#include <string.h>

static struct gpu_device *find_uuid(struct gpu_list *list, uint32_t count, const char *uuid)
{
    for (uint32_t i = 0; i < count; i++)
        if (gpu_same_uuid(list->device[i].uuid, uuid))
            return &list->device[i];
    return NULL;
}

/* Return the device with the same key or PCI address. Two instances of one card share the address;
 * an instance and its card share the memory. */
static struct gpu_device *find_place(struct gpu_list *list, uint32_t count,
                                     const struct gpu_device *device)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gpu_device *known = &list->device[i];
        bool parts = gpu_is_part(known->uuid) && gpu_is_part(device->uuid);
        if (!strcmp(known->key, device->key) || (!parts && gpu_same_pci(known->pci, device->pci)))
            return known;
    }
    return NULL;
}

/* Return a device of the same type that tells neither uuid nor PCI address: it can be any. */
static const struct gpu_device *find_nameless(const struct gpu_list *list, uint32_t count,
                                              const struct gpu_device *device)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct gpu_device *known = &list->device[i];
        if (known->uuid[0] == '\0' && known->pci[0] == '\0' && !strcmp(known->type, device->type))
            return known;
    }
    return NULL;
}

/* OpenCL cannot tell an instance from a card, and may make a uuid up, so the word of a vendor that
 * knows better counts. */
static void complete(struct gpu_device *known, const struct gpu_device *device)
{
    if (known->uuid[0] == '\0' || gpu_is_part(device->uuid) ||
        (gpu_is_own(device->uuid) && !gpu_is_own(known->uuid)))
        memcpy(known->uuid, device->uuid, sizeof(known->uuid));
    if (known->pci[0] == '\0')
        memcpy(known->pci, device->pci, sizeof(known->pci));
}

/* Return whether the device can be used; if not, `text` says why. */
static bool is_usable(const struct gpu_list *list, uint32_t before, const struct gpu_device *device,
                      char text[GPU_NOTE_MAX])
{
    const char *where = device->pci[0] != '\0' ? device->pci : device->uuid;
    const struct gpu_device *nameless = find_nameless(list, before, device);
    if (nameless)
        snprintf(text, GPU_NOTE_MAX,
                 "The device at %s (%.64s) is not used: it may be the same as \"%.64s\", for which "
                 "the driver reports neither uuid nor PCI address.",
                 where, device->name, nameless->name);
    else if (!device->memory_bytes)
        snprintf(text, GPU_NOTE_MAX,
                 "The device at %s (%.64s) is not used: its driver does not report how much memory "
                 "it has. Install the OpenCL driver for it.",
                 where, device->name);
    return !nameless && device->memory_bytes;
}

void gpu_join(struct gpu_list *list, const struct gpu_list *answer, gpu_note_fn *note,
              void *context)
{
    const uint32_t before = list->count; /* devices of one answer are distinct */
    bool known[GPU_DEVICE_MAX] = {false};
    char text[GPU_NOTE_MAX];
    uint32_t lost = 0;

    list->layered |= answer->layered;
    if (answer->note[0] != '\0')
        note(context, answer->note);
    for (uint32_t i = 0; i < answer->count; i++) { /* first, because it is certain */
        struct gpu_device *same = find_uuid(list, before, answer->device[i].uuid);
        known[i] = same;
        if (same)
            complete(same, &answer->device[i]);
    }
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct gpu_device *device = &answer->device[i];
        struct gpu_device *same = known[i] ? NULL : find_place(list, before, device);
        if (same && !gpu_is_part(device->uuid))
            complete(same, device);
        if (same || known[i])
            continue;
        if (!is_usable(list, before, device, text))
            note(context, text);
        else if (list->count < GPU_DEVICE_MAX)
            list->device[list->count++] = *device;
        else
            lost++;
    }
    if (lost > 0) {
        snprintf(text, sizeof(text), "%u devices are ignored: the limit is %d.", lost,
                 GPU_DEVICE_MAX);
        note(context, text);
    }
}

/* -- order ------------------------------------------------------------------------ */

static bool comes_before(const struct gpu_device *a, const struct gpu_device *b)
{
    unsigned left[4], right[4];
    if (!gpu_read_pci(a->pci, left))
        return false;
    if (!gpu_read_pci(b->pci, right))
        return true;
    for (size_t i = 0; i < 4; i++)
        if (left[i] != right[i])
            return left[i] < right[i];
    return strcmp(a->uuid, b->uuid) < 0;
}

void gpu_order(struct gpu_list *list)
{
    for (uint32_t i = 1; i < list->count; i++) {
        struct gpu_device device = list->device[i];
        uint32_t at = i;
        for (; at > 0 && comes_before(&device, &list->device[at - 1]); at--)
            list->device[at] = list->device[at - 1];
        list->device[at] = device;
    }
}
