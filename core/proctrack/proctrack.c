/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tracker port: picks an adapter, and hands each call to it after checking what
 * is the same for all. It must not know how any adapter works.
 */
#include "proctrack.h"
#include "adapter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The tree always works, so it is told why it is only the second choice. */
static int open_auto(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                     char *message, size_t size)
{
    char why[PROCTRACK_SENTENCE_MAX] = "";
    if (proctrack_open_cgroup(options, ret_proctrack, why, sizeof(why)) == 0)
        return 0;
    int rc = proctrack_open_tree(options, ret_proctrack, message, size);
    if (rc == 0)
        snprintf((*ret_proctrack)->why, sizeof((*ret_proctrack)->why), "%s", why);
    return rc;
}

static const struct {
    const char *mode;
    proctrack_open_fn *open;
} modes[] = {
    {"auto", open_auto},
    {"cgroup", proctrack_open_cgroup},
    {"process-tree", proctrack_open_tree},
    {"fake", proctrack_open_fake},
};

static int checked(const struct proctrack_options *options, char *message, size_t size)
{
    const char *instance = options->instance == NULL ? "" : options->instance;
    if (strlen(instance) != PROCTRACK_INSTANCE_LEN ||
        strspn(instance, "0123456789abcdef") != PROCTRACK_INSTANCE_LEN) {
        snprintf(message, size, "an instance is named by 16 of 0-9a-f, not by \"%.32s\"", instance);
        return -EINVAL;
    }
    return 0;
}

void proctrack_own_set(struct proctrack *proctrack, const struct proctrack_options *options)
{
    proctrack->own[0] = 1;
    proctrack->own[1] = getpid();
    proctrack->own[2] = options->supervisor > 0 ? options->supervisor : 1;
}

bool proctrack_is_own(const struct proctrack *proctrack, pid_t pid)
{
    return pid == proctrack->own[0] || pid == proctrack->own[1] || pid == proctrack->own[2];
}

int proctrack_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                   char *message, size_t size)
{
    const char *mode = options->mode == NULL ? "auto" : options->mode;
    struct proctrack_options filled = *options;
    int rc = checked(options, message, size);
    if (rc != 0)
        return rc;
    if (filled.proc == NULL)
        filled.proc = "/proc";
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].mode, mode) != 0)
            continue;
        if (size > 0)
            message[0] = '\0';
        return modes[i].open(&filled, ret_proctrack, message, size);
    }
    snprintf(message, size, "\"%.32s\" is no way to keep processes in partitions", mode);
    return -EINVAL;
}

struct proctrack *proctrack_close(struct proctrack *proctrack)
{
    if (proctrack != NULL)
        proctrack->ops->close(proctrack);
    return NULL;
}

const char *proctrack_word(const struct proctrack *proctrack)
{
    return proctrack->ops->word;
}

const char *proctrack_why(const struct proctrack *proctrack)
{
    return proctrack->why;
}

int proctrack_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process)
{
    return pid <= 0 ? -EINVAL : proctrack->ops->look(proctrack, pid, ret_process);
}

pid_t proctrack_leader(struct proctrack *proctrack, pid_t tid)
{
    return tid <= 0 ? -ESRCH : proctrack->ops->leader(proctrack, tid);
}

int proctrack_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                   char *message, size_t size)
{
    if (id == 0 || process->pid <= 0) {
        snprintf(message, size, "process %d cannot join partition %llu", process->pid,
                 (unsigned long long)id);
        return -EINVAL;
    }
    if (proctrack_is_own(proctrack, process->pid)) {
        snprintf(message, size, "process %d cannot join a partition: %s", process->pid,
                 process->pid == 1 ? "everything on the machine descends from it"
                                   : "chronosfs itself must outlive all partitions");
        return -EPERM;
    }
    if (size > 0)
        message[0] = '\0';
    return proctrack->ops->join(proctrack, id, process, message, size);
}

int proctrack_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                      void *context)
{
    return id == 0 ? 0 : proctrack->ops->members(proctrack, id, fn, context);
}

uint64_t proctrack_partition_of(struct proctrack *proctrack, pid_t pid)
{
    return pid <= 0 ? 0 : proctrack->ops->partition_of(proctrack, pid);
}

int proctrack_signal(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count)
{
    uint32_t count = 0;
    if (signo <= 0 || signo > SIGRTMAX || signo == SIGKILL || signo == SIGSTOP)
        return -EINVAL;
    int rc = id == 0 ? 0 : proctrack->ops->signal(proctrack, id, signo, &count);
    if (ret_count != NULL)
        *ret_count = count;
    return rc;
}

int proctrack_kill(struct proctrack *proctrack, uint64_t id)
{
    return id == 0 ? 0 : proctrack->ops->kill(proctrack, id);
}

int proctrack_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    return id == 0 ? 0 : proctrack->ops->freeze(proctrack, id, frozen);
}

int proctrack_forget(struct proctrack *proctrack, uint64_t id)
{
    return id == 0 ? 0 : proctrack->ops->forget(proctrack, id);
}

int proctrack_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context)
{
    return proctrack->ops->each(proctrack, fn, context);
}

int proctrack_scan(struct proctrack *proctrack)
{
    return proctrack->ops->scan(proctrack);
}
