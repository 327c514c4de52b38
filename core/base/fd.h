/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: closing, and reading small files in one go. */
#ifndef CHRONOS_BASE_FD_H
#define CHRONOS_BASE_FD_H

#include <sys/types.h>

/* Close fd if it is open (fd >= 0); preserves errno. Return -1, to assign to the variable. */
int fd_close(int fd);

/* Read a procfs file or another small file with a single read. `path` is relative to `dir_fd` as in
 * openat. The text is NUL-terminated and truncated to size - 1 bytes. Return its length, or -errno
 * and an empty text. */
ssize_t fd_read_text(int dir_fd, const char *path, char *text, size_t size);

#endif
