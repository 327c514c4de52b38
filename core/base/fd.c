/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors; see fd.h. */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int fd_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
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
    if (statx(dir_fd, path, AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_INO | STATX_TYPE, &file) == 0) {
        *ret_file =
            (struct fd_identity){makedev(file.stx_dev_major, file.stx_dev_minor), file.stx_ino};
        return 0;
    }
    /* As an older kernel or container runtime answers; EINVAL is libc's for it. */
    if (errno != ENOSYS && errno != EPERM && errno != EINVAL)
        return -errno;
    if (fstatat(dir_fd, path, &old, AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0)
        return -errno;
    *ret_file = (struct fd_identity){old.st_dev, old.st_ino};
    return 0;
}
