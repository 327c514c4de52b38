/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Add a process to a partition after a user wrote its pid to `procs`, or take it out of its own.
 * All three uids of the process must be the writer's, or it is in a user namespace of the writer's:
 * the writer must not move a setuid program, even one that it started.
 */
#include "internal.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Translate a pid of another pid namespace into the daemon's. Linux 6.11, newer than the headers of
 * Debian 12. */
#define NS_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)

/* Resolve the pid in the writer's own pid namespace. The writer's pid cannot be reused, because the
 * writer waits for the answer. -ESRCH: no such process there. */
static int translate(const struct host *host, const struct host_join *join, int32_t *ret_pid)
{
    char path[PROCFS_PATH_MAX];
    struct stat st;
    *ret_pid = join->pid ? join->pid : join->writer_pid;
    if (join->pid == 0)
        return *ret_pid > 0 ? 0 : -ESRCH;
    int at = procfs_at(join->writer_pid, "ns/pid", path);
    int fd = join->writer_pid > 0 ? openat(at, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st)) {
        fd_close(fd);
        /* Unknown namespace: the pid could mean another process here. */
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

/* Return whether the writer made the user namespace of the process, or one above it: the kernel
 * gives them every right over what is inside, under whatever uids it runs. So it is in a container
 * that the writer runs without privileges, where uids are mapped to subordinate ones. Root of a
 * container has the uid of the root who made others. */
static bool owns_namespace(const struct host *host, const struct host_join *join, pid_t pid)
{
    char path[PROCFS_PATH_MAX];
    struct stat st;
    uid_t owner;
    int at = procfs_at(pid, "ns/user", path);
    int fd = join->uid != 0 ? openat(at, path, O_RDONLY | O_CLOEXEC) : -1;
    bool owns = false;
    while (fd >= 0 && !owns && !fstat(fd, &st) && st.st_ino != host->start.own_user_ns) {
        owns = !ioctl(fd, NS_GET_OWNER_UID, &owner) && owner == join->uid;
        int above = owns ? -1 : ioctl(fd, NS_GET_PARENT);
        close(fd);
        fd = above;
    }
    fd_close(fd);
    return owns;
}

static bool is_own(const struct host *host, const struct host_join *join,
                   const struct procfs_process *process)
{
    return join->root ||
           (process->uid == join->uid && process->euid == join->uid &&
            process->suid == join->uid) ||
           owns_namespace(host, join, process->pid);
}

/* Return the number by which the writer knows the process. */
static int number_of(const struct host_join *join, pid_t pid)
{
    return join->pid ? join->pid : (int)pid;
}

bool host_can_end(const struct procfs_process *process)
{
    uid_t self = geteuid();
    return self == 0 || (process->uid == self && process->suid == self);
}

/* Refuse if the process is still in a partition: its cgroup belongs to that. Leave in *left what it
 * is no longer in. */
static int still_in(struct host *host, const struct host_join *join,
                    const struct procfs_process *process, struct proctrack_set *left,
                    struct message *message)
{
    struct proctrack_set now, gone = {{0}};
    proctrack_find(host->proctrack, process->pid, &now);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && left->ids[i]; i++)
        if (!proctrack_set_has(&now, left->ids[i]))
            proctrack_set_add(&gone, left->ids[i]);
    *left = gone;
    if (gone.ids[0] || !now.ids[0])
        return 0;
    return message_set(-EPERM, message,
                       "Process %d cannot leave p%" PRIu64 ": the cgroup that it is in belongs to "
                       "that partition.",
                       number_of(join, process->pid), now.ids[0]);
}

/* Print "p1 and p2". */
static void print_set(const struct proctrack_set *set, char text[static 256])
{
    int at = 0;
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set->ids[i]; i++) {
        const bool last = i + 1 == PROCTRACK_SET_MAX || !set->ids[i + 1];
        at += snprintf(text + at, 256 - (size_t)at, "%sp%" PRIu64,
                       i == 0 ? ""
                       : last ? " and "
                              : ", ",
                       set->ids[i]);
    }
}

/* Return one of these partitions whose processes are away, or on their way; 0: there is none. */
static uint64_t suspended_of(const struct host *host, const struct proctrack_set *set)
{
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set->ids[i]; i++)
        if (suspend_has(&host->suspensions, set->ids[i]))
            return set->ids[i];
    return 0;
}

static int refuse_suspended(uint64_t id, struct message *message)
{
    return message_set(-EBUSY, message,
                       "p%" PRIu64 " is suspended; resume it before processes join or leave.", id);
}

