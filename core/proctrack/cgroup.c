/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "cgroup": the members of a partition are the processes in its cgroups of
 * version 2. Any controllers or none: only the hierarchy itself is used.
 *
 * Guaranteed:
 * - A process that starts in a cgroup is in it, whatever it does: fork, double fork,
 *   setsid, another user id, a namespace. Nothing has to be looked for, and nothing is
 *   missed while the daemon is down.
 * - Nobody but root can leave. A cgroup is made above the topmost directory that the
 *   user of the joining process may write (cgroup_climb), so a member cannot move
 *   itself or others out, nor can its user from outside. For a process of root: above
 *   what anybody but root may write.
 * - What is above that directory goes on to count for members: limits of a user's
 *   slice, of a batch job, of a container. A partition has one cgroup for each place
 *   that its members came from ("chronosfs-INSTANCE-pN"); all end together. When the
 *   unit or job around it is stopped, its members are stopped too.
 * - Kill is one write for each cgroup: forks that are under way die with it, and it ends
 *   frozen and stopped members. What the kernel leaves out (a process whose first thread
 *   has ended while others run) is found and ended too. Freezing cannot be seen or undone by
 * members.
 * - proctrack_signal freezes for a moment, so that nobody is missed or told twice. A
 *   daemon killed just then leaves the partition frozen: see proctrack_each.
 * - After a restart the members are found by walking the tree.
 *
 * Not guaranteed:
 * - Root, and root's daemons on behalf of others, can move anybody anywhere.
 * - Limits set on a directory that was itself delegated to the user (user@1000.service
 *   with a limit of its own) do not count for members: they have to live above it.
 * - What somebody else's daemon starts for a member is elsewhere in the tree.
 * - A kernel thread cannot join, nor a process whose first thread has ended while others
 *   run (-EOPNOTSUPP): the kernel moves it, but does not list it.
 * - A pid is what the kernel is told. If the right process ends between look and move
 *   and its pid is given to another at once, that one is in the partition for less than
 *   a millisecond and then moved to the cgroup of its parent.
 */
#include "cgroup.h"

#include "core/base/message.h"

#include "core/base/fd.h"

#include "core/base/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define SIGNAL_WAIT_MS 200 /* how long a signal waits for all to stand still */
#define KILL_ROUNDS    50

static struct cgroup *cgroup_from(struct proctrack *proctrack)
{
    return (struct cgroup *)proctrack;
}

static int cgroup_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    return procfs_look(cgroup_from(proctrack)->proc_fd, pid, ret_process, NULL);
}

static pid_t cgroup_leader(struct proctrack *proctrack, pid_t tid)
{
    return procfs_leader(cgroup_from(proctrack)->proc_fd, tid);
}

/* The leaves of partition `id`: where they begin, and how many. */
static size_t leaves_of(const struct cgroup *cgroup, uint64_t id, size_t *ret_first)
{
    size_t first = 0, end = cgroup->leaf_count, count = 0;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (cgroup->leaves[middle].id < id)
            first = middle + 1;
        else
            end = middle;
    }
    while (first + count < cgroup->leaf_count && cgroup->leaves[first + count].id == id)
        count++;
    *ret_first = first;
    return count;
}

/* All members, sorted. The caller frees list->pids, also after an error. */
static int members_list(const struct cgroup *cgroup, uint64_t id, struct cgroup_pids *list)
{
    size_t first, count = leaves_of(cgroup, id, &first);
    int rc = 0;
    *list = (struct cgroup_pids){.pids = NULL};
    for (size_t i = first; rc == 0 && i < first + count; i++)
        rc = cgroup_list(cgroup, cgroup->leaves[i].path, list);
    cgroup_pids_sort(list);
    return rc;
}

static int cgroup_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                          void *context)
{
    struct cgroup_pids list;
    int rc = members_list(cgroup_from(proctrack), id, &list);
    for (size_t i = 0; rc == 0 && fn != NULL && i < list.count; i++)
        fn(context, list.pids[i]);
    free(list.pids);
    return rc != 0 ? rc : (int)list.count;
}

