/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory and its lock. One mount at a time uses a directory. An open descriptor holds
 * the lock; workers inherit it, so the lock is free only when no process is left that could write
 * there.
 */
#ifndef CHRONOS_DAEMON_STATE_DIR_H
#define CHRONOS_DAEMON_STATE_DIR_H

#include "core/base/message.h"

/* Create and lock `wanted`, or the default directory if it is "". Stores its absolute path in
 * ret_path[PATH_MAX]. Returns the locked descriptor, or -errno with a message. */
int state_dir_lock(const char *wanted, char *ret_path, struct message *message);
/* Write our pid and mount point into the lock file, for others to read. Returns 0 or -errno. */
int state_dir_sign(int lock_fd, const char *mount_point);

#endif
