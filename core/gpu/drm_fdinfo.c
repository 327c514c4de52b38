/* SPDX-License-Identifier: Apache-2.0 */
/* Parse the text of a fdinfo file; see drm_fdinfo.h. */
#include "drm_fdinfo.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REGIONS_MOST 16

/* One memory region, with the figures that the driver reports. */
struct region {
    char name[24];
    bool resident, used; /* which figures are present; if neither, use the total */
    uint64_t resident_bytes, used_bytes, total_bytes;
};

struct regions {
    size_t count;
    struct region region[REGIONS_MOST];
};

/* A piece of text that is not null-terminated. */
struct span {
    const char *at;
    size_t size;
};

static bool begins(struct span text, const char *with, struct span *ret_rest)
{
    size_t size = strlen(with);
    if (text.size < size || memcmp(text.at, with, size) != 0)
        return false;
    *ret_rest = (struct span){text.at + size, text.size - size};
    return true;
}

static struct span skip_blanks(struct span text)
{
    while (text.size > 0 && (*text.at == ' ' || *text.at == '\t'))
        text.at++, text.size--;
    return text;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) || product > INT64_MAX ? INT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b; /* both are at most INT64_MAX */
}

/* Take a number and skip the blanks after it. */
static bool take_number(struct span *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text->size == 0 || !isdigit((unsigned char)*text->at))
        return false;
    for (; text->size > 0 && isdigit((unsigned char)*text->at); text->at++, text->size--)
        value = plus(times(value, 10), (uint64_t)(*text->at - '0'));
    *text = skip_blanks(*text);
    *ret_value = value;
    return true;
}

static bool is_word(struct span text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.at, word, text.size) == 0;
}

static bool take_bytes(struct span text, uint64_t *ret_bytes)
{
    uint64_t value, unit = 1;
    if (!take_number(&text, &value))
        return false;
    if (is_word(text, "KiB"))
        unit = 1 << 10;
    else if (is_word(text, "MiB"))
        unit = 1 << 20;
    else if (is_word(text, "GiB"))
        unit = 1 << 30;
    else if (text.size != 0)
        return false;
    *ret_bytes = times(value, unit);
    return true;
}

static void copy(char *into, size_t size, struct span text)
{
    snprintf(into, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.at);
}

/* Return NULL if the table is full or the name is unusable. */
static struct region *find_region(struct regions *regions, struct span name)
{
    for (size_t i = 0; i < regions->count; i++) {
        if (is_word(name, regions->region[i].name))
            return &regions->region[i];
    }
    if (regions->count == REGIONS_MOST || name.size == 0 ||
        name.size >= sizeof(regions->region[0].name) || memchr(name.at, '\0', name.size))
        return NULL;
    copy(regions->region[regions->count].name, sizeof(regions->region[0].name), name);
    return &regions->region[regions->count++];
}

static void take_region(struct regions *regions, struct span key, struct span value)
{
    struct span name;
    bool resident = begins(key, "resident-", &name), used = begins(key, "memory-", &name);
    uint64_t bytes;

    if ((!resident && !used && !begins(key, "total-", &name)) || !take_bytes(value, &bytes))
        return;
    struct region *region = find_region(regions, name);
    if (!region)
        return;
    if (resident) {
        region->resident = true;
        region->resident_bytes = bytes;
    } else if (used) {
        region->used = true;
        region->used_bytes = bytes;
    } else {
        region->total_bytes = bytes;
    }
}

static bool is_of_device(const char *name)
{
    return strncmp(name, "vram", 4) == 0 || strncmp(name, "local", 5) == 0 ||
           strncmp(name, "stolen-local", 12) == 0;
}

static void sum_regions(const struct regions *regions, struct drm_fdinfo *info)
{
    bool own = false;
    for (size_t i = 0; i < regions->count; i++)
        own |= is_of_device(regions->region[i].name);
    for (size_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->region[i];
        if (own ? !is_of_device(region->name) : strcmp(region->name, "cpu") == 0)
            continue;
        info->has_memory = true;
        info->memory_bytes = plus(info->memory_bytes, region->resident ? region->resident_bytes
                                                      : region->used   ? region->used_bytes
                                                                       : region->total_bytes);
    }
}

static void take_engine(struct span name, struct span value, struct drm_fdinfo *info)
{
    struct span rest;
    uint64_t ns;
    if (!begins(name, "capacity-", &rest) && take_number(&value, &ns) && is_word(value, "ns"))
        info->busy_ns = plus(info->busy_ns, ns);
}

static void take_line(struct span line, struct drm_fdinfo *info, struct regions *regions)
{
    struct span key, rest;
    const char *colon = memchr(line.at, ':', line.size);

    if (!colon || !begins(line, "drm-", &key))
        return;
    struct span value = {colon + 1, line.size - (size_t)(colon + 1 - line.at)};
    key.size = (size_t)(colon - key.at);
    value = skip_blanks(value);
    while (value.size > 0 && isspace((unsigned char)value.at[value.size - 1]))
        value.size--;
    if (is_word(key, "driver"))
        copy(info->driver, sizeof(info->driver), value);
    else if (is_word(key, "pdev"))
        copy(info->pdev, sizeof(info->pdev), value);
    else if (is_word(key, "client-id"))
        info->has_client = take_number(&value, &info->client);
    else if (begins(key, "engine-", &rest))
        take_engine(rest, value, info);
    else
        take_region(regions, key, value);
}

bool drm_fdinfo_parse(const char *text, size_t size, struct drm_fdinfo *ret_info)
{
    struct drm_fdinfo info = {0};
    struct regions regions = {0};

    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        take_line((struct span){text + at, length}, &info, &regions);
        at += length + 1;
    }
    if (info.driver[0] == '\0')
        return false;
    sum_regions(&regions, &info);
    *ret_info = info;
    return true;
}
