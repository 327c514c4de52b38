/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read and write the files of the tree; see client.h. It must not know what the files mean.
 */
#include "client.h"

#include "core/base/array.h"
#include "core/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The first words of all of the filesystem's messages for -ENOSPC: of memory, time or slots. */
#define NO_SPACE "Not enough "

/* Return 0 if `path` and everything on the way to it is on the filesystem of `directory`. */
static int check_same_filesystem(int directory, const char *path)
{
    struct fd_identity own, found;
    char part[PATH_MAX];
    int r = fd_identify(directory, "", &own);
    for (size_t length = 0; !r && path[length]; length += path[length] == '/') {
        length += strcspn(path + length, "/");
        if (length >= sizeof(part))
            return -ENAMETOOLONG;
        memcpy(part, path, length);
        part[length] = '\0';
        r = fd_identify(directory, part, &found);
        if (!r && found.device != own.device)
            r = -EXDEV;
    }
    return r;
}

int chronos_open(int directory, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV};
    if ((flags & O_PATH) == 0)
        how.flags |= O_NONBLOCK | O_NOCTTY;
    long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd < 0 ? -errno : fd_above_streams((int)fd);
    /* Linux before 5.6, or a container runtime that does not know the call. */
    int r = check_same_filesystem(directory, path);
    if (r)
        return r;
    fd = openat(directory, path, (int)how.flags);
    return fd < 0 ? -errno : fd_above_streams((int)fd);
}

int chronos_read(int directory, const char *path, char *ret_text, size_t size)
{
    int fd = chronos_open(directory, path, O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t length = read(fd, ret_text, size - 1);
    fd_close(fd);
    if (length < 0)
        return -errno;
    if (length > 0 && ret_text[length - 1] == '\n')
        length--;
    ret_text[length] = '\0';
    return 0;
}

bool chronos_find_path(int directory, char ret_path[static PATH_MAX])
{
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, sizeof(path));
    if (length <= 0 || length == PATH_MAX || path[0] != '/')
        return false;
    path[length] = '\0';
    memcpy(ret_path, path, (size_t)length + 1);
    return true;
}

int chronos_read_fd(int fd, char **ret_text)
{
    size_t room = 0, used = 0;
    char *text = NULL;
    for (;;) {
        int r = array_reserve(text, room, used + 16384);
        ssize_t length = r < 0 ? r : pread(fd, text + used, room - used - 1, (off_t)used);
        if (length < 0) {
            r = r < 0 ? r : -errno;
            free(text);
            return r;
        }
        if (length == 0) {
            text[used] = '\0';
            *ret_text = text;
            return 0;
        }
        used += (size_t)length;
    }
}

int chronos_read_all(int directory, const char *path, char **ret_text)
{
    int fd = chronos_open(directory, path, O_RDONLY);
    if (fd < 0)
        return fd;
    int r = chronos_read_fd(fd, ret_text);
    close(fd);
    return r;
}

int chronos_write(int directory, const char *path, const char *text)
{
    char line[512];
    int length = snprintf(line, sizeof(line), "%s\n", text);
    if (length < 0 || (size_t)length >= sizeof(line))
        return -E2BIG;
    int fd = chronos_open(directory, path, O_WRONLY);
    if (fd < 0)
        return fd;
    ssize_t written = write(fd, line, (size_t)length);
    fd_close(fd);
    return written < 0 ? -errno : 0;
}

bool chronos_is_gone(int r)
{
    return r == -ENOENT || r == -ENODEV || r == -ESTALE;
}

int chronos_read_refusal(const struct chronos_mount *mount, int error, char *ret_message,
                         size_t size)
{
    char message[512];
    /* Refused here or by the kernel, before chronosfs knew of it. */
    if (error == -E2BIG || error == -EFBIG || error == -EROFS || error == -ENOTCONN)
        return -ENOENT;
    int r = chronos_read(mount->root, "status", message, sizeof(message));
    if (r < 0)
        return r;
    if (message[0] == '\0' ||
        (error == -ENOSPC && strncmp(message, NO_SPACE, strlen(NO_SPACE)) != 0))
        return -ENOENT;
    snprintf(ret_message, size, "%s", message);
    return 0;
}

