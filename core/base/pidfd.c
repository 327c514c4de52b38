/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process descriptors; see pidfd.h. The system calls are made directly: libc learned them late, and
 * this file is also part of what is loaded into programs.
 */
#include "pidfd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

int pidfd_new(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

bool pidfd_lives(int pidfd)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 0;
}

int pidfd_send(int pidfd, int signo)
{
    siginfo_t info = {
        .si_signo = signo, .si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid()};
    info.si_value.sival_int = PIDFD_SIGNAL_VALUE;
    return syscall(SYS_pidfd_send_signal, pidfd, signo, &info, 0) ? -errno : 0;
}
