/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read what a shim needs to know about its partitions; see client.h. Keep it separate from what
 * only other clients need: it runs inside other people's programs.
 */
#include "client.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const char *name)
{
    const char *value = secure_getenv(name);
    return value && value[0] != '\0';
}

int chronos_environment_read(struct chronos_environment *ret_environment)
{
    struct chronos_environment environment = {0};
    const char *list = secure_getenv("CHRONOS_PARTITION");
    const char *unreachable = secure_getenv("CHRONOS_UNREACHABLE");

    environment.allow_unreachable = unreachable && strcmp(unreachable, "allow") == 0;
    environment.debug = is_set("CHRONOS_DEBUG");
    while (list && *list != '\0' && environment.count < CHRONOS_PARTITIONS_MAX) {
        size_t length = strcspn(list, ":");
        if (length > 0) {
            char *directory = strndup(list, length);
            if (!directory) {
                chronos_environment_release(&environment);
                return -ENOMEM;
            }
            environment.directory[environment.count++] = directory;
        }
        list += length + (list[length] == ':');
    }
    *ret_environment = environment;
    return 0;
}

void chronos_environment_release(struct chronos_environment *environment)
{
    for (unsigned i = 0; i < environment->count; i++)
        free(environment->directory[i]);
    memset(environment, 0, sizeof(*environment));
}

int chronos_read_line(const char *directory, const char *name, char *ret_line, size_t size)
{
    char path[PATH_MAX], text[512];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (directory[0] != '/' || length < 0 || (size_t)length >= sizeof(path))
        return -ENOENT;
    ssize_t got;
    do {
        got = fd_read_text(AT_FDCWD, path, text, sizeof(text));
    } while (got == -EINTR);
    if (got < 0)
        return (int)got;
    size_t used = strcspn(text, "\n");
    if (used >= size || (size_t)got == sizeof(text) - 1)
        return -ENAMETOOLONG;
    text[used] = '\0';
    memcpy(ret_line, text, used + 1);
    return 0;
}

int chronos_read_number(const char *directory, const char *name, uint64_t *ret_number)
{
    char line[32];
    int r = chronos_read_line(directory, name, line, sizeof(line));
    if (r < 0)
        return r;
    uint64_t number = 0;
    for (const char *digit = line; *digit != '\0' || digit == line; digit++) {
        if (*digit < '0' || *digit > '9' || number > (UINT64_MAX - (uint64_t)(*digit - '0')) / 10)
            return -EINVAL;
        number = number * 10 + (uint64_t)(*digit - '0');
    }
    *ret_number = number;
    return 0;
}

bool chronos_has_ended(const char *directory)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(directory, '/');
    if (!slash || slash == directory || (size_t)(slash - directory) >= sizeof(parent))
        return false;
    memcpy(parent, directory, (size_t)(slash - directory));
    parent[slash - directory] = '\0';
    /* Check in this order, so that a tree that disappears in between does not look like an end. */
    return access(directory, F_OK) < 0 && errno == ENOENT && access(parent, F_OK) == 0;
}
