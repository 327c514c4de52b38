/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read facts about one process from /proc. Use only files that the kernel can always serve: stat,
 * status and cgroup. Others, such as cmdline and environ, wait for locks that a process in state D
 * can hold.
 *
 * `proc_fd` is a descriptor of a procfs, or -1 for the one in use: /proc, until procfs_isolate.
 *
 * Any user can hold the directories of /proc: list one into memory that never answers, and let a
 * chmod wait behind that, permitted or not. Then a look-up there of a name that the kernel has
 * forgotten waits for ever. In a procfs of our own users hold nothing.
 */
#ifndef CHRONOS_BASE_PROCFS_H
#define CHRONOS_BASE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process at one moment, identified by pid and start: a pid alone can be reused at any time. Ids
 * are as seen from the reader's namespaces. */
struct procfs_process {
    pid_t pid;             /* of a process, never of a thread */
    uint64_t start;        /* clock ticks since boot, field 22 of /proc/PID/stat */
    uid_t uid, euid, suid; /* real, effective, saved: all must match for a user's own */
    gid_t gid;             /* real */
};

struct procfs_stat {
    pid_t pid, ppid;
    uint64_t start;
    char state;
    unsigned threads;
    bool is_kernel; /* a kernel thread */
    bool exiting;   /* this thread, which has closed its files or will soon */
};

/* All ids of a process, which decide what it may write. The caller frees `groups`. */
struct procfs_ids {
    uid_t uids[4]; /* real, effective, saved, filesystem */
    gid_t gids[4];
    gid_t *groups;
    size_t group_count;
};

/* Longest line of /proc/PID/cgroup: a path and the names of controllers. */
#define PROCFS_LINE_MAX 4352

/* Use a procfs that no user can reach, from now on, and make it the working directory. Needs
 * CAP_SYS_ADMIN; without it, nothing changes. Call it before there are threads. */
void procfs_isolate(void);
/* Return a descriptor of the directory `path`, or with NULL of the procfs in use; or -errno. */
int procfs_open(const char *path);
/* Print the path of a file of a process in the procfs in use, relative to the returned descriptor.
 */
#define PROCFS_PATH_MAX 64
int procfs_at(pid_t pid, const char *file, char ret_path[static PROCFS_PATH_MAX]);
/* Print the path of a file in the procfs in use, such as "self/exe", for calls that take no
 * descriptor. */
void procfs_path(const char *file, char ret_path[static PROCFS_PATH_MAX]);

/* Read stat of a process or thread. 0 or -errno (-ESRCH: no such process or thread). */
int procfs_stat_read(int proc_fd, pid_t pid, struct procfs_stat *ret_stat);
/* Return whether all threads of the process have ended. A process whose main thread has ended is
 * also shown as a zombie, but still has others. */
bool procfs_stat_gone(const struct procfs_stat *stat);

/* Read a process consistently: the record is of a single process. *ret_pidfd (NULL: not wanted) is
 * for the caller to close. Errors: -ESRCH no such process, or a zombie; -EINVAL `pid` is a kernel
 * thread or a thread that is not a process (see procfs_leader). */
int procfs_process_read(int proc_fd, pid_t pid, struct procfs_process *ret_process, int *ret_pidfd);
/* Like procfs_process_read, for a process seen before. -ESRCH if it is another process now, -EAGAIN
 * if its ids changed. */
int procfs_process_reread(int proc_fd, const struct procfs_process *process, int *ret_pidfd);
/* Return the pid of the process that thread `tid` belongs to, or -errno (-ESRCH: no such
 * thread). */
pid_t procfs_leader(int proc_fd, pid_t tid);
/* Return the pid that a process has in its own pid namespace, or -errno. */
pid_t procfs_inner_pid(int proc_fd, pid_t pid);
int procfs_ids_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids);
/* Read the path of its cgroup v2, as in /proc/PID/cgroup. 0 or -errno (-ESRCH: no such process or
 * no such cgroup). */
int procfs_cgroup_read(int proc_fd, pid_t pid, char ret_path[static PROCFS_LINE_MAX]);

/* Return whether a process runs no code of its own any more: all its threads are exiting, which can
 * take long in a driver, or there is none. */
bool procfs_is_exiting(pid_t pid);

/* Return the present time in the unit of field 22 of stat. */
uint64_t procfs_ticks(void);

#endif
