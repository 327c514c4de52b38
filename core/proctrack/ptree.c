/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "process-tree": the processes that joined and their descendants by parent, recorded
 * by pid and start time. It needs only /proc, and no rights except over the caller's own processes.
 *
 * Guaranteed:
 * - A descendant belongs while its chain of parents to a member is alive, and permanently once a
 *   scan has seen it (signal, kill and freeze scan too): setsid, double fork and the end of its
 *   parents then change nothing.
 * - A process with a reused pid is not mistaken for a member: the start time is compared through a
 *   pidfd before every signal.
 * - After a restart of the daemon the file "members" has the members. A reboot clears it.
 * - Kill stops all members first and kills when none is running, so that no child that has a parent
 *   is missed.
 *
 * Not guaranteed:
 * - A process whose parent ended before a scan saw it is lost, with its children: a double fork
 *   between two scans leaves the partition. While the daemon is down there are no scans. A user who
 *   wants to leave can: this adapter is no protection against hostile users.
 * - A chain of processes that fork and end faster than a scan cannot be caught.
 * - A child born in the same clock tick (10 ms) as, but before, its parent's join belongs.
 * - A signal can miss a member born in the tick in which it was sent.
 * - Freezing uses SIGSTOP: shells report it, and any user who can signal a member can send SIGCONT.
 *   Kill stops members briefly before it ends them.
 * - A daemon without root cannot signal members that run as another user (setuid).
 * - A process that gets a member's pid in the same tick in which the member started would be taken
 *   for it. Only a process that can choose pids (CAP_CHECKPOINT_RESTORE) is that fast.
 */
#include "ptree.h"

#include "core/base/message.h"

#include "core/base/fd.h"

#include "core/base/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ptree *ptree_from(struct proctrack *proctrack)
{
    return (struct ptree *)proctrack;
}

static int ptree_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    return procfs_process_read(ptree_from(proctrack)->proc_fd, pid, ret_process, NULL);
}

static pid_t ptree_leader(struct proctrack *proctrack, pid_t tid)
{
    return procfs_leader(ptree_from(proctrack)->proc_fd, tid);
}

/* Record the process behind `pidfd`. Its children belong if it `was_in` these partitions before. */
static int join_as(struct ptree *ptree, const struct proctrack_set *set,
                   const struct procfs_process *process, bool was_in, int pidfd)
{
    const struct ptree_record *old =
        ptree_file_record_find(&ptree->file, process->pid, process->start);
    bool was_frozen = old && old->frozen;
    struct ptree_record record = {.in = *set,
                                  .pid = (uint32_t)process->pid,
                                  .start = process->start,
                                  .since = was_in ? 0 : procfs_ticks(),
                                  .frozen = ptree_scan_is_frozen(ptree, set)};
    int r = ptree_file_record_set(&ptree->file, &record);
    if (r)
        return r;
    if (!pidfd_lives(pidfd)) {
        ptree_file_record_drop(ptree_file_record_find(&ptree->file, process->pid, process->start));
        return -ESRCH;
    }
    if (record.frozen)
        pidfd_send(pidfd, SIGSTOP);
    else if (was_frozen)
        pidfd_send(pidfd, SIGCONT);
    return 0;
}

static int ptree_join(struct proctrack *proctrack, const struct proctrack_set *set,
                      uint32_t account, const struct procfs_process *process,
                      struct message *message)
{
    (void)account; /* nothing waits */
    struct ptree *ptree = ptree_from(proctrack);
    struct proctrack_set in = {{0}};
    int pidfd = -1;
    int r = procfs_process_reread(ptree->proc_fd, process, &pidfd);
    if (r)
        return r;
    steps_before(&ptree->steps, "open");
    ptree_scan_find(proctrack, process->pid, &in);
    const bool was_in = proctrack_set_is_equal(&in, set);
    if (in.ids[0] != 0 && !was_in)
        r = ptree_scan(ptree); /* its existing children stay in their partitions */
    steps_before(&ptree->steps, "move");
    if (!r)
        r = join_as(ptree, set, process, was_in, pidfd);
    fd_close(pidfd);
    if (r && r != -ESRCH)
        message_set(r, message, "Cannot track process %d: %s.", process->pid, strerror(-r));
    return r;
}

static int ptree_leave(struct proctrack *proctrack, uint32_t account,
                       const struct procfs_process *process, bool all, struct message *message)
{
    (void)account; /* nothing waits */
    struct ptree *ptree = ptree_from(proctrack);
    int pidfd = -1;
    int r = procfs_process_reread(ptree->proc_fd, process, &pidfd);
    if (r)
        return r;
    r = ptree_scan(ptree);
    if (!r)
        r = ptree_scan_leave(ptree, process, all ? PTREE_ANY_UID : process->uid);
    fd_close(pidfd);
    if (r && r != -ESRCH)
        message_set(r, message, "Cannot track process %d: %s.", process->pid, strerror(-r));
    return r;
}