static uint64_t cgroup_partition_of(struct proctrack *proctrack, pid_t pid)
{
    const struct cgroup *cgroup = cgroup_from(proctrack);
    char path[PATH_MAX];
    struct procfs_stat stat;
    size_t at;
    if (procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0 || procfs_stat_gone(&stat) ||
        cgroup_of(cgroup, pid, path) != 0)
        return 0;
    return cgroup_ours(cgroup, path, &at);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until all in the cgroup stand still. */
static int frozen_wait(const struct cgroup *cgroup, const char *path, int64_t until_ms)
{
    char name[PATH_MAX], text[128];
    int rc = -EBUSY;
    if (snprintf(name, sizeof(name), "%s/cgroup.events", path) >= (int)sizeof(name))
        return -ENAMETOOLONG;
    int fd = openat(cgroup->root_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    while (rc == -EBUSY) {
        ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
        text[length < 0 ? 0 : length] = '\0';
        int64_t left_ms = until_ms - now_ms();
        if (length < 0 || strstr(text, "frozen 1") != NULL)
            rc = 0;
        else if (left_ms <= 0)
            break;
        else
            poll(&(struct pollfd){.fd = fd, .events = POLLPRI}, 1, (int)left_ms);
    }
    close(fd);
    return rc;
}

static int freeze_for(struct cgroup *cgroup, uint64_t id, bool frozen, int wait_ms)
{
    size_t first, count = leaves_of(cgroup, id, &first);
    int64_t until_ms = now_ms() + wait_ms;
    int rc = 0;
    for (size_t i = first; i < first + count; i++) {
        int written =
            cgroup_write(cgroup, cgroup->leaves[i].path, "cgroup.freeze", frozen ? "1" : "0");
        if (written != 0 && written != -ENOENT && written != -ENODEV)
            rc = written;
    }
    for (size_t i = first; rc == 0 && frozen && i < first + count; i++)
        rc = frozen_wait(cgroup, cgroup->leaves[i].path, until_ms);
    return rc;
}

static int cgroup_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    return freeze_for(cgroup_from(proctrack), id, frozen, PROCTRACK_WAIT_MS);
}

static bool is_frozen(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = leaves_of(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_message(cgroup, cgroup->leaves[i].path, "cgroup.freeze", ""))
            return true;
    }
    return false;
}

/* Through a descriptor, and only if what it names is a member while we have it. */
static int signal_one(struct proctrack *proctrack, uint64_t id, pid_t pid, int signo)
{
    cgroup_step(cgroup_from(proctrack), "signal");
    int rc = -ESRCH, pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return -errno;
    if (cgroup_partition_of(proctrack, pid) == id)
        rc = pidfd_send(pidfd, signo);
    close(pidfd);
    return rc;
}

static int cgroup_signal(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    struct cgroup_pids list;
    bool was_frozen = is_frozen(cgroup, id), refused = false;
    if (!was_frozen)
        freeze_for(cgroup, id, true, SIGNAL_WAIT_MS); /* not all: then it is less exact */
    int rc = members_list(cgroup, id, &list);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        int sent = signal_one(proctrack, id, list.pids[i], signo);
        *ret_count += sent == 0;
        refused = refused || sent == -EPERM;
    }
    free(list.pids);
    if (!was_frozen)
        freeze_for(cgroup, id, false, 0);
    return rc == 0 && refused && *ret_count == 0 ? -EPERM : rc;
}

/* cgroup.kill leaves one out: a process whose first thread has ended while others run.
 * It sends each process's signal to that thread alone. Through a descriptor it goes to
 * the whole process. Returns how many there were. */
static int kill_headless(struct proctrack *proctrack, uint64_t id)
{
    const struct cgroup *cgroup = cgroup_from(proctrack);
    struct cgroup_pids list;
    struct procfs_stat stat;
    int found = 0, rc = members_list(cgroup, id, &list);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (procfs_stat_read(cgroup->proc_fd, list.pids[i], &stat) != 0 || stat.state != 'Z')
            continue;
        signal_one(proctrack, id, list.pids[i], SIGKILL);
        found++;
    }
    free(list.pids);
    return rc != 0 ? rc : found;
}

static int kill_leaves(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = leaves_of(cgroup, id, &first);
    int rc = 0;
    for (size_t i = first; i < first + count; i++) {
        int written = cgroup_write(cgroup, cgroup->leaves[i].path, "cgroup.kill", "1");
        if (written != 0 && written != -ENOENT && written != -ENODEV)
            rc = written;
    }
    return rc;
}

