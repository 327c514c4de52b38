/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "cgroup": the members of a partition are the processes in its cgroups of version 2.
 * Works with any controllers or none: it uses only the hierarchy.
 *
 * Guaranteed:
 * - A process started in a cgroup stays in it, whatever it does: fork, double fork, setsid, change
 *   of user, namespaces. No scan is needed, and nothing is missed while the daemon is down.
 * - Only root can leave without us. A cgroup is made above the topmost directory that anyone but
 * root can write (cgroup_place_make), so members cannot move themselves or others out, and neither
 * can another process from outside, whatever uids it has.
 * - Limits above that directory still apply to members: those of a user's slice, a batch job or a
 *   container. A partition has one cgroup ("chronosfs-INSTANCE-pN") for each place that its members
 *   came from; all end together. Members of several partitions at a time are in a cgroup of all of
 *   these ("...-pN+M"): it ends with any of them. Stopping the unit or job around a cgroup stops
 * its members too.
 * - A process that proctrack_leave lets out goes to the place that it came from, which is noted at
 *   the cgroup; if that is gone, it is made again.
 * - Kill is one write per cgroup: it also ends forks in progress and frozen and stopped members.
 *   Processes that the kernel skips (those whose first thread has ended while others run) are found
 *   and killed too. Members cannot detect or undo a freeze.
 * - proctrack_signal freezes the partition briefly, so that each member gets the signal exactly
 *   once. A daemon killed at that moment leaves the partition frozen: see proctrack_each. No call
 *   waits for a freeze: a program that hangs in the kernel cannot be frozen.
 * - After a restart, walking the tree finds the members.
 *
 * Not guaranteed:
 * - Root, and root's daemons on behalf of others, can move any process anywhere.
 * - Limits on a directory that was itself delegated to a user (user@1000.service with a limit of
 *   its own) do not apply to members, because their cgroup must be above it.
 * - A directory that root delegates while members are below it lets them out, and a restarted
 *   daemon does not look for them there.
 * - A process that another daemon starts for a member is elsewhere in the tree.
 * - A kernel thread cannot join. Neither can a process whose first thread has ended while others
 *   run (-EOPNOTSUPP): the kernel moves it but does not list it.
 * - The kernel takes a pid. If the right process ends between check and move and its pid is reused
 *   at once, the wrong process is in the partition for less than a millisecond, then moved to the
 *   cgroup of its parent.
 */
#include "cgroup.h"

#include "core/base/fd.h"
#include "core/base/message.h"
#include "core/base/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEADLESS_MAX 512 /* members whose state one call to kill looks at */
/* How long the start waits for a directory that a user holds. */
#define STEP_OUT_TRIES    100
#define STEP_OUT_PAUSE_US 5000
#define LEAF_MAX          1000000

static struct cgroup *cgroup_from(struct proctrack *proctrack)
{
    return (struct cgroup *)proctrack;
}

static int cgroup_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    return procfs_process_read(cgroup_from(proctrack)->proc_fd, pid, ret_process, NULL);
}

static pid_t cgroup_leader(struct proctrack *proctrack, pid_t tid)
{
    return procfs_leader(cgroup_from(proctrack)->proc_fd, tid);
}

static void cgroup_stay(struct proctrack *proctrack, const struct procfs_process *process)
{
    cgroup_change_stay(cgroup_from(proctrack), process);
}

static void cgroup_account(struct proctrack *proctrack, uint64_t id, uint32_t account)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++)
        cgroup->leaves[i].account = account;
}

/* List all members, sorted; after an error, those that were found. The caller frees list->pids. */
static int members_list(const struct cgroup *cgroup, uint64_t id, struct cgroup_pids *list)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    int r = 0;
    *list = (struct cgroup_pids){.pids = NULL};
    for (size_t i = first; i < first + count; i++) {
        int here = cgroup_dir_list_leaf(cgroup, &cgroup->leaves[i], list);
        r = r ? r : here;
    }
    int claimed = cgroup_claim_list(cgroup, id, list);
    cgroup_dir_sort_pids(list);
    return r ? r : claimed;
}

static int cgroup_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                          void *context)
{
    struct cgroup_pids list;
    int r = members_list(cgroup_from(proctrack), id, &list);
    for (size_t i = 0; fn && i < list.count; i++)
        fn(context, list.pids[i]);
    free(list.pids);
    return r && list.count == 0 ? r : (int)list.count;
}

static void cgroup_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set)
{
    const struct cgroup *cgroup = cgroup_from(proctrack);
    char path[PATH_MAX];
    struct procfs_stat stat;
    if (procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0 || procfs_stat_gone(&stat) ||
        cgroup_dir_of(cgroup, pid, path) != 0)
        return;
    const struct cgroup_leaf *leaf = cgroup_leaf_at(cgroup, path);
    if (leaf)
        *ret_set = cgroup_leaf_set(cgroup, leaf);
    cgroup_claim_find(cgroup, path, ret_set);
}

