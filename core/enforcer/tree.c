/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "process-tree": who joined, and their descendants by parent, remembered
 * by pid and start time. It needs nothing of the machine but /proc, and no rights but
 * those over one's own processes.
 *
 * Guaranteed:
 * - A descendant belongs while its chain of parents to a member lives, and for good once
 *   it was seen by a scan (or signal, kill, freeze, which scan): setsid, double fork and
 *   the end of its parents change nothing then.
 * - A pid that was given to another process is not mistaken for a member: the start
 *   time is compared through a descriptor of the process before every signal.
 * - After a restart of the daemon the members are known from the file "members". After
 *   one of the machine all is forgotten.
 * - Kill stops everybody first and kills when nobody runs, so that no child is missed
 *   that has a parent.
 *
 * Not guaranteed:
 * - A process whose parent ended before any scan saw it is lost, with its children: a
 *   double fork between two scans leaves the partition. While the daemon is down there
 *   are no scans. Whoever wants to leave can do so; it is no protection against users.
 * - A chain of processes that fork and end faster than a scan takes cannot be caught.
 * - A child born within the same clock tick (10 ms) before its parent joined belongs.
 * - A signal can miss a member that was born within the tick in which it was sent.
 * - Freezing is SIGSTOP: shells tell it, and whoever may signal a member can send
 *   SIGCONT. Kill stops members for the moment before it ends them.
 * - A daemon without root cannot signal members that run as another user (setuid).
 * - A process that was given the pid of a member within the same tick in which the
 *   member began would be taken for it. Only who may choose pids
 *   (CAP_CHECKPOINT_RESTORE) is that fast.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct tree *tree_from(struct enforcer *enforcer)
{
    return (struct tree *)enforcer;
}

static int tree_look(struct enforcer *enforcer, pid_t pid, struct enforcer_process *ret_process)
{
    return proc_look(tree_from(enforcer)->proc_fd, pid, ret_process, NULL);
}

static pid_t tree_leader(struct enforcer *enforcer, pid_t tid)
{
    return proc_leader(tree_from(enforcer)->proc_fd, tid);
}

/* Remembers the process behind `pidfd`, which is in partition `in` until now. */
static int join_as(struct tree *tree, uint64_t id, const struct enforcer_process *process,
                   uint64_t in, int pidfd)
{
    const struct tree_record *old = tree_record_find(&tree->file, process->pid, process->start);
    bool was_frozen = old != NULL && old->frozen;
    struct tree_record record = {.id = id,
                                 .pid = (uint32_t)process->pid,
                                 .start = process->start,
                                 .since = in == id ? 0 : proc_ticks(),
                                 .frozen = tree_is_frozen(tree, id)};
    int rc = tree_record_set(&tree->file, &record);
    if (rc != 0)
        return rc;
    if (!pidfd_lives(pidfd)) {
        tree_record_drop(tree_record_find(&tree->file, process->pid, process->start));
        return -ESRCH;
    }
    if (record.frozen)
        pidfd_send(pidfd, SIGSTOP);
    else if (was_frozen)
        pidfd_send(pidfd, SIGCONT);
    return 0;
}

