/* SPDX-License-Identifier: Apache-2.0 */
/* Process descriptors: unlike a pid, a descriptor is never reused for another process. */
#ifndef CHRONOS_BASE_PIDFD_H
#define CHRONOS_BASE_PIDFD_H

#include <stdbool.h>
#include <sys/types.h>

/* Open a descriptor that becomes readable when the process ends; close-on-exec. The caller closes
 * it. Errors: -ESRCH no such process; -EINVAL or -ENOENT, depending on the kernel, a thread that is
 * not a process; -ENOSYS before Linux 5.3. */
int pidfd_new(pid_t pid);
/* Return whether the process has not ended. A zombie has ended. */
bool pidfd_lives(int pidfd);
/* Signals are queued with this value (sigqueue(3)), so that a process that passes signals on to
 * another member of its partition, as `chronos run` does, knows that the other got its own. */
#define PIDFD_SIGNAL_VALUE 0x6368726f
/* Send a signal. 0 or -errno. */
int pidfd_send(int pidfd, int signo);

#endif
