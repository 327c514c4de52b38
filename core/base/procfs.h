/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says about one process. Only files that the kernel can always answer are
 * read: stat, status and cgroup. cmdline, environ and the like wait for locks that a
 * process in state D may hold.
 *
 * `proc_fd` is a descriptor of a procfs; -1 is the one at /proc.
 */
#ifndef CHRONOS_BASE_PROCFS_H
#define CHRONOS_BASE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process, as it was at one moment. pid and start name it: a pid alone can be given
 * to another process any time. Ids are as seen from the reader's namespaces. */
struct procfs_process {
    pid_t pid;             /* of the process, never of a thread */
    uint64_t start;        /* in clock ticks since boot, field 22 of /proc/PID/stat */
    uid_t uid, euid, suid; /* it is a user's own process if all three are theirs */
    gid_t gid;             /* the real one */
};

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
#define PROCFS_LINE_MAX 4352

/* -ESRCH if there is no such process or thread. */
int procfs_stat_read(int proc_fd, pid_t pid, struct procfs_stat *ret_stat);
/* Whether all its threads have ended. One whose first thread has ended is shown as a
 * zombie as well, but has others. */
bool procfs_stat_gone(const struct procfs_stat *stat);

/* Reads a process whole: the record is of one process. *ret_pidfd (may be NULL) stays open
 * for the caller to close. -ESRCH there is none (any more), or it has ended and waits for
 * its parent (a zombie); -EINVAL `pid` is a thread that is no process (see procfs_leader)
 * or a kernel thread. */
int procfs_look(int proc_fd, pid_t pid, struct procfs_process *ret_process, int *ret_pidfd);
/* As procfs_look, and the same process with the same ids as before, or -ESRCH, -EAGAIN. */
int procfs_look_again(int proc_fd, const struct procfs_process *process, int *ret_pidfd);
/* The process that thread `tid` belongs to, or -ESRCH. */
pid_t procfs_leader(int proc_fd, pid_t tid);
int procfs_ids_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids);
/* The path of its cgroup v2, as in /proc/PID/cgroup. 0 or -ESRCH. */
int procfs_cgroup_read(int proc_fd, pid_t pid, char ret_path[static PROCFS_LINE_MAX]);

/* Now, as field 22 of stat would say it. */
uint64_t procfs_ticks(void);

#endif