/* A process that is being ended stays: it had its time to leave. leaving->set is what it was in
 * when this was first called. 1: in none. */
static int leave(struct host *host, const struct host_join *join,
                 const struct procfs_process *process, struct leaving *leaving,
                 struct message *message)
{
    struct proctrack_set set, *left = &leaving->set;
    char text[256];
    proctrack_find(host->proctrack, process->pid, &set);
    if (suspended_of(host, &set)) {
        proctrack_stay(host->proctrack, process);
        return refuse_suspended(suspended_of(host, &set), message);
    }
    if (!left->ids[0])
        *left = set;
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i]; i++)
        if (terminate_ends(&host->termination, set.ids[i])) {
            proctrack_stay(host->proctrack, process);
            return message_set(-EPERM, message,
                               "Process %d cannot leave: p%" PRIu64
                               " has ended, and its programs are being ended.",
                               number_of(join, process->pid), set.ids[i]);
        }
    if (leavers_put(&host->leavers, process, join->account))
        return message_set(-ENOMEM, message, "There is not enough memory.");
    leaving->process = *process;
    if (!left->ids[0])
        return 1;
    int r = proctrack_leave(host->proctrack, join->account, process, join->root, message);
    if (!r)
        r = still_in(host, join, process, left, message);
    print_set(left, text);
    if (!r)
        message_set(0, message, "Process %d has left %s.", number_of(join, process->pid), text);
    return r;
}

/* Return whether two partitions have a device in common. */
static bool overlap(const struct allocation *a, const struct allocation *b)
{
    for (uint32_t i = 0; i < a->share_count; i++)
        if (allocations_index(b, a->shares[i].device) >= 0)
            return true;
    return false;
}

int host_set_after(struct host *host, uint64_t id, pid_t pid, struct proctrack_set *ret_set)
{
    const struct allocation *joined = allocations_find(&host->allocations, id);
    struct proctrack_set before, set = {{id}};
    int r = 0;
    proctrack_find(host->proctrack, pid, &before);
    if (suspended_of(host, &before) || suspended_of(host, &set))
        return -EBUSY;
    for (size_t i = 0; !r && i < PROCTRACK_SET_MAX && before.ids[i]; i++) {
        const struct allocation *old = allocations_find(&host->allocations, before.ids[i]);
        if (old ? !overlap(old, joined) : terminate_ends(&host->termination, before.ids[i]))
            r = proctrack_set_add(&set, before.ids[i]);
    }
    *ret_set = set;
    return r;
}

/* -EAGAIN: the process changed its uids in between. */
static int try_join(struct host *host, const struct host_join *join, int32_t pid,
                    struct leaving *leaving, struct message *message)
{
    struct procfs_process process;
    int r = proctrack_look(host->proctrack, pid, &process);
    if (r)
        return r;
    if (!is_own(host, join, &process))
        return message_set(-EPERM, message,
                           "Permission denied: process %d is not yours; only your own processes "
                           "can %s.",
                           (int)join->pid, join->id ? "join" : "leave");
    if (!join->id)
        return leave(host, join, &process, leaving, message);
    if (!host_can_end(&process))
        return message_set(-EPERM, message,
                           "Process %d cannot join: this chronosfs does not run as root and could "
                           "not end programs of other users.",
                           (int)join->pid);
    struct proctrack_set set, now;
    r = host_set_after(host, join->id, process.pid, &set);
    proctrack_find(host->proctrack, process.pid, &now);
    if (r == -EBUSY)
        return refuse_suspended(suspended_of(host, &now) ? suspended_of(host, &now) : join->id,
                                message);
    if (r)
        return message_set(-EUSERS, message,
                           "Process %d cannot join p%" PRIu64 ": it is in %d partitions already.",
                           number_of(join, process.pid), join->id, PROCTRACK_SET_MAX);
    r = proctrack_join(host->proctrack, &set, join->account, &process, message);
    if (!r)
        leavers_drop(&host->leavers, &process);
    return r;
}

static int belongs(struct host *host, const struct host_join *join, struct message *message)
{
    struct proctrack_set set;
    proctrack_find(host->proctrack, proctrack_leader(host->proctrack, join->writer_pid), &set);
    if (proctrack_set_has(&set, join->id))
        return 0;
    return message_set(-EPERM, message, "Permission denied: you do not belong to p%" PRIu64 ".",
                       join->id);
}

