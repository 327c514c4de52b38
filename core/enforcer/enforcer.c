/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The enforcer port: picks an adapter, and hands each call to it after checking what
 * is the same for all. It must not know how any adapter works.
 */
#include "enforcer.h"
#include "private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The tree always works, so it is told why it is only the second choice. */
static int open_auto(const struct enforcer_options *options, struct enforcer **ret_enforcer,
                     char *sentence, size_t size)
{
    char why[ENFORCER_SENTENCE_MAX] = "";
    if (enforcer_open_cgroup(options, ret_enforcer, why, sizeof(why)) == 0)
        return 0;
    int rc = enforcer_open_tree(options, ret_enforcer, sentence, size);
    if (rc == 0)
        snprintf((*ret_enforcer)->why, sizeof((*ret_enforcer)->why), "%s", why);
    return rc;
}

static const struct {
    const char *mode;
    enforcer_open_fn *open;
} modes[] = {
    {"auto", open_auto},
    {"cgroup", enforcer_open_cgroup},
    {"process-tree", enforcer_open_tree},
    {"fake", enforcer_open_fake},
};

static int checked(const struct enforcer_options *options, char *sentence, size_t size)
{
    const char *instance = options->instance == NULL ? "" : options->instance;
    if (strlen(instance) != ENFORCER_INSTANCE_LEN ||
        strspn(instance, "0123456789abcdef") != ENFORCER_INSTANCE_LEN) {
        snprintf(sentence, size, "an instance is named by 16 of 0-9a-f, not by \"%.32s\"",
                 instance);
        return -EINVAL;
    }
    return 0;
}

void enforcer_own_set(struct enforcer *enforcer, const struct enforcer_options *options)
{
    enforcer->own[0] = 1;
    enforcer->own[1] = getpid();
    enforcer->own[2] = options->supervisor > 0 ? options->supervisor : 1;
}

bool enforcer_is_own(const struct enforcer *enforcer, pid_t pid)
{
    return pid == enforcer->own[0] || pid == enforcer->own[1] || pid == enforcer->own[2];
}

int enforcer_open(const struct enforcer_options *options, struct enforcer **ret_enforcer,
                  char *sentence, size_t size)
{
    const char *mode = options->mode == NULL ? "auto" : options->mode;
    struct enforcer_options filled = *options;
    int rc = checked(options, sentence, size);
    if (rc != 0)
        return rc;
    if (filled.proc == NULL)
        filled.proc = "/proc";
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].mode, mode) != 0)
            continue;
        if (size > 0)
            sentence[0] = '\0';
        return modes[i].open(&filled, ret_enforcer, sentence, size);
    }
    snprintf(sentence, size, "\"%.32s\" is no way to keep processes in partitions", mode);
    return -EINVAL;
}

struct enforcer *enforcer_close(struct enforcer *enforcer)
{
    if (enforcer != NULL)
        enforcer->ops->close(enforcer);
    return NULL;
}

const char *enforcer_word(const struct enforcer *enforcer)
{
    return enforcer->ops->word;
}

const char *enforcer_why(const struct enforcer *enforcer)
{
    return enforcer->why;
}

int enforcer_look(struct enforcer *enforcer, pid_t pid, struct enforcer_process *ret_process)
{
    return pid <= 0 ? -EINVAL : enforcer->ops->look(enforcer, pid, ret_process);
}

pid_t enforcer_leader(struct enforcer *enforcer, pid_t tid)
{
    return tid <= 0 ? -ESRCH : enforcer->ops->leader(enforcer, tid);
}

int enforcer_join(struct enforcer *enforcer, uint64_t id, const struct enforcer_process *process,
                  char *sentence, size_t size)
{
    if (id == 0 || process->pid <= 0) {
        snprintf(sentence, size, "process %d cannot join partition %llu", process->pid,
                 (unsigned long long)id);
        return -EINVAL;
    }
    if (enforcer_is_own(enforcer, process->pid)) {
        snprintf(sentence, size, "process %d cannot join a partition: %s", process->pid,
                 process->pid == 1 ? "everything on the machine descends from it"
                                   : "chronosfs itself must outlive all partitions");
        return -EPERM;
    }
    if (size > 0)
        sentence[0] = '\0';
    return enforcer->ops->join(enforcer, id, process, sentence, size);
}

int enforcer_members(struct enforcer *enforcer, uint64_t id, enforcer_member_fn *fn, void *context)
{
    return id == 0 ? 0 : enforcer->ops->members(enforcer, id, fn, context);
}

uint64_t enforcer_partition_of(struct enforcer *enforcer, pid_t pid)
{
    return pid <= 0 ? 0 : enforcer->ops->partition_of(enforcer, pid);
}

int enforcer_signal(struct enforcer *enforcer, uint64_t id, int signo, uint32_t *ret_count)
{
    uint32_t count = 0;
    if (signo <= 0 || signo > SIGRTMAX || signo == SIGKILL || signo == SIGSTOP)
        return -EINVAL;
    int rc = id == 0 ? 0 : enforcer->ops->signal(enforcer, id, signo, &count);
    if (ret_count != NULL)
        *ret_count = count;
    return rc;
}

int enforcer_kill(struct enforcer *enforcer, uint64_t id)
{
    return id == 0 ? 0 : enforcer->ops->kill(enforcer, id);
}

int enforcer_freeze(struct enforcer *enforcer, uint64_t id, bool frozen)
{
    return id == 0 ? 0 : enforcer->ops->freeze(enforcer, id, frozen);
}

int enforcer_forget(struct enforcer *enforcer, uint64_t id)
{
    return id == 0 ? 0 : enforcer->ops->forget(enforcer, id);
}

int enforcer_each(struct enforcer *enforcer, enforcer_each_fn *fn, void *context)
{
    return enforcer->ops->each(enforcer, fn, context);
}

int enforcer_scan(struct enforcer *enforcer)
{
    return enforcer->ops->scan(enforcer);
}
