/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what now, as much of it as the keeper needs: a sorted list, because ids
 * only rise and partitions are added at its end.
 */
#ifndef CHRONOS_FS_HOLDINGS_H
#define CHRONOS_FS_HOLDINGS_H

#include "../core/engine/partition.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct holding {
    uint64_t id; /* of the partition */
    uint64_t memory_bytes;
    uint32_t device, uid, gid, mode;
    bool dropped; /* its place is used again later */
};

struct holdings {
    struct holding *list;
    size_t count, capacity, dropped;
};

/* The holding of a partition, or NULL. Borrowed until the next change. */
const struct holding *holdings_find(const struct holdings *holdings, uint64_t id);
/* Adds a partition, or makes it what it is now. 0 or -ENOMEM. */
int holdings_put(struct holdings *holdings, const struct partition *partition);
int holdings_copy(struct holdings *holdings, const struct holding *holding);
/* Takes a partition off; whether it was there. */
bool holdings_drop(struct holdings *holdings, uint64_t id);
/* The holding after *at (start with 0), or NULL at the end. */
const struct holding *holdings_next(const struct holdings *holdings, size_t *at);

#endif