static int write_all(const struct cgroup *cgroup, uint64_t id, const char *file, const char *text)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    int r = 0;
    for (size_t i = first; i < first + count; i++) {
        int written = cgroup_dir_write(cgroup->leaves[i].fd, file, text);
        if (written != 0 && written != -ENOENT && written != -ENODEV)
            r = written;
    }
    return r;
}

/* False while some member has not stopped yet. A member in state D may never stop; a leaf that
 * others removed has none. */
static bool all_stopped(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_dir_flag(cgroup->leaves[i].fd, "cgroup.events", "frozen") == 0)
            return false;
    }
    return true;
}

static int cgroup_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    int r = cgroup_leaf_freeze(cgroup, id, frozen);
    return r ? r : frozen && !all_stopped(cgroup, id) ? -EBUSY : 0;
}

/* Use a pidfd, and check that its process is a member while it is open. */
static int signal_one(struct proctrack *proctrack, uint64_t id, pid_t pid, int signo)
{
    steps_before(&cgroup_from(proctrack)->steps, "signal");
    struct proctrack_set in;
    int r = -ESRCH, pidfd = pidfd_new(pid);
    if (pidfd < 0)
        return pidfd;
    proctrack_find(proctrack, pid, &in);
    if (proctrack_set_has(&in, id))
        r = pidfd_send(pidfd, signo);
    close(pidfd);
    return r;
}

static int signal_members(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count)
{
    struct cgroup_pids list;
    bool refused = false;
    int r = members_list(cgroup_from(proctrack), id, &list);
    for (size_t i = 0; i < list.count; i++) {
        int sent = signal_one(proctrack, id, list.pids[i], signo);
        *ret_count += sent == 0;
        refused = refused || sent == -EPERM;
    }
    free(list.pids);
    return *ret_count > 0 ? 0 : refused ? -EPERM : r;
}

/* Is the partition frozen by an earlier call for a signal, and by nothing else? */
static bool *held(struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    return count > 0 ? &cgroup->leaves[first].held : NULL;
}

static int cgroup_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                         uint32_t *ret_count)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    bool none = false, *hold = held(cgroup, id);
    if (!hold) {
        hold = &none;
        now = true;
    }
    if (!now && !*hold && !cgroup_leaf_is_frozen(cgroup, id))
        *hold = cgroup_leaf_freeze(cgroup, id, true) == 0;
    if (!now && *hold && !all_stopped(cgroup, id))
        return -EAGAIN;
    int r = signal_members(proctrack, id, signo, ret_count);
    if (*hold)
        cgroup_leaf_freeze(cgroup, id, false);
    *hold = false;
    return r;
}

/* cgroup.kill signals only the first thread of each process, so it misses processes whose first
 * thread has ended while others run. A pidfd signals the whole process. Look at a few members in
 * each call, others in the next. Return how many were found, or -errno. */
static int kill_headless(struct proctrack *proctrack, uint64_t id)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    struct cgroup_pids list;
    struct procfs_stat stat;
    int found = 0, r = members_list(cgroup, id, &list);
    for (size_t i = 0; i < list.count && i < HEADLESS_MAX; i++) {
        pid_t pid = list.pids[(i + cgroup->headless_turn) % list.count];
        if (procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0 || stat.state != 'Z')
            continue;
        signal_one(proctrack, id, pid, SIGKILL);
        found++;
    }
    cgroup->headless_turn += HEADLESS_MAX;
    free(list.pids);
    return found > 0 ? found : r;
}

static int cgroup_kill(struct proctrack *proctrack, uint64_t id, bool now)
{
    (void)now; /* the kernel stops nothing first */
    uint32_t count = 0;
    int r = write_all(cgroup_from(proctrack), id, "cgroup.kill", "1");
    if (cgroup_claim_kill(cgroup_from(proctrack), id) != 0) { /* its owner made it one of threads */
        int one_by_one = signal_members(proctrack, id, SIGKILL, &count);
        r = count > 0 ? 1 : r ? r : one_by_one;
    }
    if (!r)
        r = kill_headless(proctrack, id);
    return r > 0 ? -EAGAIN : r; /* they may have started children */
}

static int cgroup_forget(struct proctrack *proctrack, uint64_t id)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    int r = cgroup_change_made(cgroup, id);
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    if (cgroup_claim_is_populated(cgroup, id))
        return -EBUSY;
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_dir_flag(cgroup->leaves[i].fd, "cgroup.events", "populated") > 0)
            return -EBUSY;
    }
    /* Dropping one moves the others: look again each time. */
    for (size_t kept = 0; cgroup_leaf_of(cgroup, id, &first) > kept;) {
        int removed = cgroup_change_remove(cgroup, &cgroup->leaves[first + kept]);
        kept += removed != 0;
        if (removed < 0)
            r = removed;
    }
    if (!r)
        cgroup_claim_forget(cgroup, id);
    return r == -EINPROGRESS ? -EBUSY : r;
}

