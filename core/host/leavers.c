/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that left their partitions; see leavers.h. */
#include "leavers.h"

#include "core/base/array.h"

#include <errno.h>
#include <string.h>

/* Users choose how many generations there are. */
#define GENERATIONS_MAX 64

static struct leaver *find(const struct leavers *leavers, pid_t pid, uint64_t start)
{
    for (size_t i = 0; i < leavers->count; i++)
        if (leavers->list[i].pid == pid && leavers->list[i].start == start)
            return &leavers->list[i];
    return NULL;
}

static void drop(struct leavers *leavers, struct leaver *leaver)
{
    size_t at = (size_t)(leaver - leavers->list);
    memmove(leaver, leaver + 1, (leavers->count - at - 1) * sizeof(*leaver));
    leavers->count--;
}

static bool has_ended(const struct leaver *leaver)
{
    struct procfs_stat stat;
    int r = procfs_stat_read(-1, leaver->pid, &stat);
    return r == -ESRCH || (!r && stat.start != leaver->start);
}

/* Remove what an account can do without, if it has too many. */
static void make_room(struct leavers *leavers, uint32_t account)
{
    struct leaver *oldest = NULL;
    size_t own = 0;
    for (size_t i = 0; i < leavers->count; i++)
        own += leavers->list[i].account == account;
    for (size_t i = leavers->count; own >= LEAVERS_MAX && i-- > 0;) {
        struct leaver *leaver = &leavers->list[i];
        if (leaver->account != account)
            continue;
        oldest = leaver;
        if (!has_ended(leaver))
            continue;
        drop(leavers, leaver);
        own--;
    }
    if (own >= LEAVERS_MAX)
        drop(leavers, oldest);
}

int leavers_put(struct leavers *leavers, const struct procfs_process *process, uint32_t account)
{
    if (find(leavers, process->pid, process->start))
        return 0;
    make_room(leavers, account);
    if (array_reserve(leavers->list, leavers->capacity, leavers->count + 1))
        return -ENOMEM;
    leavers->list[leavers->count++] = (struct leaver){
        .pid = process->pid, .start = process->start, .uid = process->uid, .account = account};
    return 0;
}

void leavers_drop(struct leavers *leavers, const struct procfs_process *process)
{
    struct leaver *leaver = find(leavers, process->pid, process->start);
    if (leaver)
        drop(leavers, leaver);
}

bool leavers_has(const struct leavers *leavers, const struct procfs_process *process)
{
    struct procfs_stat stat = {.ppid = process->pid};
    for (int i = 0; leavers->count && i < GENERATIONS_MAX && stat.ppid > 1; i++) {
        if (procfs_stat_read(-1, stat.ppid, &stat))
            return false;
        const struct leaver *leaver = find(leavers, stat.pid, stat.start);
        if (leaver && leaver->uid == process->uid)
            return true;
    }
    return false;
}
