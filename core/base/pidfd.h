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
/* Signals are queued with this value (sigqueue(3)): a process that stands in for another
 * member of its partition, as `chronos run` does, knows that the other has its own. */
#define PIDFD_SIGNAL_VALUE 0x6368726f
/* 0 or -errno */
int pidfd_send(int pidfd, int signo);

#endif
