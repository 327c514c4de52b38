/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins a process to a partition because a user wrote its pid to `procs`. All three uids of
 * the process must be the writer's: a setuid program that the writer started is not the
 * writer's to move.
 */
#include "internal.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Translates a pid of another pid namespace into ours. Linux 6.11, newer than the headers of
 * Debian 12. */
#define NS_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)

/* The writer waits for the answer, so its pid is still its own. The pid that it wrote counts
 * in its own pid namespace. -ESRCH: there is no such process there. */
static int translate(const struct host *host, const struct host_join *join, int32_t *ret_pid)
{
    char path[64];
    struct stat st;
    *ret_pid = join->pid ? join->pid : join->writer_pid;
    if (join->pid == 0)
        return *ret_pid > 0 ? 0 : -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)join->writer_pid);
    int fd = join->writer_pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st)) {
        fd_close(fd);
        /* Unknown: the pid could mean another process here. */
        return -EACCES;
    }
    int r = 0;
    if ((uint64_t)st.st_ino != host->start.own_pid_ns) {
        *ret_pid = ioctl(fd, NS_TGID_FROM_PIDNS, join->pid);
        r = *ret_pid > 0 ? 0 : errno == ESRCH ? -ESRCH : -EACCES;
    }
    fd_close(fd);
    return r;
}

static int refuse(struct host_result *result, int code, const char *format, int32_t pid)
{
    snprintf(result->message, ENGINE_MESSAGE_MAX, format, (int)pid);
    return code;
}

static bool is_own(const struct host_join *join, const struct procfs_process *process)
{
    return join->admin ||
           (process->uid == join->uid && process->euid == join->uid && process->suid == join->uid);
}

/* A daemon without privilege can only end programs of its own user, and must not accept a
 * process that it could not end. */
static bool can_end(const struct procfs_process *process)
{
    uid_t self = geteuid();
    return self == 0 || (process->uid == self && process->suid == self);
}

/* When a program changes its uids on the way, the decision is made again this often. */
#define TRIES 5

static int join(struct host *host, const struct host_join *join, struct host_result *result)
{
    struct procfs_process process;
    struct message message = {""};
    int32_t pid;
    int r = translate(host, join, &pid);
    if (r == -EACCES)
        return refuse(result, r,
                      "Process %d cannot be found from here; let it write 0 to procs itself.",
                      join->pid);
    if (!r && join->pid == 0)
        pid = proctrack_leader(host->proctrack, pid);
    for (int try = 0; !r && try < TRIES; try++) {
        r = proctrack_look(host->proctrack, pid, &process);
        if (!r && !is_own(join, &process))
            return refuse(result, -EPERM,
                          "Permission denied: process %d is not yours; only your own processes "
                          "can join.",
                          join->pid);
        if (!r && !can_end(&process))
            return refuse(result, -EPERM,
                          "Process %d cannot join: this chronosfs does not run as root and could "
                          "not end programs of other users.",
                          join->pid);
        if (!r)
            r = proctrack_join(host->proctrack, join->id, &process, &message);
        if (r != -EAGAIN)
            break;
        r = try + 1 < TRIES ? 0 : r;
    }
    if (r == -ESRCH)
        return refuse(result, r, "There is no process %d.", join->pid);
    if (r == -EINVAL)
        return refuse(result, r,
                      "%d is a thread, or belongs to the kernel; write the pid of a process.",
                      join->pid);
    if (r == -EAGAIN)
        return refuse(result, r, "Process %d changes its user again and again; try later.",
                      join->pid);
    if (!r)
        snprintf(result->message, ENGINE_MESSAGE_MAX, "Process %d belongs to p%" PRIu64 ".",
                 (int)pid, join->id);
    else
        snprintf(result->message, ENGINE_MESSAGE_MAX, "%s", message.text);
    return r;
}

void host_do_join(struct host *host, const struct host_join *asked, struct host_result *result)
{
    result->joined.tag = asked->tag;
    result->id = asked->id;
    /* Noted first, so that the end looks for members in any case. */
    result->joined.result = allocations_add(&host->occupied, asked->id);
    if (!result->joined.result)
        result->joined.result = join(host, asked, result);
    host_report(host, result);
}
