/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detach from the terminal, and report readiness to the waiting parent process and to systemd.
 */
#ifndef CHRONOS_DAEMON_DETACH_H
#define CHRONOS_DAEMON_DETACH_H

#include <stddef.h>

/* Continue in a new process in a session of its own. The original process waits for detach_ready()
 * and exits with 0, or with 1 if it never comes. stderr still reaches the terminal. Returns the
 * descriptor for detach_ready(), or -errno. */
int detach_start(void);
/* Let the waiting process exit with 0 and detach from the terminal for good. Returns 0, or -EPIPE
 * if no process waits any more. */
int detach_ready(int fd);
/* Send lines ("READY=1") to NOTIFY_SOCKET, if it is set. */
void detach_notify(const char *lines);
/* Make a path absolute, but for "", while the working directory is still the caller's. 0 or
 * -errno. */
int detach_absolute(char *path, size_t size);

#endif
