/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "fake": processes and partitions in two arrays. It implements the whole contract of
 * proctrack.h, so that code tested with it works with real processes.
 */
#include "fake.h"
#include "fake_process.h"

#include "core/base/array.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PID 1000

static struct fake *fake_of(struct proctrack *proctrack)
{
    return (struct fake *)proctrack;
}

static struct fake_partition *partition_find(const struct fake *fake, uint64_t id)
{
    for (size_t i = 0; i < fake->partition_count; i++)
        if (fake->partitions[i].id == id)
            return &fake->partitions[i];
    return NULL;
}

static int fake_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    const struct fake_process *p = fake_process_living(fake_of(proctrack), pid);
    if (!p)
        return -ESRCH;
    *ret_process = p->process;
    return 0;
}

static pid_t fake_leader(struct proctrack *proctrack, pid_t tid)
{
    return fake_process_find(fake_of(proctrack), tid) ? tid : -ESRCH;
}

static int partition_add(struct fake *fake, uint64_t id)
{
    size_t at = 0;
    if (partition_find(fake, id))
        return 0;
    if (array_reserve(fake->partitions, fake->partition_capacity, fake->partition_count + 1))
        return -ENOMEM;
    struct fake_partition *list = fake->partitions;
    while (at < fake->partition_count && list[at].id < id)
        at++;
    memmove(&list[at + 1], &list[at], (fake->partition_count - at) * sizeof(*list));
    list[at] = (struct fake_partition){.id = id};
    fake->partition_count++;
    return 0;
}

static void deliver(struct fake_process *p)
{
    for (int signo = 0; signo < SIGNALS_MAX; signo++) {
        p->delivered[signo] += p->pending[signo];
        p->pending[signo] = 0;
    }
}

static int fake_join(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                     const struct procfs_process *process, struct message *message)
{
    (void)account;
    struct fake *fake = fake_of(proctrack);
    struct fake_process *p = fake_process_living(fake, process->pid);
    if (!p || p->process.start != process->start)
        return -ESRCH;
    if (p->process.uid != process->uid || p->process.euid != process->euid ||
        p->process.suid != process->suid)
        return -EAGAIN;
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set->ids[i]; i++) {
        if (partition_add(fake, set->ids[i]) != 0)
            return message_set(-ENOMEM, message, "Out of memory: cannot track process %d.",
                               process->pid);
    }
    p->in = *set;
    if (!fake_process_is_frozen(fake, p))
        deliver(p);
    return 0;
}

static void let_out(struct fake *fake, struct fake_process *p, uid_t uid, bool all)
{
    const struct proctrack_set in = p->in;
    p->in = (struct proctrack_set){{0}};
    deliver(p);
    for (size_t i = 0; i < fake->process_count; i++) {
        struct fake_process *child = &fake->processes[i];
        if (child->parent == p->process.pid && !child->zombie && !child->ended &&
            proctrack_set_is_equal(&child->in, &in) && (all || child->process.uid == uid))
            let_out(fake, child, uid, all);
    }
}

static int fake_leave(struct proctrack *proctrack, uint32_t account,
                      const struct procfs_process *process, bool all, struct message *message)
{
    (void)account;
    (void)message;
    struct fake *fake = fake_of(proctrack);
    struct fake_process *p = fake_process_living(fake, process->pid);
    if (!p || p->process.start != process->start)
        return -ESRCH;
    if (p->in.ids[0])
        let_out(fake, p, process->uid, all);
    return 0;
}

static int compare(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

static int fake_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                        void *context)
{
    struct fake *fake = fake_of(proctrack);
    pid_t *pids = calloc(fake->process_count + 1, sizeof(*pids));
    int count = 0;
    if (!pids)
        return -ENOMEM;
    for (size_t i = 0; i < fake->process_count; i++) {
        if (fake_process_is_member(fake, &fake->processes[i], id))
            pids[count++] = fake->processes[i].process.pid;
    }
    qsort(pids, (size_t)count, sizeof(*pids), compare);
    for (int i = 0; fn && i < count; i++)
        fn(context, pids[i]);
    free(pids);
    return count;
}

static void fake_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set)
{
    const struct fake_process *p = fake_process_living(fake_of(proctrack), pid);
    if (p)
        *ret_set = fake_process_set(fake_of(proctrack), p);
}

/* As under cgroup, a process that hangs in the kernel does not stop. */
static bool has_stuck(const struct fake *fake, uint64_t id)
{
    for (size_t i = 0; i < fake->process_count; i++)
        if (fake_process_is_member(fake, &fake->processes[i], id) && fake->processes[i].stuck)
            return true;
    return false;
}

static int fake_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                       uint32_t *ret_count)
{
    struct fake *fake = fake_of(proctrack);
    *ret_count = 0;
    if (!now && has_stuck(fake, id))
        return -EAGAIN;
    for (size_t i = 0; i < fake->process_count; i++) {
        struct fake_process *p = &fake->processes[i];
        if (!fake_process_is_member(fake, p, id))
            continue;
        p->pending[signo]++;
        ++*ret_count;
        if (!fake_process_is_frozen(fake, p))
            deliver(p);
    }
    return 0;
}

