/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the adapters of the enforcer port share: the table of functions behind a
 * struct enforcer, which do what enforcer.h says, and how they are opened.
 */
#ifndef CHRONOS_ENFORCER_PRIVATE_H
#define CHRONOS_ENFORCER_PRIVATE_H

#include "enforcer.h"

struct enforcer_ops {
    const char *word;
    int (*look)(struct enforcer *enforcer, pid_t pid, struct enforcer_process *ret_process);
    pid_t (*leader)(struct enforcer *enforcer, pid_t tid);
    int (*join)(struct enforcer *enforcer, uint64_t id, const struct enforcer_process *process,
                char *sentence, size_t size);
    int (*members)(struct enforcer *enforcer, uint64_t id, enforcer_member_fn *fn, void *context);
    uint64_t (*partition_of)(struct enforcer *enforcer, pid_t pid);
    int (*signal)(struct enforcer *enforcer, uint64_t id, int signo, uint32_t *ret_count);
    int (*kill)(struct enforcer *enforcer, uint64_t id);
    int (*freeze)(struct enforcer *enforcer, uint64_t id, bool frozen);
    int (*forget)(struct enforcer *enforcer, uint64_t id);
    int (*each)(struct enforcer *enforcer, enforcer_each_fn *fn, void *context);
    int (*scan)(struct enforcer *enforcer);
    void (*close)(struct enforcer *enforcer);
};

/* The first member of every adapter's own struct. */
struct enforcer {
    const struct enforcer_ops *ops;
    char why[ENFORCER_SENTENCE_MAX];
    pid_t own[3]; /* never members: pid 1, this process, its supervisor or 1 */
};

typedef int enforcer_open_fn(const struct enforcer_options *options, struct enforcer **ret_enforcer,
                             char *sentence, size_t size);
enforcer_open_fn enforcer_open_cgroup, enforcer_open_tree, enforcer_open_fake;

/* Each adapter calls it when it opens. */
void enforcer_own_set(struct enforcer *enforcer, const struct enforcer_options *options);
bool enforcer_is_own(const struct enforcer *enforcer, pid_t pid);

#endif
