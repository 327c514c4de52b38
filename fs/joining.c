/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process comes to belong to a partition, because somebody wrote it to `procs`.
 * Only one's own processes can be joined: all three uids of the process must be the
 * writer's, so that a program that was made to run as somebody else is not.
 */
#include "keeper-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than the headers of Debian 12 (kernel 6.11): the process that a pid of a pid
 * namespace is, as we count. */
#define NS_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)

/* The writer waits for us, so it is who it was. Its numbers are those of its own pid
 * namespace. -ESRCH when there is no such process there. */
static int translate(const struct keeper *keeper, const struct keeper_join *join, int32_t *ret_pid)
{
    char path[64];
    struct stat st;
    *ret_pid = join->pid ? join->pid : join->writer_pid;
    if (join->pid == 0)
        return *ret_pid > 0 ? 0 : -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)join->writer_pid);
    int fd = join->writer_pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st)) {
        if (fd >= 0)
            close(fd);
        /* Without looking there is no telling whose number it is. */
        return -EACCES;
    }
    int r = 0;
    if ((uint64_t)st.st_ino != keeper->start.own_pid_ns) {
        *ret_pid = ioctl(fd, NS_TGID_FROM_PIDNS, join->pid);
        r = *ret_pid > 0 ? 0 : errno == ESRCH ? -ESRCH : -EACCES;
    }
    close(fd);
    return r;
}

static int refuse(struct news *news, int result, const char *format, int32_t pid)
{
    snprintf(news->sentence, sizeof(news->sentence), format, (int)pid);
    return result;
}

static bool is_own(const struct keeper_join *join, const struct enforcer_process *process)
{
    return join->admin ||
           (process->uid == join->uid && process->euid == join->uid && process->suid == join->uid);
}

/* A daemon without privilege ends its own user's programs only: what it cannot end it
 * must not take. */
static bool can_end(const struct enforcer_process *process)
{
    uid_t self = geteuid();
    return self == 0 || (process->uid == self && process->suid == self);
}

/* Programs change their uids: then it is looked at and decided again, a few times. */
#define TRIES 5

static int join(struct keeper *keeper, const struct keeper_join *join, struct news *news)
{
    struct enforcer_process process;
    int32_t pid;
    int r = translate(keeper, join, &pid);
    if (r == -EACCES)
        return refuse(news, r,
                      "Process %d cannot be found from here: let it write 0 to procs itself",
                      join->pid);
    if (!r && join->pid == 0)
        pid = enforcer_leader(keeper->enforcer, pid);
    for (int try = 0; !r && try < TRIES; try++) {
        r = enforcer_look(keeper->enforcer, pid, &process);
        if (!r && !is_own(join, &process))
            return refuse(news, -EPERM,
                          "Permission denied: process %d is not yours; only your own processes "
                          "can join",
                          join->pid);
        if (!r && !can_end(&process))
            return refuse(news, -EPERM,
                          "Process %d cannot join: this chronosfs does not run as root, and could "
                          "not end programs of others",
                          join->pid);
        if (!r)
            r = enforcer_join(keeper->enforcer, join->id, &process, news->sentence,
                              sizeof(news->sentence));
        if (r != -EAGAIN)
            break;
        r = try + 1 < TRIES ? 0 : r;
    }
    if (r == -ESRCH)
        return refuse(news, r, "There is no process %d", join->pid);
    if (r == -EINVAL)
        return refuse(news, r, "%d is a thread, or of the kernel: write the pid of a process",
                      join->pid);
    if (r == -EAGAIN)
        return refuse(news, r, "Process %d changes its user again and again", join->pid);
    if (!r)
        snprintf(news->sentence, sizeof(news->sentence), "Process %d belongs to p%" PRIu64,
                 (int)pid, join->id);
    return r;
}

void keeper_do_join(struct keeper *keeper, const struct keeper_join *asked, struct news *news)
{
    struct holding holding = {.id = asked->id};
    news->tag = asked->tag;
    news->id = asked->id;
    /* Noted first: whatever comes of it, the end looks for members. */
    news->result = holdings_copy(&keeper->occupied, &holding);
    if (!news->result)
        news->result = join(keeper, asked, news);
    keeper_tell(keeper, news);
}
