/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of partitions' members; see members.h. */
#include "members.h"

#include <string.h>

const struct snapshot *members_find(const struct members *members, uint64_t id, int64_t since_ns)
{
    const struct snapshot *snapshot = &members->slots[id % MEMBERS_SLOTS];
    return snapshot->id == id && snapshot->at_ns >= since_ns ? snapshot : NULL;
}

void members_put(struct members *members, uint64_t id, int64_t at_ns, const char *pids,
                 size_t length, const char *cgroups)
{
    struct snapshot *snapshot = &members->slots[id % MEMBERS_SLOTS];
    strbuf_clear(&snapshot->pids);
    strbuf_add(&snapshot->pids, pids, length);
    strbuf_clear(&snapshot->cgroups);
    strbuf_add(&snapshot->cgroups, cgroups, cgroups ? strlen(cgroups) : 0);
    snapshot->id = snapshot->pids.failed || snapshot->cgroups.failed ? 0 : id;
    snapshot->at_ns = at_ns;
}
