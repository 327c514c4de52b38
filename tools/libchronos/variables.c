/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read the variables for programs in a partition; see client.h. It must not know which there are,
 * but the one that says where the partition is, and which are lists.
 */
#include "client.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "CHRONOS_PARTITION="

/* Find the line of the partition's directory. */
static const char *find_place(const char *text)
{
    const char *line = text;
    while (line && strncmp(line, PLACE, sizeof(PLACE) - 1) != 0) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return line;
}

/* Return the last two names of a path: a device and a partition. */
static const char *last_two(const char *path, size_t length)
{
    const char *at = path + length;
    for (int slashes = 0; at > path && slashes < 2; slashes += *at == '/')
        at--;
    return at;
}

int chronos_places_own(const char *list, size_t length, const char *own, char **ret_list)
{
    const char *end = list + length, *next = memchr(list, ':', length);
    char *text = NULL;
    size_t size, above = (size_t)(last_two(own, strlen(own)) - own);
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return -ENOMEM;
    fputs(own, file);
    for (const char *at; next; next = memchr(at, ':', (size_t)(end - at))) {
        at = next + 1;
        const char *colon = memchr(at, ':', (size_t)(end - at));
        size_t one = (size_t)((colon ? colon : end) - at);
        const char *names = last_two(at, one);
        fprintf(file, ":%.*s%.*s", (int)above, own, (int)(at + one - names), names);
    }
    if (fclose(file) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret_list = text;
    return 0;
}

int chronos_variables_read(int directory, char **ret_text)
{
    char path[PATH_MAX], *text, *own, *places = NULL;
    int r = chronos_read_all(directory, "environment", &text);
    if (r < 0)
        return r;
    const char *place = find_place(text);
    if (!place || !chronos_find_path(directory, path)) {
        *ret_text = text;
        return 0;
    }
    const char *list = place + sizeof(PLACE) - 1, *end = place + strcspn(place, "\n");
    r = chronos_places_own(list, (size_t)(end - list), path, &places);
    if (!r && asprintf(&own, "%.*s" PLACE "%s%s", (int)(place - text), text, places, end) < 0)
        r = -ENOMEM;
    free(places);
    free(text);
    if (r < 0)
        return r;
    *ret_text = own;
    return 0;
}

/* Lists: the caller's entries stay, behind the new one. All can be joined by a colon. */
static const struct {
    const char *name, *separators;
} lists[] = {{"LD_PRELOAD", ": "}, {"OPENCL_LAYERS", ":"}};

/* Return what separates the entries of this list; NULL: it is none. */
static const char *separators_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (strcmp(lists[i].name, name) == 0)
            return lists[i].separators;
    }
    return NULL;
}

static bool has_entry(const char *list, const char *separators, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *at = list;; at++) {
        size_t there = strcspn(at, separators);
        if (there == length && memcmp(at, entry, length) == 0)
            return true;
        at += there;
        if (*at == '\0')
            return false;
    }
}

int chronos_variable_merge(const char *name, const char *value, const char *present,
                           char **ret_value)
{
    const char *separators = separators_of(name);
    char *merged;
    if (!separators || !present || present[0] == '\0') {
        merged = strdup(value);
    } else if (has_entry(present, separators, value)) {
        merged = strdup(present);
    } else if (asprintf(&merged, "%s:%s", value, present) < 0) {
        merged = NULL;
    }
    if (!merged)
        return -ENOMEM;
    *ret_value = merged;
    return 0;
}
