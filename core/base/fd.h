/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: closing, and reading small files whole. */
#ifndef CHRONOS_BASE_FD_H
#define CHRONOS_BASE_FD_H

#include <sys/types.h>

/* Closes what is open (fd >= 0) and keeps errno. Returns -1, for the variable. */
int fd_close(int fd);

/* Reads a file of the kernel, or one as small, with one read. `path` is relative to
 * `dir_fd` as in openat. The text ends with NUL and is cut to size - 1 bytes. Returns its
 * length, or -errno with an empty text. */
ssize_t fd_read_text(int dir_fd, const char *path, char *text, size_t size);

#endif
