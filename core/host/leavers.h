/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that left their partitions because their user wanted it: nothing brings them back but
 * their user. It must not know partitions.
 */
#ifndef CHRONOS_HOST_LEAVERS_H
#define CHRONOS_HOST_LEAVERS_H

#include "core/base/procfs.h"

struct leaver {
    pid_t pid;
    uint64_t start;
    uint32_t uid, account;
};

/* All zero: empty. Entries are few: an account has LEAVERS_MAX at most. */
struct leavers {
    struct leaver *list; /* the oldest first */
    size_t count, capacity;
};

#define LEAVERS_MAX 64

/* Add a process for an account. If that has too many, those that ended make room, or else its
 * oldest. 0 or -ENOMEM. */
int leavers_put(struct leavers *leavers, const struct procfs_process *process, uint32_t account);
/* Drop a process that is back. */
void leavers_drop(struct leavers *leavers, const struct procfs_process *process);
/* Return whether it is one, or a process that one of the same user started. */
bool leavers_has(const struct leavers *leavers, const struct procfs_process *process);

#endif