static int cgroup_kill(struct proctrack *proctrack, uint64_t id)
{
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int rc = kill_leaves(cgroup_from(proctrack), id);
        if (rc == 0)
            rc = kill_headless(proctrack, id);
        if (rc <= 0)
            return rc;
        usleep(1000); /* they, and what they may have started before, go in this time */
    }
    return -EAGAIN;
}

static int cgroup_forget(struct proctrack *proctrack, uint64_t id)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    size_t first, count = leaves_of(cgroup, id, &first), kept = first;
    int rc = 0;
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_message(cgroup, cgroup->leaves[i].path, "cgroup.events", "populated"))
            return -EBUSY;
    }
    for (size_t i = first; i < cgroup->leaf_count; i++) {
        int removed = i < first + count ? cgroup_remove(cgroup, cgroup->leaves[i].path) : 1;
        if (removed == 0)
            free(cgroup->leaves[i].path);
        else
            cgroup->leaves[kept++] = cgroup->leaves[i];
        if (removed < 0)
            rc = removed;
    }
    cgroup->leaf_count = kept;
    return rc;
}

static int cgroup_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    int count = 0;
    for (size_t i = 0; i < cgroup->leaf_count; i++) {
        uint64_t id = cgroup->leaves[i].id;
        if (i > 0 && cgroup->leaves[i - 1].id == id)
            continue;
        int members = cgroup_members(proctrack, id, NULL, NULL);
        if (members < 0)
            return members;
        if (fn != NULL)
            fn(context, id, (uint32_t)members, is_frozen(cgroup, id));
        count++;
    }
    return count;
}

static int cgroup_scan(struct proctrack *proctrack)
{
    (void)proctrack; /* the kernel keeps the list */
    return 0;
}

static void cgroup_close(struct proctrack *proctrack)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    for (size_t i = 0; i < cgroup->leaf_count; i++)
        free(cgroup->leaves[i].path);
    free(cgroup->leaves);
    fd_close(cgroup->root_fd);
    fd_close(cgroup->proc_fd);
    free(cgroup);
}

static const struct proctrack_ops cgroup_ops = {.word = "cgroup",
                                                .look = cgroup_look,
                                                .leader = cgroup_leader,
                                                .join = cgroup_join,
                                                .members = cgroup_members,
                                                .partition_of = cgroup_partition_of,
                                                .signal = cgroup_signal,
                                                .kill = cgroup_kill,
                                                .freeze = cgroup_freeze,
                                                .forget = cgroup_forget,
                                                .each = cgroup_each,
                                                .scan = cgroup_scan,
                                                .close = cgroup_close};

/* Everything but memory, in the order that makes the clearest sentence. */
static int prepare(struct cgroup *cgroup, const struct proctrack_options *options, char *message,
                   size_t size)
{
    if (geteuid() != 0)
        return message_refuse(-EPERM, message, size, "only root can make cgroups for others");
    cgroup->proc_fd = open(options->proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup->proc_fd < 0)
        return message_refuse(-errno, message, size, "%s cannot be opened: %s", options->proc,
                              strerror(errno));
    int rc = cgroup_mount_open(cgroup, options, message, size);
    if (rc != 0)
        return rc;
    rc = cgroup_step_out(cgroup, getpid());
    if (rc == 0 && options->supervisor > 0)
        rc = cgroup_step_out(cgroup, options->supervisor);
    if (rc == 0)
        rc = cgroup_walk(cgroup);
    if (rc != 0)
        message_refuse(rc, message, size, "the cgroup tree cannot be used: %s", strerror(-rc));
    return rc;
}

int proctrack_open_cgroup(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                          char *message, size_t size)
{
    struct cgroup *cgroup = calloc(1, sizeof(*cgroup));
    if (cgroup == NULL)
        return message_refuse(-ENOMEM, message, size, "there is no memory for the enforcer");
    cgroup->port.ops = &cgroup_ops;
    proctrack_own_set(&cgroup->port, options);
    cgroup->proc_fd = cgroup->root_fd = -1;
    cgroup->before_step = options->before_step;
    cgroup->context = options->context;
    snprintf(cgroup->prefix, sizeof(cgroup->prefix), "chronosfs-%s-p", options->instance);
    int rc = prepare(cgroup, options, message, size);
    if (rc != 0) {
        cgroup_close(&cgroup->port);
        return rc;
    }
    *ret_proctrack = &cgroup->port;
    return 0;
}
