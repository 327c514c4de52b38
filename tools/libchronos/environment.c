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

/* A decimal number and nothing else. 0 or -EINVAL. */
static int parse_number(const char *line, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (const char *digit = line; *digit != '\0' || digit == line; digit++) {
        if (*digit < '0' || *digit > '9' || number > (UINT64_MAX - (uint64_t)(*digit - '0')) / 10)
            return -EINVAL;
        number = number * 10 + (uint64_t)(*digit - '0');
    }
    *ret_number = number;
    return 0;
}

int chronos_read_number(const char *directory, const char *name, uint64_t *ret_number)
{
    char line[32];
    int r = chronos_read_line(directory, name, line, sizeof(line));
    return r < 0 ? r : parse_number(line, ret_number);
}

/* -- figures that are read often ------------------------------------------------------------ */

/* Check the file too, not only the number: programs close descriptors that they do not know and
 * open other files. */
static bool is_kept(const struct chronos_figure *figure)
{
    struct fd_identity now;
    return figure->kept && fd_identify(figure->fd, "", &now) == 0 &&
           now.inode == figure->file.inode && now.device == figure->file.device;
}

static int read_kept(const struct chronos_figure *figure, uint64_t *ret_number)
{
    char line[32];
    if (!is_kept(figure))
        return -EBADF;
    ssize_t got = pread(figure->fd, line, sizeof(line) - 1, 0);
    if (got < 0)
        return -errno;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return parse_number(line, ret_number);
}

static int open_kept(struct chronos_figure *figure, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (is_kept(figure))
        close(figure->fd);
    figure->kept = false;
    if (directory[0] != '/' || length < 0 || (size_t)length >= sizeof(path))
        return -ENOENT;
    figure->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (figure->fd < 0)
        return -errno;
    int r = fd_identify(figure->fd, "", &figure->file);
    if (r < 0)
        close(figure->fd);
    figure->kept = r == 0;
    return r;
}

int chronos_figure_read(struct chronos_figure *figure, const char *directory, const char *name,
                        uint64_t *ret_number)
{
    if (atomic_exchange(&figure->busy, true))
        return chronos_read_number(directory, name, ret_number);
    int r = read_kept(figure, ret_number);
    if (r < 0) {
        r = open_kept(figure, directory, name);
        r = r < 0 ? r : read_kept(figure, ret_number);
    }
    atomic_store(&figure->busy, false);
    return r;
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
