/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors; see fd.h. This file is also part of what is loaded into programs, which may
 * have an older libc: system calls that libc learned late are made directly.
 */
#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

int fd_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

/* Not with fcntl(): the name that libc has for it depends on its age. */
int fd_above_streams(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    long moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int r = moved < 0 ? -errno : (int)moved;
    close(fd);
    return r;
}

/* The smallest kept descriptor from `low` on; UINT_MAX: none. */
static unsigned next_kept(unsigned low, const int *keep, size_t count)
{
    unsigned next = UINT_MAX;
    for (size_t i = 0; i < count; i++) {
        if (keep[i] >= 0 && (unsigned)keep[i] >= low && (unsigned)keep[i] < next)
            next = (unsigned)keep[i];
    }
    return next;
}

static bool close_ranges(unsigned low, const int *keep, size_t count)
{
    for (unsigned next = 0; next != UINT_MAX; low = next + 1) {
        next = next_kept(low, keep, count);
        if (next > low && syscall(SYS_close_range, low, next - (next != UINT_MAX), 0u) != 0)
            return false;
    }
    return true;
}

static void close_one(unsigned fd, unsigned low, const int *keep, size_t count)
{
    if (fd >= low && next_kept(fd, keep, count) != fd)
        close((int)fd);
}

/* Users can hold /proc, but not the procfs that is the working directory after procfs_isolate. */
static int open_list(void)
{
    struct statfs here;
    int list = -1;
    if (statfs(".", &here) == 0 && here.f_type == PROC_SUPER_MAGIC)
        list = open("self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return list < 0 ? open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : list;
}

/* A limit can be a thousand million: try every number only where there is no list. */
static void close_each(unsigned low, const int *keep, size_t count)
{
    _Alignas(struct dirent64) char entries[4096];
    ssize_t length;
    int list = open_list();
    if (list < 0) {
        for (unsigned fd = low, end = (unsigned)sysconf(_SC_OPEN_MAX); fd < end; fd++)
            close_one(fd, low, keep, count);
        return;
    }
    while ((length = syscall(SYS_getdents64, list, entries, sizeof(entries))) > 0) {
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            unsigned fd = (unsigned)strtoul(entry->d_name, NULL, 10);
            if (entry->d_name[0] != '.' && fd != (unsigned)list)
                close_one(fd, low, keep, count);
            at += entry->d_reclen;
        }
    }
    close(list);
}

void fd_close_others(unsigned low, const int *keep, size_t count)
{
    if (!close_ranges(low, keep, count))
        close_each(low, keep, count);
}

ssize_t fd_read_text(int dir_fd, const char *path, char *text, size_t size)
{
    text[0] = '\0';
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, size - 1);
    if (length < 0)
        length = -errno;
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length;
}

int fd_identify(int dir_fd, const char *path, struct fd_identity *ret_file)
{
    struct statx file;
    struct stat old;
    if (syscall(SYS_statx, dir_fd, path, AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                STATX_INO | STATX_TYPE, &file) == 0) {
        *ret_file =
            (struct fd_identity){makedev(file.stx_dev_major, file.stx_dev_minor), file.stx_ino};
        return 0;
    }
    /* As an older kernel or container runtime answers. */
    if (errno != ENOSYS && errno != EPERM)
        return -errno;
    if (syscall(SYS_newfstatat, dir_fd, path, &old, AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0)
        return -errno;
    *ret_file = (struct fd_identity){old.st_dev, old.st_ino};
    return 0;
}
