/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cards of in-kernel drivers, and which of them are devices to share; see drm_cards.h. amdgpu
 * reports the size of a card's memory. Intel's own i915 does, too, but not the kernel's; for xe the
 * dmem controller of cgroups reports it, from Linux 6.14 on. A card without a size is listed with
 * 0, so that it can still be joined with what OpenCL says. This file must not open a device node.
 */
#include "drm_cards.h"

#include "identity.h"
#include "node_files.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/line.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- listing ---------------------------------------------------------------------- */

/* Read the last component of the link's target; "" if there is none. */
static void read_link_name(const struct drm_card *card, const char *file, char name[32])
{
    char path[NAME_MAX + 32], target[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", card->name, file);
    ssize_t length = readlinkat(card->directory, path, target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = '\0';
    const char *slash = strrchr(target, '/');
    const char *last = slash ? slash + 1 : target;
    if (strlen(last) >= 32)
        last = "";
    strcpy(name, last);
}

void drm_cards(const char *sys, drm_card_fn *fn, void *context)
{
    char path[PATH_MAX], device[32];
    struct dirent **entries;
    int count = gpu_path(path, "%s/class/drm", sys) ? -1 : scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return; /* no graphics driver is loaded */
    struct drm_card card = {.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    for (int i = 0; i < count; i++) {
        card.name = entries[i]->d_name;
        if (card.directory >= 0 && gpu_is_numbered(card.name, "card")) {
            read_link_name(&card, "device", device);
            read_link_name(&card, "device/driver", card.driver);
            gpu_write_pci(device, card.pci);
            fn(context, &card);
        }
        free(entries[i]);
    }
    free(entries);
    fd_close(card.directory);
}

static ssize_t read_file(const struct drm_card *card, const char *file, char *text, size_t size)
{
    char path[NAME_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", card->name, file);
    return fd_read_text(card->directory, path, text, size);
}

int drm_card_number(const struct drm_card *card, const char *file, uint64_t *ret_number)
{
    char text[32], *end;
    ssize_t length = read_file(card, file, text, sizeof(text));
    if (length <= 0)
        return length < 0 ? (int)length : -EINVAL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (!isdigit((unsigned char)text[0]) || (*end != '\n' && *end != '\0') || number > INT64_MAX)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

/* The drivers whose cards programs compute on. */
static const struct driver {
    const char *name, *vendor, *brand;
    const char *memory; /* file with the size of the card's memory */
} drivers[] = {
    {"amdgpu", "Advanced Micro Devices, Inc.", "AMD", "device/mem_info_vram_total"},
    {"i915", "Intel(R) Corporation", "Intel", "lmem_total_bytes"},
    {"xe", "Intel(R) Corporation", "Intel", NULL},
};

static const struct driver *find_driver(const struct drm_card *card)
{
    for (size_t i = 0; i < ARRAY_COUNT(drivers); i++)
        if (!strcmp(drivers[i].name, card->driver))
            return &drivers[i];
    return NULL;
}

bool drm_card_counts(const struct drm_card *card)
{
    return find_driver(card);
}

/* -- discovery -------------------------------------------------------------------- */

struct probe {
    struct gpu_list *list;
    char regions[16384]; /* lines "drm/0000:03:00.0/vram0 8514437120"; "" if there are none */
    unsigned left_out;
};

/* Sum the regions of the card's memory that the dmem controller lists. */
static uint64_t sum_regions(const char *regions, const char *pci)
{
    char prefix[64];
    uint64_t sum = 0;
    snprintf(prefix, sizeof(prefix), "drm/%s/vram", pci);
    for (const char *line = regions; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        unsigned long long bytes = 0;
        if (!strncmp(line, prefix, strlen(prefix)) && sscanf(line, "%*s %llu", &bytes) == 1 &&
            bytes <= INT64_MAX - sum)
            sum += bytes;
    }
    return sum;
}

static void name_device(const struct drm_card *card, const struct driver *driver,
                        struct gpu_device *device)
{
    uint64_t vendor = 0, model = 0;
    read_file(card, "device/product_name", device->name, sizeof(device->name));
    device->name[strcspn(device->name, "\n")] = '\0';
    line_clean(device->name);
    if (device->name[0] != '\0')
        return;
    drm_card_number(card, "device/vendor", &vendor);
    drm_card_number(card, "device/device", &model);
    snprintf(device->name, sizeof(device->name), "%s GPU %04llx:%04llx", driver->brand,
             (unsigned long long)vendor, (unsigned long long)model);
}

/* ROCm's name of a card: the number that amdgpu reports, in 16 digits. Not every card has one. */
static void name_unique(const struct drm_card *card, struct gpu_device *device)
{
    char text[32];
    ssize_t length = read_file(card, "device/unique_id", text, sizeof(text));
    size_t digits = length > 0 ? strspn(text, "0123456789abcdef") : 0;
    if (digits == 0 || digits > 16 || (text[digits] != '\n' && text[digits] != '\0') ||
        strspn(text, "0") == digits)
        return;
    snprintf(device->uuid, sizeof(device->uuid), "GPU-%.*s%.16s", (int)(16 - digits),
             "0000000000000000", text);
    device->uuid[sizeof("GPU-") - 1 + 16] = '\0';
}

static void add_card(void *context, const struct drm_card *card)
{
    struct probe *probe = context;
    const struct driver *driver = find_driver(card);
    if (!driver || card->pci[0] == '\0')
        return;
    if (probe->list->count == GPU_DEVICE_MAX) {
        probe->left_out++;
        return;
    }
    struct gpu_device *device = &probe->list->device[probe->list->count++];
    *device = (struct gpu_device){.type = "GPU"};
    snprintf(device->key, sizeof(device->key), "pci:%s", card->pci);
    snprintf(device->pci, sizeof(device->pci), "%s", card->pci);
    snprintf(device->vendor, sizeof(device->vendor), "%s", driver->vendor);
    snprintf(device->driver, sizeof(device->driver), "%s", card->driver);
    name_device(card, driver, device);
    name_unique(card, device);
    if (!driver->memory || drm_card_number(card, driver->memory, &device->memory_bytes))
        device->memory_bytes = sum_regions(probe->regions, card->pci);
}

int drm_cards_probe(const struct gpu_setup *setup, struct gpu_list *list)
{
    char path[sizeof(setup->sys) + 32];
    struct probe probe = {.list = list};
    snprintf(path, sizeof(path), "%s/fs/cgroup/dmem.capacity", setup->sys);
    fd_read_text(AT_FDCWD, path, probe.regions, sizeof(probe.regions));
    drm_cards(setup->sys, add_card, &probe);
    if (probe.left_out > 0)
        snprintf(list->note, sizeof(list->note), "%u devices are ignored: the limit is %d.",
                 probe.left_out, GPU_DEVICE_MAX);
    return 0;
}
