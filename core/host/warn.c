/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Send the signal that the owner of a partition chose for warnings. Only signal processes that the
 * owner could signal: the owner must not interrupt a setuid program in the partition (sudo, passwd)
 * at a chosen moment.
 */
#include "internal.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/pidfd.h"
#include "core/engine/ending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Collect the members first: proctrack_members lets nothing else use the tracker. */
struct members {
    pid_t *pids;
    size_t count, capacity;
};

static void add_member(void *context, pid_t pid)
{
    struct members *members = context;
    if (array_reserve(members->pids, members->capacity, members->count + 1))
        return; /* the log and `state` show the warning anyway */
    members->pids[members->count++] = pid;
}

/* Users accept a shared partition's warnings by joining it; processes of root get none. */
static bool may_get(const struct partition *partition, const struct procfs_process *process)
{
    return partition->uid == 0 || (process->uid && process->euid && process->suid);
}

static bool send(struct host *host, const struct partition *partition, pid_t pid)
{
    struct procfs_process process;
    struct proctrack_set set;
    /* Open the pidfd before looking up the process: the signal cannot reach another process with
     * this pid. */
    int pidfd = pidfd_new(pid);
    if (pidfd < 0)
        return false;
    proctrack_find(host->proctrack, pid, &set);
    bool sent = !proctrack_look(host->proctrack, pid, &process) && may_get(partition, &process) &&
                proctrack_set_has(&set, partition->id) &&
                !pidfd_send(pidfd, (int)partition->warn.signal);
    fd_close(pidfd);
    return sent;
}

void host_warn(struct host *host, const struct partition *partition)
{
    struct members members = {.count = 0};
    char details[64];
    uint32_t count = 0;
    if (!partition->warn.signal || !allocations_find(&host->occupied, partition->id))
        return;
    proctrack_scan(host->proctrack);
    proctrack_members(host->proctrack, partition->id, add_member, &members);
    for (size_t i = 0; i < members.count; i++)
        count += send(host, partition, members.pids[i]);
    free(members.pids);
    if (!count)
        return;
    snprintf(details, sizeof(details), "signal=%s processes=%" PRIu32,
             ending_signal_text(partition->warn.signal), count);
    host_note(host, partition, "signalled", details);
}
