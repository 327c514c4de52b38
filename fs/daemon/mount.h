/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount and unmount, and check mount points. It opens the connection to the kernel and reads the
 * first request, FUSE_INIT, but never replies.
 */
#ifndef CHRONOS_DAEMON_MOUNT_H
#define CHRONOS_DAEMON_MOUNT_H

#include "core/base/message.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_session;

struct mount {
    char point[PATH_MAX]; /* absolute, without symbolic links */
    char device[32];      /* "0:53" in /proc/self/mountinfo: identifies our mount */
    int fd;               /* the connection; -1: none */
    /* Kept until the process ends: libfuse frees all its memory only when it unmounts itself, less
     * carefully than mount_close(). */
    struct fuse_session *session;
};

/* Resolve `path` and check that it can be mounted on. Removes dead chronosfs mounts from it.
 * `other`, a directory that must stay reachable, must not be below it. Returns 0, or -errno with a
 * message. */
int mount_prepare(struct mount *mount, const char *path, const char *other,
                  struct message *message);
/* Check whether this user may use allow_other. Returns 0, or -EPERM with a message. */
int mount_check_allow_other(struct message *message);
/* Mount with this source. Returns 0 and sets mount->fd (close-on-exec, blocking), or returns -errno
 * with a message. */
int mount_open(struct mount *mount, const char *source, bool allow_other, bool read_only,
               struct message *message);
/* Read the kernel's FUSE_INIT request. Returns 0, or -errno with a message. */
int mount_read_init(const struct mount *mount, char *buffer, size_t room, uint32_t *ret_length,
                    struct message *message);
/* True if a chronosfs, alive or dead, is mounted on exactly this directory. */
bool mount_is_there(const char *point);
/* Make the tree on `path` read-only or writable. Returns 0, or -errno with a message. */
int mount_change(const char *path, bool read_only, struct message *message);
/* Unmount if our mount is still there and topmost, and close the connection. Returns 0 if it was
 * there, 1 if it was already unmounted, -errno if it is still mounted. */
int mount_close(struct mount *mount);

#endif
