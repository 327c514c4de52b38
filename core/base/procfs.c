/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading /proc/PID; see procfs.h. A pid alone identifies nothing: to read two files of one
 * process, open a descriptor of the process first and check afterwards that it is still alive.
 * Users choose the names of processes, and ") R 1" is a valid name, so count fields from the last
 * ")".
 */
#include "procfs.h"

#include "clock.h"
#include "fd.h"
#include "pidfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD in field 9 of stat */

uint64_t procfs_ticks(void)
{
    struct timespec now = clock_timespec(clock_boottime_ns());
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec * per_second / NS_PER_SECOND;
}

static int own_fd = -1; /* of this process, set once at its start */

void procfs_isolate(void)
{
    int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    if (context >= 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        own_fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    fd_close(context);
    if (own_fd >= 0 && fchdir(own_fd) != 0)
        own_fd = fd_close(own_fd);
}

void procfs_path(const char *file, char ret_path[static PROCFS_PATH_MAX])
{
    snprintf(ret_path, PROCFS_PATH_MAX, "%s%s", own_fd < 0 ? "/proc/" : "", file);
}

int procfs_open(const char *path)
{
    int at = path || own_fd < 0 ? AT_FDCWD : own_fd;
    const char *name = path ? path : own_fd < 0 ? "/proc" : ".";
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int procfs_at(pid_t pid, const char *file, char ret_path[static PROCFS_PATH_MAX])
{
    snprintf(ret_path, PROCFS_PATH_MAX, "%s%d/%s", own_fd < 0 ? "/proc/" : "", pid, file);
    return own_fd < 0 ? AT_FDCWD : own_fd;
}

/* -ESRCH: the process is gone, or hidden from us. */
static int open_file(int proc_fd, pid_t pid, const char *file)
{
    char path[PROCFS_PATH_MAX];
    if (proc_fd < 0)
        proc_fd = procfs_at(pid, file, path);
    else
        snprintf(path, sizeof(path), "%d/%s", pid, file);
    int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return errno == ENOENT || errno == EACCES || errno == EPERM ? -ESRCH : -errno;
}

static bool stat_parse(const char *text, struct procfs_stat *stat)
{
    const char *after = strrchr(text, ')');
    unsigned flags;
    unsigned long long start;
    int ppid;
    if (!after ||
        sscanf(after + 1,
               " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %llu",
               &stat->state, &ppid, &flags, &stat->threads, &start) != 5)
        return false;
    stat->ppid = ppid;
    stat->start = start;
    stat->is_kernel = (flags & KERNEL_THREAD) != 0;
    return true;
}

int procfs_stat_read(int proc_fd, pid_t pid, struct procfs_stat *ret_stat)
{
    char text[1024];
    int fd = open_file(proc_fd, pid, "stat");
    if (fd < 0)
        return fd;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    int r = length > 0 ? 0 : length < 0 ? -errno : -ESRCH;
    close(fd);
    if (r)
        return r;
    text[length] = '\0';
    ret_stat->pid = pid;
    return stat_parse(text, ret_stat) ? 0 : -EPROTO;
}

bool procfs_stat_gone(const struct procfs_stat *stat)
{
    bool ended = stat->state == 'Z' || stat->state == 'X' || stat->state == 'x';
    return ended && stat->threads <= 1;
}

static int groups_parse(const char *text, struct procfs_ids *ids)
{
    size_t room = strlen(text) / 2 + 1;
    char *end;
    free(ids->groups);
    ids->group_count = 0;
    ids->groups = calloc(room, sizeof(*ids->groups));
    if (!ids->groups)
        return -ENOMEM;
    for (unsigned long gid = strtoul(text, &end, 10); end != text; gid = strtoul(text, &end, 10)) {
        ids->groups[ids->group_count++] = (gid_t)gid;
        text = end;
    }
    return 0;
}

/* Parse the relevant lines of status. The kernel escapes newlines in the name. */
static int status_parse(FILE *file, struct procfs_ids *ids, pid_t *ret_tgid)
{
    char *line = NULL;
    size_t room = 0;
    int seen = 0, r = 0, tgid;
    unsigned n[4];
    while (!r && getline(&line, &room, file) > 0) {
        if (sscanf(line, "Tgid: %d", &tgid) == 1) {
            *ret_tgid = tgid;
            seen |= 1;
        } else if (sscanf(line, "Uid: %u %u %u %u", &n[0], &n[1], &n[2], &n[3]) == 4) {
            memcpy(ids->uids, n, sizeof(ids->uids));
            seen |= 2;
        } else if (sscanf(line, "Gid: %u %u %u %u", &n[0], &n[1], &n[2], &n[3]) == 4) {
            memcpy(ids->gids, n, sizeof(ids->gids));
            seen |= 4;
        } else if (strncmp(line, "Groups:", 7) == 0) {
            r = groups_parse(line + 7, ids);
            seen |= 8;
        }
    }
    free(line);
    if (!r && seen != 15)
        r = ferror(file) ? -EIO : -ESRCH; /* it ended during the read */
    return r;
}

static int status_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids, pid_t *ret_tgid)
{
    int fd = open_file(proc_fd, pid, "status");
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    *ret_ids = (struct procfs_ids){.groups = NULL};
    if (!file) {
        fd_close(fd);
        return fd < 0 ? fd : -ENOMEM;
    }
    int r = status_parse(file, ret_ids, ret_tgid);
    fclose(file);
    if (r) {
        free(ret_ids->groups);
        ret_ids->groups = NULL;
    }
    return r;
}

int procfs_ids_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids)
{
    pid_t tgid;
    return status_read(proc_fd, pid, ret_ids, &tgid);
}

