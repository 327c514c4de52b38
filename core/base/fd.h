/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: closing, reading small files in one go, and recognizing files. */
#ifndef CHRONOS_BASE_FD_H
#define CHRONOS_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Close fd if it is open (fd >= 0); preserves errno. Return -1, to assign to the variable. */
int fd_close(int fd);
/* Move fd away from the numbers of the standard streams, where a program that has closed them would
 * read and print. Return the number to keep, or -errno with fd closed; a negative fd as it is. */
int fd_above_streams(int fd);
/* Close all descriptors from `low` on but those of `keep`; negative ones there mean nothing. Works
 * where close_range(2) is missing or refused. Call it in a process with one thread. */
void fd_close_others(unsigned low, const int *keep, size_t count);

/* Read a procfs file or another small file with a single read. `path` is relative to `dir_fd` as in
 * openat. The text is NUL-terminated and truncated to size - 1 bytes. Do not wait for a lease that
 * another process holds (-EAGAIN). Return its length, or -errno and an empty text. */
ssize_t fd_read_text(int dir_fd, const char *path, char *text, size_t size);

struct fd_identity {
    dev_t device;
    ino_t inode;
};
/* Identify the file of `path`, or of dir_fd itself if `path` is "". The kernel answers from its
 * cache, without a request to the filesystem, wherever statx is available. 0 or -errno. */
int fd_identify(int dir_fd, const char *path, struct fd_identity *ret_file);

#endif