/* -- numbers ------------------------------------------------------------------------------ */

uint64_t chronos_number(const char *text)
{
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return *text == '\0' ? value : 0;
}

/* Parse the digits after `prefix`, as the tree writes numbers: no sign, no leading zero. */
static bool parse_number(const char *text, const char *prefix, uint64_t *ret_number)
{
    size_t length = strlen(prefix);
    if (strncmp(text, prefix, length) != 0)
        return false;
    text += length;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return false;
    *ret_number = chronos_number(text);
    return true;
}

bool chronos_parse_device(const char *text, unsigned *ret_index)
{
    uint64_t index;
    if ((!parse_number(text, "gpu", &index) && !parse_number(text, "", &index)) || index > 9999)
        return false;
    *ret_index = (unsigned)index;
    return true;
}

bool chronos_parse_id(const char *text, uint64_t *ret_id)
{
    return parse_number(text, "p", ret_id);
}

int chronos_read_ids(int directory, const char *path, uint64_t **ret_numbers, size_t *ret_count)
{
    char *text, *rest, *line;
    uint64_t *numbers = NULL, id;
    size_t count = 0, room = 0;
    int r = chronos_read_all(directory, path, &text);
    if (r < 0)
        return r;
    for (rest = text; !r && (line = strsep(&rest, "\n"));) {
        if (!chronos_parse_id(line, &id))
            continue;
        r = array_reserve(numbers, room, count + 1);
        if (!r)
            numbers[count++] = id;
    }
    free(text);
    if (r < 0) {
        free(numbers);
        return r;
    }
    *ret_numbers = numbers;
    *ret_count = count;
    return 0;
}

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* Not fstatat, which newer C libraries have under a name that old ones lack. Call right after the
 * entry was read: the kernel has its attributes from the listing then. */
static bool is_owned(int directory, const char *name, uid_t owner)
{
    struct stat st;
    return syscall(SYS_newfstatat, directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_uid == owner;
}

/* `owner`: NULL for all. */
static int list(int directory, const char *path, const char *prefix, const uid_t *owner,
                uint64_t **ret_numbers, size_t *ret_count)
{
    int fd = chronos_open(directory, path, O_RDONLY | O_DIRECTORY);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int r = fd < 0 ? fd : -errno;
        fd_close(fd);
        return r;
    }
    uint64_t *numbers = NULL, found;
    size_t count = 0, room = 0;
    const struct dirent *entry;
    while ((entry = readdir(stream))) {
        if (!parse_number(entry->d_name, prefix, &found) ||
            (owner && !is_owned(fd, entry->d_name, *owner)))
            continue;
        if (array_reserve(numbers, room, count + 1) < 0) {
            free(numbers);
            closedir(stream);
            return -ENOMEM;
        }
        numbers[count++] = found;
    }
    closedir(stream);
    if (count > 1)
        qsort(numbers, count, sizeof(*numbers), compare);
    *ret_numbers = numbers;
    *ret_count = count;
    return 0;
}

int chronos_list(int directory, const char *path, const char *prefix, uint64_t **ret_numbers,
                 size_t *ret_count)
{
    return list(directory, path, prefix, NULL, ret_numbers, ret_count);
}

int chronos_list_mine(const struct chronos_mount *mount, uint64_t **ret_numbers, size_t *ret_count)
{
    int r = chronos_read_ids(mount->root, "mine", ret_numbers, ret_count);
    if (r != -ENOENT)
        return r;
    /* The version that serves the tree does not have the file: go through all. */
    return chronos_list_owned(mount->root, "partitions", "p", geteuid(), ret_numbers, ret_count);
}

int chronos_list_owned(int directory, const char *path, const char *prefix, uid_t owner,
                       uint64_t **ret_numbers, size_t *ret_count)
{
    return list(directory, path, prefix, &owner, ret_numbers, ret_count);
}
