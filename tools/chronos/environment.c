/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apply the file `environment`; see environment.h. It must not know which variables exist, but
 * where the partition is and which variables are lists.
 */
#include "environment.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lists with colons: the caller's entries stay, behind the new one. */
static const char *const lists[] = {"OPENCL_LAYERS"};

/* Find where the caller sees the directory: the tree can be mounted elsewhere than for the daemon.
 * False if that is not known. */
static bool find_path(int directory, char path[static PATH_MAX])
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length <= 0 || length == PATH_MAX || path[0] != '/')
        return false;
    path[length] = '\0';
    return true;
}

static bool is_list(const char *name)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (strcmp(lists[i], name) == 0)
            return true;
    }
    return false;
}

static bool has_entry(const char *list, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *at = list; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
        if (strncmp(at, entry, length) == 0 && (at[length] == ':' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Put an entry first in a list. */
static int prepend(const char *name, const char *entry)
{
    const char *list = getenv(name);
    char *both;
    if (!list || list[0] == '\0')
        return setenv(name, entry, 1) == 0 ? 0 : -errno;
    if (has_entry(list, entry))
        return 0;
    if (asprintf(&both, "%s:%s", entry, list) < 0)
        return -ENOMEM;
    int r = setenv(name, both, 1) == 0 ? 0 : -errno;
    free(both);
    return r;
}

/* Apply one line. */
static int take(char *line, const char *path)
{
    char *value = strchr(line, '=');
    if (!value || value == line)
        return -EINVAL;
    *value++ = '\0';
    if (path && strcmp(line, "CHRONOS_PARTITION") == 0)
        value = (char *)path;
    if (is_list(line))
        return prepend(line, value);
    return setenv(line, value, 1) == 0 ? 0 : -errno;
}

int environment_apply(char *text, int directory)
{
    char path[PATH_MAX];
    bool found = find_path(directory, path);
    int r = 0;
    for (char *line; !r && (line = strsep(&text, "\n"));) {
        if (line[0] != '\0')
            r = take(line, found ? path : NULL);
    }
    return r;
}
