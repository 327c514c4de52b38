/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc tells about one process, and descriptors of processes (pidfds). Only
 * files that the kernel can always answer are read: stat, status and cgroup. cmdline,
 * environ and the like wait for locks that a process in state D may hold.
 */
#ifndef CHRONOS_BASE_PROCFS_H
#define CHRONOS_BASE_PROCFS_H

#include "core/proctrack/proctrack.h"

struct procfs_stat {
    pid_t pid, ppid;
    uint64_t start;
    char state;
    unsigned threads;
    bool is_kernel; /* a thread of the kernel */
};

/* What a process may be allowed to write: all its ids. Freed by the caller. */
struct procfs_ids {
    uid_t uids[4]; /* real, effective, saved, of files */
    gid_t gids[4];
    gid_t *groups;
    size_t group_count;
};

/* No line of /proc/PID/cgroup is longer: a path and the names of controllers. */
#define PROC_LINE_MAX 4352

/* -ESRCH if there is no such process or thread. */
int procfs_stat_read(int proc_fd, pid_t pid, struct procfs_stat *ret_stat);
/* Whether all its threads have ended. One whose first thread has ended is shown as a
 * zombie as well, but has others. */
bool procfs_stat_gone(const struct procfs_stat *stat);

/* proctrack_look; *ret_pidfd (may be NULL) stays open for the caller to close. */
int procfs_look(int proc_fd, pid_t pid, struct proctrack_process *ret_process, int *ret_pidfd);
/* proctrack_leader */
pid_t procfs_leader(int proc_fd, pid_t tid);
int procfs_ids_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids);
/* As procfs_look, and the same process with the same ids as before, or -ESRCH, -EAGAIN. */
int procfs_look_again(int proc_fd, const struct proctrack_process *process, int *ret_pidfd);

/* Not ended, not a zombie. */
bool pidfd_lives(int pidfd);
/* Signals are queued with this value (sigqueue(3)): a process that stands in for another
 * member of its partition, as `chronos run` does, knows that the other has its own. */
#define PIDFD_SIGNAL_VALUE 0x6368726f
/* 0 or -errno */
int pidfd_send(int pidfd, int signo);
/* Close what is open; returns -1. */
int fd_close(int fd);
/* Now, as field 22 of stat would say it. */
uint64_t procfs_ticks(void);
/* The formatted message; returns rc. */
int message_set(int rc, char *message, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
