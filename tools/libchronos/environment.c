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

/* Add the directories of a list. 0 or -ENOMEM. */
static int add_list(struct chronos_environment *environment, const char *list)
{
    while (*list != '\0' && environment->count < CHRONOS_PARTITIONS_MAX) {
        size_t length = strcspn(list, ":");
        bool known = length == 0;
        for (unsigned i = 0; i < environment->count && !known; i++)
            known = strncmp(environment->directory[i], list, length) == 0 &&
                    environment->directory[i][length] == '\0';
        if (!known && !(environment->directory[environment->count++] = strndup(list, length)))
            return -ENOMEM;
        list += length + (list[length] == ':');
    }
    return 0;
}

/* Add those of CHRONOS_PARTITION_p1 and the like. */
static int add_further(struct chronos_environment *environment)
{
    static const char name[] = "CHRONOS_PARTITION_p";
    int r = 0;
    for (char **at = environ; !r && at && *at; at++) {
        const char *number = *at + sizeof(name) - 1;
        if (strncmp(*at, name, sizeof(name) - 1) != 0)
            continue;
        size_t digits = strspn(number, "0123456789");
        if (digits > 0 && number[digits] == '=')
            r = add_list(environment, number + digits + 1);
    }
    return r;
}

int chronos_environment_read(struct chronos_environment *ret_environment)
{
    struct chronos_environment environment = {0};
    const char *list = secure_getenv("CHRONOS_PARTITION");
    const char *unreachable = secure_getenv("CHRONOS_UNREACHABLE");

    environment.allow_unreachable = unreachable && strcmp(unreachable, "allow") == 0;
    environment.debug = is_set("CHRONOS_DEBUG");
    int r = list ? add_list(&environment, list) : 0;
    if (!r && list)
        r = add_further(&environment);
    if (r < 0) {
        chronos_environment_release(&environment);
        return r;
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

size_t chronos_device_in(const char *directory, const char **ret_name)
{
    const char *end = strrchr(directory, '/'), *at = end;
    while (at && at > directory && at[-1] != '/')
        at--;
    size_t length = end ? (size_t)(end - at) : 0;
    if (length < 4 || length > 10 || strncmp(at, "gpu", 3) != 0 ||
        strspn(at + 3, "0123456789") != length - 3)
        return 0;
    *ret_name = at;
    return length;
}

/* Make the path of DIRECTORY/NAME. The way to the device is through the partition, which may have
 * ended, and then by name: a link leads to the first device of its partition. */
static int make_path(const char *directory, const char *name, char path[static PATH_MAX])
{
    const char *device = "";
    size_t of = strncmp(name, "../", 3) == 0 ? chronos_device_in(directory, &device) : 0;
    int length =
        of ? snprintf(path, PATH_MAX, "%s/../../%.*s/%s", directory, (int)of, device, name + 3)
           : snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return directory[0] != '/' || length < 0 || length >= PATH_MAX ? -ENOENT : 0;
}

int chronos_read_line(const char *directory, const char *name, char *ret_line, size_t size)
{
    char path[PATH_MAX], text[512];
    int r = make_path(directory, name, path);
    if (r)
        return r;
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

/* -- memory ------------------------------------------------------------------------------ */

enum { SUMMARY_MAX = 4096 }; /* with more than these lines */

static int open_summary(const char *directory)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/summary", directory);
    if (directory[0] != '/' || length < 0 || (size_t)length >= sizeof(path))
        return -ENOENT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd_above_streams(fd);
}

/* The number in the line NAME=NUMBER. */
static int find_number(const char *text, const char *name, uint64_t *ret_number)
{
    char line[32];
    size_t length = strlen(name);
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text != '\0') {
        size_t used = strcspn(text, "\n");
        if (strncmp(text, name, length) != 0 || text[length] != '=' ||
            used - length - 1 >= sizeof(line))
            continue;
        memcpy(line, text + length + 1, used - length - 1);
        line[used - length - 1] = '\0';
        return parse_number(line, ret_number);
    }
    return -EINVAL;
}

/* The number in the line NAME=NUMBER of the device that the directory names; where the partition
 * has no other, in that of the partition. */
static int find_share(const char *text, const char *directory, const char *name,
                      uint64_t *ret_number)
{
    const char *device = "";
    size_t of = chronos_device_in(directory, &device);
    char own[64];
    snprintf(own, sizeof(own), "%.*s.%s", (int)of, device, name);
    int r = of ? find_number(text, own, ret_number) : -EINVAL;
    return r ? find_number(text, name, ret_number) : 0;
}

static int read_summary(int fd, const char *directory, uint64_t *ret_limit, uint64_t *ret_used)
{
    char text[SUMMARY_MAX];
    uint64_t limit, used;
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    if (got < 0)
        return -errno;
    text[got] = '\0';
    int r = find_share(text, directory, "memory_limit", &limit);
    if (!r)
        r = find_share(text, directory, "memory_used", &used);
    if (r < 0)
        return r;
    *ret_limit = limit;
    *ret_used = used;
    return 0;
}

/* Check the file too, not only the number: programs close descriptors that they do not know and
 * open other files. */
static bool is_kept(const struct chronos_memory *memory)
{
    struct fd_identity now;
    return memory->kept && fd_identify(memory->fd, "", &now) == 0 &&
           now.inode == memory->file.inode && now.device == memory->file.device;
}

/* Open it again: the daemon was restarted, or the program closed it. */
static int keep(struct chronos_memory *memory, const char *directory)
{
    if (is_kept(memory))
        close(memory->fd);
    memory->kept = false;
    memory->fd = open_summary(directory);
    int r = memory->fd < 0 ? memory->fd : fd_identify(memory->fd, "", &memory->file);
    memory->kept = !r;
    if (r && memory->fd >= 0)
        close(memory->fd);
    return r;
}

int chronos_memory_read(struct chronos_memory *memory, const char *directory, uint64_t *ret_limit,
                        uint64_t *ret_used)
{
    if (atomic_exchange(&memory->busy, true)) {
        int fd = open_summary(directory);
        int r = fd < 0 ? fd : read_summary(fd, directory, ret_limit, ret_used);
        fd_close(fd);
        return r;
    }
    int r = is_kept(memory) ? read_summary(memory->fd, directory, ret_limit, ret_used) : -EBADF;
    if (r && !(r = keep(memory, directory)))
        r = read_summary(memory->fd, directory, ret_limit, ret_used);
    atomic_store(&memory->busy, false);
    return r;
}

/* Take the n-th word of a line, which is a number. */
static int take_number(const char *line, int n, uint64_t *ret_number)
{
    char word[32];
    for (; n > 1; n--) {
        line += strcspn(line, " \n");
        line += *line == ' ';
    }
    size_t length = strcspn(line, " \n");
    if (length >= sizeof(word))
        return -EINVAL;
    memcpy(word, line, length);
    word[length] = '\0';
    return parse_number(word, ret_number);
}

/* Find the line of the device that the directory names: "gpu1 LIMIT USED ..." */
static int find_line(const char *text, const char *directory, uint64_t *ret_limit,
                     uint64_t *ret_used)
{
    const char *device = "";
    size_t of = chronos_device_in(directory, &device);
    while (*text != '\0' && (strncmp(text, device, of) != 0 || (of && text[of] != ' '))) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    int r = take_number(text, 2, ret_limit);
    return r ? r : take_number(text, 3, ret_used);
}

int chronos_read_share(const char *directory, uint64_t *ret_limit, uint64_t *ret_used)
{
    char path[PATH_MAX], text[SUMMARY_MAX];
    uint64_t limit, used = 0;
    int r = make_path(directory, "devices", path);
    ssize_t got = r;
    do {
        got = r ? r : fd_read_text(AT_FDCWD, path, text, sizeof(text));
    } while (got == -EINTR);
    if (got >= 0) {
        r = find_line(text, directory, &limit, &used);
    } else { /* of a version that knows one device a partition */
        r = chronos_read_number(directory, "memory_limit", &limit);
        if (!r && chronos_read_number(directory, "memory_used", &used) < 0)
            used = 0;
    }
    if (r)
        return r;
    *ret_limit = limit;
    *ret_used = used;
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
