/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what now, as much of it as the host thread needs: a sorted list, because ids
 * only rise and partitions are added at its end.
 */
#ifndef CHRONOS_HOST_ALLOCATIONS_H
#define CHRONOS_HOST_ALLOCATIONS_H

#include "core/engine/partition.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct allocation {
    uint64_t id; /* of the partition */
    uint64_t memory_bytes;
    uint32_t device, uid, gid, mode;
    bool dropped; /* its place is used again later */
};

struct allocations {
    struct allocation *list;
    size_t count, capacity, dropped;
};

/* The holding of a partition, or NULL. Borrowed until the next change. */
const struct allocation *allocations_find(const struct allocations *allocations, uint64_t id);
/* Adds a partition, or makes it what it is now. 0 or -ENOMEM. */
int allocations_put(struct allocations *allocations, const struct partition *partition);
int allocations_copy(struct allocations *allocations, const struct allocation *allocation);
/* Takes a partition off; whether it was there. */
bool allocations_drop(struct allocations *allocations, uint64_t id);
/* The holding after *at (start with 0), or NULL at the end. */
const struct allocation *allocations_next(const struct allocations *allocations, size_t *at);

#endif
