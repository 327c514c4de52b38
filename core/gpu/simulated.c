/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated devices, for tests, for trying out the filesystem, and for machines without a GPU. The
 * argument gives counts and sizes: "4x80G", "2x80G,24G", "512M". This file must not touch hardware.
 */
#include "vendor.h"

#include "core/base/line.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GRAMMAR "write [COUNTx]SIZE[,[COUNTx]SIZE...], as in 4x80G or 2x80G,512M"

#define MOST "1024"
_Static_assert(GPU_DEVICE_MAX == 1024, "MOST");

/* Take an unsigned decimal number; false if there is none or it overflows. */
static bool take_number(const char **text, uint64_t *ret)
{
    uint64_t value = 0;
    if (!isdigit((unsigned char)**text))
        return false;
    for (; isdigit((unsigned char)**text); (*text)++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

/* Take the unit of a size: K, M, G or T, with or without iB, or B for bytes. */
static bool take_unit(const char **text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    const char *unit = **text != '\0' ? strchr(units, toupper((unsigned char)**text)) : NULL;
    *ret = 1;
    if (!unit)
        return *(*text)++ == 'B';
    *ret = UINT64_C(1) << (10 * (unit - units + 1));
    (*text)++;
    if (strncmp(*text, "iB", 2) == 0)
        *text += 2;
    return true;
}

/* One group, "4x80G". `size_text` is its size as written. */
struct group {
    uint64_t count, bytes;
    char size_text[24];
    bool bare; /* the size has no unit: probably gigabytes were meant, so do not guess */
};

static bool take_group(const char **text, struct group *group)
{
    uint64_t number, unit;
    const char *start = *text;

    group->count = 1;
    group->bare = false;
    if (!take_number(text, &number))
        return false;
    if (**text == 'x') {
        group->count = number;
        start = ++*text;
        if (!take_number(text, &number))
            return false;
    }
    group->bare = **text == '\0' || **text == ',';
    if (group->bare || !take_unit(text, &unit) ||
        __builtin_mul_overflow(number, unit, &group->bytes))
        return false;
    snprintf(group->size_text, sizeof(group->size_text), "%.*s", (int)(*text - start), start);
    return group->count > 0 && group->bytes > 0 && group->bytes <= INT64_MAX;
}

static void add(struct gpu_list *list, const struct group *group)
{
    struct gpu_device *device = &list->device[list->count];

    *device = (struct gpu_device){.vendor = "chronosfs",
                                  .driver = CHRONOS_VERSION,
                                  .version = "simulated",
                                  .type = "GPU",
                                  .memory_bytes = group->bytes};
    snprintf(device->key, sizeof(device->key), "sim:%u", list->count);
    snprintf(device->uuid, sizeof(device->uuid), "SIM-%u", list->count);
    snprintf(device->name, sizeof(device->name), "Simulated GPU %s", group->size_text);
    list->count++;
}

static int refuse(struct gpu_list *list, const char *format, const char *argument)
{
    list->count = 0;
    snprintf(list->note, sizeof(list->note), format, argument);
    line_clean(list->note);
    return -EINVAL;
}

static int probe(const struct gpu_setup *setup, struct gpu_list *list)
{
    static const char is_none[] = "\"%.64s\" is not a list of devices: " GRAMMAR ".";
    static const char is_bare[] = "\"%.64s\" has a size without a unit: " GRAMMAR ".";
    const char *text = setup->simulate;
    struct group group;

    for (;;) {
        if (!take_group(&text, &group))
            return refuse(list, group.bare ? is_bare : is_none, setup->simulate);
        if (group.count > GPU_DEVICE_MAX - list->count)
            return refuse(list, "\"%.64s\" is more than " MOST " simulated devices, the limit.",
                          setup->simulate);
        while (group.count-- > 0)
            add(list, &group);
        if (*text == '\0')
            return 0;
        if (*text++ != ',')
            return refuse(list, is_none, setup->simulate);
    }
}

const struct gpu_vendor gpu_simulated = {
    .name = "simulated", .help = "simulated devices:  " GRAMMAR, .simulates = true, .probe = probe};
