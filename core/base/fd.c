/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors; see fd.h. */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
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
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, size - 1);
    if (length < 0)
        length = -errno;
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length;
}
