/* SPDX-License-Identifier: Apache-2.0 */
/* See inside.h. Runs in other people's programs: it prints nothing, ends nothing and
 * keeps no descriptor. */
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const char *name)
{
    const char *value = secure_getenv(name);
    return value != NULL && value[0] != '\0';
}

int inside_read(struct inside *ret_inside)
{
    struct inside inside = {0};
    const char *list = secure_getenv("CHRONOS_PARTITION");
    const char *unreachable = secure_getenv("CHRONOS_UNREACHABLE");

    inside.allow_unreachable = unreachable != NULL && strcmp(unreachable, "allow") == 0;
    inside.debug = is_set("CHRONOS_DEBUG");
    while (list != NULL && *list != '\0' && inside.count < INSIDE_MAX) {
        size_t length = strcspn(list, ":");
        if (length > 0) {
            char *directory = strndup(list, length);
            if (directory == NULL) {
                inside_free(&inside);
                return -ENOMEM;
            }
            inside.directory[inside.count++] = directory;
        }
        list += length + (list[length] == ':');
    }
    *ret_inside = inside;
    return 0;
}

void inside_free(struct inside *inside)
{
    for (unsigned i = 0; i < inside->count; i++)
        free(inside->directory[i]);
    memset(inside, 0, sizeof(*inside));
}

int inside_line(const char *directory, const char *name, char *ret_line, size_t size)
{
    char path[4096], line[512];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);

    if (directory[0] != '/' || length < 0 || (size_t)length >= sizeof(path))
        return -ENOENT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got;
    do {
        got = read(fd, line, sizeof(line));
    } while (got < 0 && errno == EINTR);
    int rc = got < 0 ? -errno : 0;
    close(fd);
    if (rc < 0)
        return rc;
    const char *end = memchr(line, '\n', (size_t)got);
    size_t used = end != NULL ? (size_t)(end - line) : (size_t)got;
    if (used >= size || (size_t)got == sizeof(line))
        return -ENAMETOOLONG;
    memcpy(ret_line, line, used);
    ret_line[used] = '\0';
    return 0;
}

int inside_number(const char *directory, const char *name, uint64_t *ret_number)
{
    char line[32], *end;
    int rc = inside_line(directory, name, line, sizeof(line));
    if (rc < 0)
        return rc;
    errno = 0;
    unsigned long long number = strtoull(line, &end, 10);
    if (line[0] < '0' || line[0] > '9' || *end != '\0' || errno != 0)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

bool inside_has_ended(const char *directory)
{
    char parent[4096];
    const char *slash = strrchr(directory, '/');

    if (slash == NULL || slash == directory || (size_t)(slash - directory) >= sizeof(parent))
        return false;
    memcpy(parent, directory, (size_t)(slash - directory));
    parent[slash - directory] = '\0';
    /* In this order: a tree that goes away in between is not taken for an end. */
    return access(directory, F_OK) < 0 && errno == ENOENT && access(parent, F_OK) == 0;
}