/* Every write to the tree asks this. Do not read `status`: the kernel prints all of it for the
 * first byte, which takes tens of milliseconds for a process with 65,536 groups, and every user
 * with a range of subordinate gids can have one. The first thread in `task` is the leader; there is
 * no room for more, because the kernel looks each one up. */
pid_t procfs_leader(int proc_fd, pid_t tid)
{
    struct dirent64 entries[1];
    const size_t room = 24 + 24 + 32; /* for ".", ".." and a number */
    int fd = open_file(proc_fd, tid, "task");
    if (fd < 0)
        return fd == -ENOENT ? -ESRCH : fd;
    ssize_t length = syscall(SYS_getdents64, fd, entries, room);
    pid_t leader = length < 0 ? -errno : -ESRCH;
    for (ssize_t at = 0; at < length && leader <= 0;) {
        const struct dirent64 *entry = (const void *)((const char *)entries + at);
        if (entry->d_name[0] != '.')
            leader = (pid_t)strtol(entry->d_name, NULL, 10);
        at += entry->d_reclen;
    }
    close(fd);
    return leader;
}

pid_t procfs_inner_pid(int proc_fd, pid_t pid)
{
    int fd = open_file(proc_fd, pid, "status");
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        fd_close(fd);
        return fd < 0 ? fd : -ENOMEM;
    }
    char *line = NULL;
    size_t room = 0;
    pid_t inner = -ESRCH;
    while (inner < 0 && getline(&line, &room, file) > 0) {
        const char *last = strrchr(line, '\t');
        if (last && strncmp(line, "NSpid:", 6) == 0)
            inner = (pid_t)strtol(last, NULL, 10);
    }
    free(line);
    fclose(file);
    return inner;
}

/* Read everything procfs_process_read needs. The caller checks that it was a single process. */
static int process_read(int proc_fd, pid_t pid, struct procfs_process *process)
{
    struct procfs_stat stat;
    struct procfs_ids ids;
    pid_t tgid = 0;
    int r = procfs_stat_read(proc_fd, pid, &stat);
    if (r)
        return r;
    if (procfs_stat_gone(&stat))
        return -ESRCH;
    if (stat.is_kernel)
        return -EINVAL;
    r = status_read(proc_fd, pid, &ids, &tgid);
    if (r)
        return r;
    free(ids.groups);
    *process = (struct procfs_process){.pid = pid,
                                       .start = stat.start,
                                       .uid = ids.uids[0],
                                       .euid = ids.uids[1],
                                       .suid = ids.uids[2],
                                       .gid = ids.gids[0]};
    return tgid == pid ? 0 : -EINVAL;
}

int procfs_process_read(int proc_fd, pid_t pid, struct procfs_process *ret_process, int *ret_pidfd)
{
    struct procfs_process process;
    struct procfs_stat stat;
    int pidfd = pidfd_new(pid);
    if (pidfd == -EINVAL || pidfd == -ENOENT) /* a thread, or no process at all */
        return procfs_stat_read(proc_fd, pid, &stat) == 0 ? -EINVAL : -ESRCH;
    if (pidfd < 0)
        return pidfd;
    int r = process_read(proc_fd, pid, &process);
    if (r != -ESRCH && !pidfd_lives(pidfd))
        r = -ESRCH;
    if (!r)
        *ret_process = process;
    if (!r && ret_pidfd)
        *ret_pidfd = pidfd;
    else
        close(pidfd);
    return r;
}

int procfs_process_reread(int proc_fd, const struct procfs_process *process, int *ret_pidfd)
{
    struct procfs_process now = {.pid = 0};
    int r = procfs_process_read(proc_fd, process->pid, &now, ret_pidfd);
    if (r)
        return r == -EINVAL ? -ESRCH : r;
    if (now.start != process->start)
        r = -ESRCH;
    else if (now.uid != process->uid || now.euid != process->euid || now.suid != process->suid)
        r = -EAGAIN;
    if (r)
        *ret_pidfd = fd_close(*ret_pidfd);
    return r;
}

int procfs_cgroup_read(int proc_fd, pid_t pid, char ret_path[static PROCFS_LINE_MAX])
{
    char line[PROCFS_LINE_MAX];
    int fd = open_file(proc_fd, pid, "cgroup");
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        fd_close(fd);
        return fd < 0 ? fd : -ENOMEM;
    }
    bool found = false;
    while (!found && fgets(line, sizeof(line), file))
        found = strncmp(line, "0::/", 4) == 0;
    int r = found ? 0 : ferror(file) ? -EIO : -ESRCH;
    fclose(file);
    if (r)
        return r;
    line[strcspn(line, "\n")] = '\0';
    snprintf(ret_path, PROCFS_LINE_MAX, "%s", line + 3);
    return 0;
}
