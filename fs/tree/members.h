/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of partitions' members, for files to show. A small cache on the loop's side:
 * fs/fuse/pending.c requests a new snapshot from the host thread if the cached one is older than a
 * millisecond.
 */
#ifndef CHRONOS_TREE_MEMBERS_H
#define CHRONOS_TREE_MEMBERS_H

#include "core/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define MEMBERS_SLOTS 1024u

struct snapshot {
    uint64_t id;           /* partition; 0: the slot is empty */
    int64_t at_ns;         /* CLOCK_BOOTTIME of the request for it */
    struct strbuf pids;    /* one member per line */
    struct strbuf cgroups; /* that belong to the partition, one per line */
};

struct members {
    struct snapshot slots[MEMBERS_SLOTS];
};

/* Return the snapshot of partition `id` if it was requested at since_ns or later, else NULL. */
const struct snapshot *members_find(const struct members *members, uint64_t id, int64_t since_ns);
/* Store a snapshot in its slot; copies `pids` and `cgroups` (NULL: none). Out of memory: empties
 * the slot. */
void members_put(struct members *members, uint64_t id, int64_t at_ns, const char *pids,
                 size_t length, const char *cgroups);

#endif