/* Root writes where the processes of others are. */
static int claim(struct host *host, const struct host_join *join, struct message *message)
{
    if (!join->root)
        return message_set(-EPERM, message, "Permission denied: only root adds cgroups.");
    if (clock_boottime_ns() >= join->until_ns)
        return message_set(-ETIMEDOUT, message, "The machine is overloaded. Write it again.");
    if (suspend_has(&host->suspensions, join->id))
        return refuse_suspended(join->id, message);
    int r = proctrack_claim(host->proctrack, join->id, join->cgroup, message);
    if (r == -EOPNOTSUPP && host->scans)
        message_set(r, message, "A cgroup cannot belong to p%" PRIu64 ": %s", join->id, host->why);
    return r;
}

#define TRIES 5

static int join(struct host *host, const struct host_join *join, struct leaving *leaving,
                struct message *message)
{
    int32_t pid;
    if (join->asks)
        return belongs(host, join, message);
    if (host->broken)
        return message_set(-EIO, message, "No program can join or leave: %s", host->why);
    if (join->cgroup) {
        int claimed = claim(host, join, message);
        return claimed ? claimed
                       : message_set(0, message, "p%" PRIu64 " has the processes in %.180s.",
                                     join->id, join->cgroup);
    }
    int r = clock_boottime_ns() < join->until_ns ? translate(host, join, &pid) : -ETIMEDOUT;
    if (!r && join->pid == 0)
        pid = proctrack_leader(host->proctrack, pid);
    if (r == -EACCES)
        return message_set(r, message,
                           "Process %d cannot be found from here; let it write 0 to procs itself.",
                           (int)join->pid);
    if (!r) {
        int tries = TRIES;
        do
            r = try_join(host, join, pid, leaving, message);
        while (r == -EAGAIN && --tries > 0);
    }
    switch (r) {
    case 0:
        if (join->id)
            message_set(0, message, "Process %d belongs to p%" PRIu64 ".", number_of(join, pid),
                        join->id);
        return 0;
    case 1:
        return message_set(0, message, "Process %d belongs to no partition.", number_of(join, pid));
    case -ESRCH:
        return message_set(r, message, "There is no process %d.", (int)join->pid);
    case -EINVAL:
        return message_set(r, message,
                           "%d is a thread, or belongs to the kernel; write the pid of a process.",
                           (int)join->pid);
    case -EAGAIN:
        return message_set(r, message, "Process %d changes its user again and again; try later.",
                           (int)join->pid);
    default: /* try_join set the message */
        return r;
    }
}

/* How long a join waits for a directory of the cgroup tree that another process holds. The writer
 * has its answer by then: see fs/fuse/pending.c. */
#define HELD_MAX_NS (10 * NS_PER_SECOND)

/* A grant that is not durable yet can be taken back; a program that it took out of another
 * partition could not. */
static bool is_early(const struct host *host, const struct host_join *asked)
{
    return asked->id && !asked->asks && !host->broken &&
           !allocations_find(&host->allocations, asked->id);
}

bool host_do_join(struct host *host, const struct host_join *asked, int64_t since_ns,
                  struct leaving *leaving, struct host_result *result)
{
    struct message message = {""};
    int r = 0;
    result->joined.tag = asked->tag;
    if (asked->id)
        result->id = asked->id;
    if (is_early(host, asked))
        r = message_set(-EINPROGRESS, &message, "p%" PRIu64 " is not on disk yet.", asked->id);
    else if (asked->id && !asked->asks) /* first, so that the ending always looks for members */
        r = allocations_add(&host->occupied, asked->id);
    result->joined.result = r ? r : join(host, asked, leaving, &message);
    if (result->joined.result == -EINPROGRESS && host->now_ns - since_ns < HELD_MAX_NS)
        return false;
    if (result->joined.result == -EINPROGRESS)
        result->joined.result = -ETIMEDOUT;
    if (result->joined.result && leaving->process.pid)
        leavers_drop(&host->leavers, &leaving->process);
    snprintf(result->message, ENGINE_MESSAGE_MAX, "%s", message.text);
    host_report(host, result);
    return true;
}

void host_refuse_join(struct host *host, const struct host_join *asked, struct host_result *result)
{
    result->joined.tag = asked->tag;
    result->id = asked->id;
    result->joined.result = -ENODEV;
    snprintf(result->message, ENGINE_MESSAGE_MAX, "p%" PRIu64 " has ended.", asked->id);
    host_report(host, result);
}
