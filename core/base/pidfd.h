/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of processes: unlike a pid, one never comes to mean another process. */
#ifndef CHRONOS_BASE_PIDFD_H
#define CHRONOS_BASE_PIDFD_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor that is readable once the process has ended, closed on exec; the caller
 * closes it. Or -errno: -ESRCH there is no such process, -EINVAL or -ENOENT (as the
 * kernel is) a thread that is none, -ENOSYS before Linux 5.3. */
int pidfd_new(pid_t pid);
/* Whether it has not ended: a zombie has. */
bool pidfd_lives(int pidfd);
/* 0 or -errno */
int pidfd_send(int pidfd, int signo);

#endif