static int fake_kill(struct proctrack *proctrack, uint64_t id, bool now)
{
    struct fake *fake = fake_of(proctrack);
    (void)now;
    for (size_t i = 0; i < fake->process_count; i++) {
        struct fake_process *p = &fake->processes[i];
        if (!fake_process_is_member(fake, p, id))
            continue;
        p->delivered[SIGKILL]++;
        p->doomed = true;
        p->ended = !p->stuck;
    }
    return 0;
}

static int fake_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    struct fake *fake = fake_of(proctrack);
    struct fake_partition *partition = partition_find(fake, id);
    if (!partition)
        return 0;
    partition->frozen = frozen;
    for (size_t i = 0; !frozen && i < fake->process_count; i++) {
        if (fake_process_is_member(fake, &fake->processes[i], id) &&
            !fake_process_is_frozen(fake, &fake->processes[i]))
            deliver(&fake->processes[i]);
    }
    return frozen && has_stuck(fake, id) ? -EBUSY : 0;
}

/* Of a partition, or with `path` of all that have it. */
static void drop_claims(struct fake *fake, uint64_t id, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < fake->claim_count; i++)
        if (path ? strcmp(fake->claims[i].path, path) != 0 : fake->claims[i].id != id)
            fake->claims[kept++] = fake->claims[i];
    fake->claim_count = kept;
}

/* Every path but those with a dot is that of a cgroup. */
static int fake_claim(struct proctrack *proctrack, uint64_t id, const char *path,
                      struct message *message)
{
    struct fake *fake = fake_of(proctrack);
    if (path[0] != '/' || !path[1] || strchr(path, '.') ||
        strlen(path) >= sizeof(fake->claims[0].path))
        return message_set(-EINVAL, message, "Write the path of a cgroup.");
    drop_claims(fake, id, path);
    if (fake->claim_count == FAKE_CLAIMS || partition_add(fake, id))
        return message_set(-E2BIG, message, "p%llu can have no more cgroups.",
                           (unsigned long long)id);
    fake->claims[fake->claim_count].id = id;
    strcpy(fake->claims[fake->claim_count++].path, path);
    return 0;
}

static int fake_claims(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn,
                       void *context)
{
    const struct fake *fake = fake_of(proctrack);
    int count = 0;
    for (size_t i = 0; i < fake->claim_count; i++) {
        if (fake->claims[i].id != id)
            continue;
        if (fn)
            fn(context, fake->claims[i].path);
        count++;
    }
    return count;
}

static int fake_forget(struct proctrack *proctrack, uint64_t id)
{
    struct fake *fake = fake_of(proctrack);
    struct fake_partition *partition = partition_find(fake, id);
    int count = fake_members(proctrack, id, NULL, NULL);
    if (count != 0)
        return count < 0 ? count : -EBUSY;
    if (!partition)
        return 0;
    drop_claims(fake, id, NULL);
    size_t after = (size_t)(fake->partitions + fake->partition_count - partition) - 1;
    memmove(partition, partition + 1, after * sizeof(*partition));
    fake->partition_count--;
    return 0;
}

static int fake_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    struct fake *fake = fake_of(proctrack);
    for (size_t i = 0; i < fake->partition_count; i++) {
        const struct fake_partition *p = &fake->partitions[i];
        int members = fake_members(proctrack, p->id, NULL, NULL);
        if (members < 0)
            return members;
        if (fn)
            fn(context, p->id, (uint32_t)members, p->frozen);
    }
    return (int)fake->partition_count;
}

static int fake_scan(struct proctrack *proctrack)
{
    (void)proctrack;
    return 0;
}

static void fake_close(struct proctrack *proctrack)
{
    struct fake *fake = fake_of(proctrack);
    free(fake->processes);
    free(fake->partitions);
    free(fake);
}

static const struct proctrack_ops fake_ops = {.word = "fake",
                                              .look = fake_look,
                                              .leader = fake_leader,
                                              .join = fake_join,
                                              .leave = fake_leave,
                                              .members = fake_members,
                                              .find = fake_find,
                                              .signal = fake_signal,
                                              .kill = fake_kill,
                                              .freeze = fake_freeze,
                                              .forget = fake_forget,
                                              .claim = fake_claim,
                                              .claims = fake_claims,
                                              .each = fake_each,
                                              .scan = fake_scan,
                                              .close = fake_close};

int fake_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
              struct message *message)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    if (!fake)
        return message_set(-ENOMEM, message, "Out of memory: cannot open the process tracker.");
    fake->port.ops = &fake_ops;
    adapter_own_set(&fake->port, options);
    fake->next_pid = FIRST_PID;
    *ret_proctrack = &fake->port;
    return 0;
}
