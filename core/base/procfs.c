/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading /proc/PID/stat and status. A pid means nothing by itself: whoever reads two
 * files of one process opens a descriptor of it first and looks afterwards whether it
 * still lives; only then both were about the same process. Names of processes are
 * chosen by their users: ") R 1" is one, so fields are counted from the last ")".
 */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD in field 9 of stat */

int message_set(int rc, char *message, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, size, format, arguments);
    va_end(arguments);
    return rc;
}

int fd_close(int fd)
{
    if (fd >= 0)
        close(fd);
    return -1;
}

uint64_t procfs_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec * per_second / 1000000000;
}

static int open_file(int proc_fd, pid_t pid, const char *file)
{
    char path[64];
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
    if (after == NULL ||
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
    close(fd);
    if (length <= 0)
        return -ESRCH;
    text[length] = '\0';
    ret_stat->pid = pid;
    return stat_parse(text, ret_stat) ? 0 : -EPROTO;
}

bool procfs_stat_gone(const struct procfs_stat *stat)
{
    bool ended = stat->state == 'Z' || stat->state == 'X' || stat->state == 'x';
    return ended && stat->threads <= 1;
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
    return pidfd_send_signal(pidfd, signo, &info, 0) != 0 ? -errno : 0;
}

static int groups_parse(const char *text, struct procfs_ids *ids)
{
    size_t room = strlen(text) / 2 + 1;
    char *end;
    free(ids->groups);
    ids->group_count = 0;
    ids->groups = calloc(room, sizeof(*ids->groups));
    if (ids->groups == NULL)
        return -ENOMEM;
    for (unsigned long gid = strtoul(text, &end, 10); end != text; gid = strtoul(text, &end, 10)) {
        ids->groups[ids->group_count++] = (gid_t)gid;
        text = end;
    }
    return 0;
}

/* The lines of status that matter. The kernel escapes newlines in the name. */
static int status_parse(FILE *file, struct procfs_ids *ids, pid_t *ret_tgid)
{
    char *line = NULL;
    size_t room = 0;
    int found = 0, rc = 0, tgid;
    unsigned n[4];
    while (rc == 0 && getline(&line, &room, file) > 0) {
        if (sscanf(line, "Tgid: %d", &tgid) == 1) {
            *ret_tgid = tgid;
            found |= 1;
        } else if (sscanf(line, "Uid: %u %u %u %u", &n[0], &n[1], &n[2], &n[3]) == 4) {
            memcpy(ids->uids, n, sizeof(ids->uids));
            found |= 2;
        } else if (sscanf(line, "Gid: %u %u %u %u", &n[0], &n[1], &n[2], &n[3]) == 4) {
            memcpy(ids->gids, n, sizeof(ids->gids));
            found |= 4;
        } else if (strncmp(line, "Groups:", 7) == 0) {
            rc = groups_parse(line + 7, ids);
            found |= 8;
        }
    }
    free(line);
    if (rc == 0 && found != 15)
        rc = -ESRCH; /* it ended while we read */
    return rc;
}

static int status_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids, pid_t *ret_tgid)
{
    int fd = open_file(proc_fd, pid, "status");
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    *ret_ids = (struct procfs_ids){.groups = NULL};
    if (file == NULL) {
        fd_close(fd);
        return fd < 0 ? fd : -ENOMEM;
    }
    int rc = status_parse(file, ret_ids, ret_tgid);
    fclose(file);
    if (rc != 0) {
        free(ret_ids->groups);
        ret_ids->groups = NULL;
    }
    return rc;
}

int procfs_ids_read(int proc_fd, pid_t pid, struct procfs_ids *ret_ids)
{
    pid_t tgid;
    return status_read(proc_fd, pid, ret_ids, &tgid);
}

pid_t procfs_leader(int proc_fd, pid_t tid)
{
    struct procfs_ids ids;
    pid_t tgid = 0;
    int rc = status_read(proc_fd, tid, &ids, &tgid);
    if (rc != 0)
        return rc;
    free(ids.groups);
    return tgid;
}

/* All that procfs_look reads; whether it was one process is for the caller to see. */
static int look_inside(int proc_fd, pid_t pid, struct proctrack_process *process)
{
    struct procfs_stat stat;
    struct procfs_ids ids;
    pid_t tgid = 0;
    int rc = procfs_stat_read(proc_fd, pid, &stat);
    if (rc != 0)
        return rc;
    if (procfs_stat_gone(&stat))
        return -ESRCH;
    if (stat.is_kernel)
        return -EINVAL;
    rc = status_read(proc_fd, pid, &ids, &tgid);
    if (rc != 0)
        return rc;
    free(ids.groups);
    *process = (struct proctrack_process){.pid = pid,
                                          .start = stat.start,
                                          .uid = ids.uids[0],
                                          .euid = ids.uids[1],
                                          .suid = ids.uids[2],
                                          .gid = ids.gids[0]};
    return tgid == pid ? 0 : -EINVAL;
}

int procfs_look(int proc_fd, pid_t pid, struct proctrack_process *ret_process, int *ret_pidfd)
{
    struct proctrack_process process;
    struct procfs_stat stat;
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 && (errno == EINVAL || errno == ENOENT)) /* a thread, or nobody at all */
        return procfs_stat_read(proc_fd, pid, &stat) == 0 ? -EINVAL : -ESRCH;
    if (pidfd < 0)
        return -errno;
    int rc = look_inside(proc_fd, pid, &process);
    if (rc != -ESRCH && !pidfd_lives(pidfd))
        rc = -ESRCH;
    if (rc == 0)
        *ret_process = process;
    if (rc == 0 && ret_pidfd != NULL)
        *ret_pidfd = pidfd;
    else
        close(pidfd);
    return rc;
}

int procfs_look_again(int proc_fd, const struct proctrack_process *process, int *ret_pidfd)
{
    struct proctrack_process now = {.pid = 0};
    int rc = procfs_look(proc_fd, process->pid, &now, ret_pidfd);
    if (rc != 0)
        return rc == -EINVAL ? -ESRCH : rc;
    if (now.start != process->start)
        rc = -ESRCH;
    else if (now.uid != process->uid || now.euid != process->euid || now.suid != process->suid)
        rc = -EAGAIN;
    if (rc != 0)
        *ret_pidfd = fd_close(*ret_pidfd);
    return rc;
}
