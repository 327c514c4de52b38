/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signal that comes with a warning, which the owner of a partition chooses. Only
 * programs get it that the owner could have sent it to: a setuid program in the
 * partition (sudo, passwd) is not the owner's to interrupt at a chosen moment.
 */
#include "internal.h"

#include "core/base/pidfd.h"

#include "core/base/procfs.h"
#include "core/engine/ending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Members as they are told; the process tracker must not be used meanwhile. */
struct members {
    pid_t *pids;
    size_t count, capacity;
};

static void add_member(void *context, pid_t pid)
{
    struct members *members = context;
    if (members->count == members->capacity) {
        size_t capacity = members->capacity ? members->capacity * 2 : 64;
        pid_t *pids = realloc(members->pids, capacity * sizeof(*pids));
        if (!pids)
            return; /* the warning is in the log and in `state` all the same */
        members->pids = pids;
        members->capacity = capacity;
    }
    members->pids[members->count++] = pid;
}

/* Whoever joined a shared partition agreed to its warnings; root did not. */
static bool may_get(const struct partition *partition, const struct procfs_process *process)
{
    return partition->uid == 0 || (process->uid && process->euid && process->suid);
}

static bool send(struct host *host, const struct partition *partition, pid_t pid)
{
    struct procfs_process process;
    /* Open before it is looked at: it is the one that was seen, or it is gone. */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return false;
    bool sent = !proctrack_look(host->proctrack, pid, &process) && may_get(partition, &process) &&
                proctrack_partition_of(host->proctrack, pid) == partition->id &&
                !pidfd_send(fd, (int)partition->warn.signal);
    close(fd);
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
