/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting and unmounting, and what must be true of a mount point before. It
 * opens the connection to the kernel but says nothing on it; the first thing the
 * kernel says there, FUSE_INIT, is read and kept here.
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
    char point[PATH_MAX]; /* absolute, no links */
    char device[32];      /* "0:53" in /proc/self/mountinfo: which mount is ours */
    int fd;               /* the connection; -1 when there is none */
    /* libfuse's, kept to the end: it lets go of all its memory only when it is
     * libfuse that unmounts, which is less careful than mount_close(). */
    struct fuse_session *session;
};

/* Finds the real name of `path` and makes sure one can mount there. A dead mount
 * of our own kind that lies on it is taken away. `other`, a directory that must
 * stay in reach, may not lie below. 0, or -errno and a sentence. */
int mount_prepare(struct mount *mount, const char *path, const char *other,
                  struct message *message);
/* Whether this user may ask for allow_other. 0, or -EPERM and a sentence. */
int mount_check_allow_other(struct message *message);
/* 0 and mount->fd (close-on-exec, blocking), or -errno and a sentence. */
int mount_open(struct mount *mount, bool allow_other, bool read_only, struct message *message);
/* Reads the kernel's greeting. 0, or -errno and a sentence. */
int mount_read_init(const struct mount *mount, char *buffer, size_t room, uint32_t *ret_length,
                    struct message *message);
/* Whether a chronosfs lies on exactly this directory, alive or dead. */
bool mount_is_there(const char *point);
/* Takes the mount away if it is still there and the uppermost one, and closes the
 * connection. 0: it was there; 1: somebody had done it; -errno: it is still there. */
int mount_close(struct mount *mount);

#endif
