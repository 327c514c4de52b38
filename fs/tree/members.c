/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of partitions' members; see members.h. */
#include "members.h"

const struct look *members_find(const struct members *members, uint64_t id, int64_t since_ns)
{
    const struct look *look = &members->slots[id % MEMBERS_SLOTS];
    return look->id == id && look->at_ns >= since_ns ? look : NULL;
}

void members_put(struct members *members, uint64_t id, int64_t at_ns, const char *pids,
                 size_t length)
{
    struct look *look = &members->slots[id % MEMBERS_SLOTS];
    strbuf_clear(&look->pids);
    strbuf_add(&look->pids, pids, length);
    look->id = look->pids.failed ? 0 : id;
    look->at_ns = at_ns;
}