/* A process in one of its partitions. */
struct member {
    uint64_t id;
    pid_t pid;
    bool frozen;
};

static int compare(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->id != y->id)
        return x->id > y->id ? 1 : -1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* List the members of one partition, or of all (id 0), sorted by id and pid, and drop the records
 * of those that ended. Return NULL if out of memory. */
static struct member *living(struct ptree *ptree, uint64_t id, size_t *ret_count)
{
    const size_t most = ptree->file.count * (id != 0 ? 1 : PROCTRACK_SET_MAX);
    struct member *list = calloc(most + 1, sizeof(*list));
    *ret_count = 0;
    for (size_t i = 0; list && i < ptree->file.count; i++) {
        struct ptree_record *record = &ptree->file.records[i];
        const uint64_t *ids = record->in.ids;
        if (ids[0] == 0 ||
            (id != 0 ? !proctrack_set_has(&record->in, id) : ids[0] == PTREE_OUTSIDE))
            continue;
        if (ptree_scan_look(ptree, record, NULL) == -ESRCH) {
            ptree_file_record_drop(record);
            continue;
        }
        for (size_t k = 0; k < PROCTRACK_SET_MAX && ids[k] != 0; k++) {
            if (id == 0 || ids[k] == id)
                list[(*ret_count)++] =
                    (struct member){ids[k], (pid_t)record->pid, record->frozen != 0};
        }
    }
    if (list)
        qsort(list, *ret_count, sizeof(*list), compare);
    return list;
}

static int ptree_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                         void *context)
{
    size_t count = 0;
    struct member *list = living(ptree_from(proctrack), id, &count);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; fn && i < count; i++)
        fn(context, list[i].pid);
    free(list);
    return (int)count;
}

static int ptree_forget(struct proctrack *proctrack, uint64_t id)
{
    int members = ptree_members(proctrack, id, NULL, NULL);
    return members > 0 ? -EBUSY : members; /* no members: their records are dropped */
}

static int ptree_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    struct ptree *ptree = ptree_from(proctrack);
    size_t count, first = 0;
    struct member *list = living(ptree, 0, &count);
    int partitions = 0;
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && list[i + 1].id == list[i].id)
            continue;
        if (fn)
            fn(context, list[i].id, (uint32_t)(i + 1 - first), list[i].frozen);
        first = i + 1;
        partitions++;
    }
    free(list);
    return partitions;
}

static int ptree_scan_port(struct proctrack *proctrack)
{
    return ptree_scan(ptree_from(proctrack));
}

static void ptree_close(struct proctrack *proctrack)
{
    struct ptree *ptree = ptree_from(proctrack);
    ptree_file_close(&ptree->file);
    fd_close(ptree->proc_fd);
    free(ptree);
}

static const struct proctrack_ops ptree_ops = {.word = "process-tree",
                                               .look = ptree_look,
                                               .leader = ptree_leader,
                                               .join = ptree_join,
                                               .leave = ptree_leave,
                                               .members = ptree_members,
                                               .find = ptree_scan_find,
                                               .signal = ptree_signal,
                                               .kill = ptree_signal_kill,
                                               .freeze = ptree_signal_freeze,
                                               .forget = ptree_forget,
                                               .each = ptree_each,
                                               .scan = ptree_scan_port,
                                               .close = ptree_close};

int ptree_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
               struct message *message)
{
    struct ptree *ptree = calloc(1, sizeof(*ptree));
    int r;
    if (!ptree)
        return message_set(-ENOMEM, message, "Out of memory: cannot open the process tracker.");
    ptree->port.ops = &ptree_ops;
    adapter_own_set(&ptree->port, options);
    ptree->file.fd = -1;
    ptree->steps = options->steps;
    ptree->proc_fd = procfs_open(options->proc);
    if (ptree->proc_fd < 0)
        r = message_set(ptree->proc_fd, message, "Cannot open %s: %s.",
                        options->proc ? options->proc : "/proc", strerror(-ptree->proc_fd));
    else
        r = ptree_file_open(&ptree->file, options->state_dir, options->boot_id, message);
    if (!r)
        r = ptree_scan(ptree);
    if (r) {
        ptree_close(&ptree->port);
        return r;
    }
    *ret_proctrack = &ptree->port;
    return 0;
}