static int tree_join(struct enforcer *enforcer, uint64_t id, const struct enforcer_process *process,
                     char *sentence, size_t size)
{
    struct tree *tree = tree_from(enforcer);
    int pidfd = -1;
    int rc = proc_look_again(tree->proc_fd, process, &pidfd);
    if (rc != 0)
        return rc;
    tree_step(tree, "open");
    uint64_t in = tree_partition_of(enforcer, process->pid);
    if (in != 0 && in != id)
        rc = tree_scan(tree); /* the children that it has stay where they are */
    tree_step(tree, "move");
    if (rc == 0)
        rc = join_as(tree, id, process, in, pidfd);
    fd_close(pidfd);
    if (rc != 0 && rc != -ESRCH)
        sentence_set(rc, sentence, size, "process %d cannot be remembered: %s", process->pid,
                     strerror(-rc));
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct tree_record *x = a, *y = b;
    if (x->id != y->id)
        return x->id > y->id ? 1 : -1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* The members of one partition, or of all (id 0), by id and pid. Those that ended are
 * forgotten on the way. NULL: no memory. */
static struct tree_record *living(struct tree *tree, uint64_t id, size_t *ret_count)
{
    struct tree_record *list = calloc(tree->file.count + 1, sizeof(*list));
    *ret_count = 0;
    for (size_t i = 0; list != NULL && i < tree->file.count; i++) {
        struct tree_record *record = &tree->file.records[i];
        if (record->id == 0 || (id != 0 && record->id != id))
            continue;
        if (tree_lives(tree, record, NULL))
            list[(*ret_count)++] = *record;
        else
            tree_record_drop(record);
    }
    if (list != NULL)
        qsort(list, *ret_count, sizeof(*list), compare);
    return list;
}

static int tree_members(struct enforcer *enforcer, uint64_t id, enforcer_member_fn *fn,
                        void *context)
{
    size_t count = 0;
    struct tree_record *list = living(tree_from(enforcer), id, &count);
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0; fn != NULL && i < count; i++)
        fn(context, (pid_t)list[i].pid);
    free(list);
    return (int)count;
}

static int tree_forget(struct enforcer *enforcer, uint64_t id)
{
    int members = tree_members(enforcer, id, NULL, NULL);
    return members > 0 ? -EBUSY : members; /* with the last of them its record went */
}

static int tree_each(struct enforcer *enforcer, enforcer_each_fn *fn, void *context)
{
    struct tree *tree = tree_from(enforcer);
    size_t count, first = 0;
    struct tree_record *list = living(tree, 0, &count);
    int partitions = 0;
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && list[i + 1].id == list[i].id)
            continue;
        if (fn != NULL)
            fn(context, list[i].id, (uint32_t)(i + 1 - first), list[i].frozen != 0);
        first = i + 1;
        partitions++;
    }
    free(list);
    return partitions;
}

static int tree_scan_port(struct enforcer *enforcer)
{
    return tree_scan(tree_from(enforcer));
}

static void tree_close(struct enforcer *enforcer)
{
    struct tree *tree = tree_from(enforcer);
    tree_file_close(&tree->file);
    fd_close(tree->proc_fd);
    free(tree);
}

static const struct enforcer_ops tree_ops = {.word = "process-tree",
                                             .look = tree_look,
                                             .leader = tree_leader,
                                             .join = tree_join,
                                             .members = tree_members,
                                             .partition_of = tree_partition_of,
                                             .signal = tree_signal,
                                             .kill = tree_kill,
                                             .freeze = tree_freeze,
                                             .forget = tree_forget,
                                             .each = tree_each,
                                             .scan = tree_scan_port,
                                             .close = tree_close};

int enforcer_open_tree(const struct enforcer_options *options, struct enforcer **ret_enforcer,
                       char *sentence, size_t size)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    int rc;
    if (tree == NULL)
        return sentence_set(-ENOMEM, sentence, size, "there is no memory for the enforcer");
    tree->port.ops = &tree_ops;
    enforcer_own_set(&tree->port, options);
    tree->file.fd = -1;
    tree->before_step = options->before_step;
    tree->context = options->context;
    tree->proc_fd = open(options->proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->proc_fd < 0)
        rc = sentence_set(-errno, sentence, size, "%s cannot be opened: %s", options->proc,
                          strerror(errno));
    else
        rc = tree_file_open(&tree->file, options->state_dir, options->boot_id, sentence, size);
    if (rc == 0)
        rc = tree_scan(tree);
    if (rc != 0) {
        tree_close(&tree->port);
        return rc;
    }
    *ret_enforcer = &tree->port;
    return 0;
}
