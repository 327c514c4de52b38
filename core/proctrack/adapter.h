/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the adapters of the process tracker port: the table of functions behind a struct
 * proctrack, which implement proctrack.h, and the processes that never join.
 */
#ifndef CHRONOS_PROCTRACK_ADAPTER_H
#define CHRONOS_PROCTRACK_ADAPTER_H

#include "proctrack.h"

struct proctrack_ops {
    const char *word;
    int (*look)(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process);
    pid_t (*leader)(struct proctrack *proctrack, pid_t tid);
    int (*join)(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                const struct procfs_process *process, struct message *message);
    int (*leave)(struct proctrack *proctrack, uint32_t account,
                 const struct procfs_process *process, bool all, struct message *message);
    void (*stay)(struct proctrack *proctrack, const struct procfs_process *process); /* or NULL */
    void (*account)(struct proctrack *proctrack, uint64_t id, uint32_t account);     /* or NULL */
    int (*members)(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                   void *context);
    void (*find)(struct proctrack *proctrack, pid_t pid,
                 struct proctrack_set *ret_set); /* zeroed */
    int (*signal)(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                  uint32_t *ret_count);
    int (*kill)(struct proctrack *proctrack, uint64_t id, bool now);
    int (*freeze)(struct proctrack *proctrack, uint64_t id, bool frozen);
    int (*forget)(struct proctrack *proctrack, uint64_t id);
    int (*claim)(struct proctrack *proctrack, uint64_t id, const char *path,
                 struct message *message); /* or NULL */
    int (*claims)(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn,
                  void *context); /* or NULL */
    int (*each)(struct proctrack *proctrack, proctrack_each_fn *fn, void *context);
    int (*scan)(struct proctrack *proctrack);
    void (*close)(struct proctrack *proctrack);
};

/* The first member of each adapter's own struct. */
struct proctrack {
    const struct proctrack_ops *ops;
    struct message why;
    pid_t own[3]; /* never members: pid 1, this process, its supervisor (or 1) */
};

typedef int proctrack_open_fn(const struct proctrack_options *options,
                              struct proctrack **ret_proctrack, struct message *message);
proctrack_open_fn cgroup_open, ptree_open, fake_open;

/* Each adapter calls this when it opens. */
void adapter_own_set(struct proctrack *proctrack, const struct proctrack_options *options);
bool adapter_is_own(const struct proctrack *proctrack, pid_t pid);

#endif