static int cgroup_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    int count = 0;
    for (uint64_t id = 0; (id = cgroup_claim_after(cgroup, id));) {
        int members = cgroup_members(proctrack, id, NULL, NULL);
        if (fn) /* an error in one place hides no other partition, and this one may have members */
            fn(context, id, members < 0 ? 1 : (uint32_t)members, cgroup_leaf_is_frozen(cgroup, id));
        count++;
    }
    return count;
}

static int cgroup_scan(struct proctrack *proctrack)
{
    (void)proctrack; /* the kernel tracks the members */
    return 0;
}

static void cgroup_close(struct proctrack *proctrack)
{
    struct cgroup *cgroup = cgroup_from(proctrack);
    for (size_t i = 0; i < cgroup->leaf_count; i++)
        cgroup_leaf_free(&cgroup->leaves[i]);
    free(cgroup->leaves);
    cgroup_claim_close(cgroup);
    cgroup_change_end_all(cgroup);
    fd_close(cgroup->root_fd);
    fd_close(cgroup->proc_fd);
    free(cgroup);
}

static const struct proctrack_ops cgroup_ops = {.word = "cgroup",
                                                .look = cgroup_look,
                                                .leader = cgroup_leader,
                                                .join = cgroup_join,
                                                .leave = cgroup_join_leave,
                                                .stay = cgroup_stay,
                                                .account = cgroup_account,
                                                .members = cgroup_members,
                                                .find = cgroup_find,
                                                .signal = cgroup_signal,
                                                .kill = cgroup_kill,
                                                .freeze = cgroup_freeze,
                                                .forget = cgroup_forget,
                                                .claim = cgroup_claim,
                                                .claims = cgroup_claims,
                                                .each = cgroup_each,
                                                .scan = cgroup_scan,
                                                .close = cgroup_close};

/* The daemon must not be in a partition's cgroup. */
static int step_out(struct cgroup *cgroup, pid_t pid)
{
    int r = -EINPROGRESS;
    for (int i = 0; r == -EINPROGRESS && i < STEP_OUT_TRIES; i++) {
        if (i > 0)
            usleep(STEP_OUT_PAUSE_US);
        r = cgroup_change_step_out(cgroup, pid);
    }
    return r == -EINPROGRESS ? -EBUSY : r;
}

/* Descriptors that leaves may use; the rest is for everything else. */
static size_t leaf_max(void)
{
    struct rlimit limit;
    rlim_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
    return most > LEAF_MAX ? LEAF_MAX : (size_t)(most - most / 8);
}

/* Everything but memory, in the order that gives the clearest message. */
static int prepare(struct cgroup *cgroup, const struct proctrack_options *options,
                   struct message *message)
{
    if (geteuid() != 0)
        return message_set(-EPERM, message, "Only root can make cgroups for other users.");
    cgroup->proc_fd = procfs_open(options->proc);
    if (cgroup->proc_fd < 0)
        return message_set(cgroup->proc_fd, message, "Cannot open %s: %s.",
                           options->proc ? options->proc : "/proc", strerror(-cgroup->proc_fd));
    int r = cgroup_mount_open(cgroup, options, message);
    if (r)
        return r;
    r = step_out(cgroup, getpid());
    if (!r && options->supervisor > 0)
        r = step_out(cgroup, options->supervisor);
    cgroup_change_end_all(cgroup); /* they are where the daemon was */
    if (r)
        return message_set(r, message, "Cannot leave the cgroup of a partition: %s.", strerror(-r));
    r = cgroup_search(cgroup);
    int claimed = cgroup_claim_load(cgroup, options);
    r = r ? r : claimed;
    if (r == -ENOMEM || r == -EAGAIN)
        return message_set(r, message, "Cannot search the cgroup tree: %s.", strerror(-r));
    if (r) /* what was found counts, and new members are safe */
        message_set(0, message,
                    "Part of the cgroup tree cannot be searched (%s): programs there that were in "
                    "partitions may be lost.",
                    strerror(-r));
    return 0;
}

int cgroup_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                struct message *message)
{
    struct cgroup *cgroup = calloc(1, sizeof(*cgroup));
    if (!cgroup)
        return message_set(-ENOMEM, message, "Out of memory: cannot open the process tracker.");
    cgroup->port.ops = &cgroup_ops;
    adapter_own_set(&cgroup->port, options);
    cgroup->proc_fd = cgroup->root_fd = cgroup->state_fd = -1;
    cgroup->leaf_max = leaf_max();
    cgroup->steps = options->steps;
    cgroup->owns = options->owns;
    cgroup->owns_context = options->owns_context;
    snprintf(cgroup->prefix, sizeof(cgroup->prefix), "chronosfs-%s-p", options->instance);
    int r = prepare(cgroup, options, message);
    if (r) {
        cgroup_close(&cgroup->port);
        return r;
    }
    *ret_proctrack = &cgroup->port;
    return 0;
}
