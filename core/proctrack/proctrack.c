/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tracker port: check what is common to all adapters, then pass each call on. It must
 * not know how an adapter works, or which ones exist.
 */
#include "proctrack.h"
#include "adapter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct proctrack *proctrack_close(struct proctrack *proctrack)
{
    if (proctrack)
        proctrack->ops->close(proctrack);
    return NULL;
}

const char *proctrack_word(const struct proctrack *proctrack)
{
    return proctrack->ops->word;
}

const char *proctrack_why(const struct proctrack *proctrack)
{
    return proctrack->why.text;
}

int proctrack_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    return pid <= 0 ? -EINVAL : proctrack->ops->look(proctrack, pid, ret_process);
}

pid_t proctrack_leader(struct proctrack *proctrack, pid_t tid)
{
    return tid <= 0 ? -ESRCH : proctrack->ops->leader(proctrack, tid);
}

bool proctrack_set_has(const struct proctrack_set *set, uint64_t id)
{
    for (size_t i = 0; i < PROCTRACK_SET_MAX; i++)
        if (id != 0 && set->ids[i] == id)
            return true;
    return false;
}

int proctrack_set_add(struct proctrack_set *set, uint64_t id)
{
    size_t at = 0;
    if (proctrack_set_has(set, id))
        return 0;
    if (set->ids[PROCTRACK_SET_MAX - 1] != 0)
        return -E2BIG;
    while (set->ids[at] != 0 && set->ids[at] < id)
        at++;
    memmove(&set->ids[at + 1], &set->ids[at], (PROCTRACK_SET_MAX - 1 - at) * sizeof(id));
    set->ids[at] = id;
    return 0;
}

bool proctrack_set_is_equal(const struct proctrack_set *a, const struct proctrack_set *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

int proctrack_join(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                   const struct procfs_process *process, struct message *message)
{
    if (set->ids[0] == 0 || process->pid <= 0)
        return message_set(-EINVAL, message, "Process %d cannot join partition %llu.", process->pid,
                           (unsigned long long)set->ids[0]);
    if (adapter_is_own(proctrack, process->pid))
        return message_set(-EPERM, message, "Process %d cannot join a partition: %s.", process->pid,
                           process->pid == 1 ? "all processes descend from it"
                                             : "chronosfs itself must outlive all partitions");
    message->text[0] = '\0';
    return proctrack->ops->join(proctrack, set, account, process, message);
}

int proctrack_leave(struct proctrack *proctrack, uint32_t account,
                    const struct procfs_process *process, bool all, struct message *message)
{
    message->text[0] = '\0';
    return process->pid <= 0 ? -ESRCH
                             : proctrack->ops->leave(proctrack, account, process, all, message);
}

void proctrack_stay(struct proctrack *proctrack, const struct procfs_process *process)
{
    if (proctrack->ops->stay)
        proctrack->ops->stay(proctrack, process);
}

void proctrack_account(struct proctrack *proctrack, uint64_t id, uint32_t account)
{
    if (proctrack->ops->account)
        proctrack->ops->account(proctrack, id, account);
}

int proctrack_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                      void *context)
{
    return id == 0 ? 0 : proctrack->ops->members(proctrack, id, fn, context);
}

void proctrack_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set)
{
    memset(ret_set, 0, sizeof(*ret_set));
    if (pid > 0)
        proctrack->ops->find(proctrack, pid, ret_set);
}

int proctrack_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                     uint32_t *ret_count)
{
    uint32_t count = 0;
    if (signo <= 0 || signo > SIGRTMAX || signo == SIGKILL || signo == SIGSTOP)
        return -EINVAL;
    int r = id == 0 ? 0 : proctrack->ops->signal(proctrack, id, signo, now, &count);
    if (ret_count)
        *ret_count = count;
    return r;
}

int proctrack_kill(struct proctrack *proctrack, uint64_t id, bool now)
{
    return id == 0 ? 0 : proctrack->ops->kill(proctrack, id, now);
}

int proctrack_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    return id == 0 ? 0 : proctrack->ops->freeze(proctrack, id, frozen);
}

int proctrack_forget(struct proctrack *proctrack, uint64_t id)
{
    return id == 0 ? 0 : proctrack->ops->forget(proctrack, id);
}

int proctrack_claim(struct proctrack *proctrack, uint64_t id, const char *path,
                    struct message *message)
{
    message->text[0] = '\0';
    if (id == 0)
        return message_set(-EINVAL, message, "No partition has the number 0.");
    if (!proctrack->ops->claim)
        return message_set(-EOPNOTSUPP, message,
                           "A cgroup can belong to a partition only where chronosfs tracks "
                           "programs by cgroups, not with %s.",
                           proctrack->ops->word);
    return proctrack->ops->claim(proctrack, id, path, message);
}

int proctrack_claims(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn,
                     void *context)
{
    return proctrack->ops->claims ? proctrack->ops->claims(proctrack, id, fn, context) : 0;
}

int proctrack_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    return proctrack->ops->each(proctrack, fn, context);
}

int proctrack_scan(struct proctrack *proctrack)
{
    return proctrack->ops->scan(proctrack);
}
