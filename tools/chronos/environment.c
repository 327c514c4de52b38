/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apply the file `environment`; see environment.h. It must not know which variables exist, only
 * which are lists.
 */
#include "environment.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Put an entry first in a list. */
static int prepend(const char *name, const char *separators, const char *entry)
{
    const char *list = getenv(name);
    char *both;
    if (!list || list[0] == '\0')
        return setenv(name, entry, 1) == 0 ? 0 : -errno;
    if (has_entry(list, separators, entry))
        return 0;
    if (asprintf(&both, "%s:%s", entry, list) < 0)
        return -ENOMEM;
    int r = setenv(name, both, 1) == 0 ? 0 : -errno;
    free(both);
    return r;
}

int environment_each(char *text, environment_fn *take, void *context)
{
    int r = 0;
    for (char *line; !r && (line = strsep(&text, "\n"));) {
        char *value = strchr(line, '=');
        if (line[0] == '\0')
            continue;
        if (!value || value == line)
            return -EINVAL;
        *value++ = '\0';
        r = take(context, line, value);
    }
    return r;
}

static int apply(void *none, const char *name, const char *value)
{
    (void)none;
    const char *separators = separators_of(name);
    if (separators)
        return prepend(name, separators, value);
    return setenv(name, value, 1) == 0 ? 0 : -errno;
}

int environment_apply(char *text)
{
    return environment_each(text, apply, NULL);
}
