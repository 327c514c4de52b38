/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory and its lock. One mount at a time uses a directory; the
 * lock is held by an open descriptor that the workers inherit, so it is free
 * exactly when nobody is left who could write there.
 */
#ifndef CHRONOS_DAEMON_STATE_DIR_H
#define CHRONOS_DAEMON_STATE_DIR_H

#include "core/base/message.h"

/* Makes and locks `wanted`, or the default directory when it is "". Puts its
 * absolute name into ret_path[PATH_MAX]. The locked descriptor, or -errno with a
 * sentence. */
int state_dir_lock(const char *wanted, char *ret_path, struct message *message);
/* Writes into the lock who holds it, for others to read. 0 or -errno. */
int state_dir_sign(int lock_fd, const char *mount_point);

#endif
