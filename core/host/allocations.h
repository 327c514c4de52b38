/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of partitions, with what the host thread needs to know of each, in order of ids. */
#ifndef CHRONOS_HOST_ALLOCATIONS_H
#define CHRONOS_HOST_ALLOCATIONS_H

#include "core/base/avl.h"
#include "core/engine/partition.h"

#include <stdbool.h>
#include <stdint.h>

struct allocation {
    struct avl_node node;
    uint64_t id; /* of the partition */
    uint64_t memory_bytes;
    uint32_t device, uid, gid, mode;
};

/* All zero: empty. */
struct allocations {
    struct avl avl;
};

/* The allocation of a partition, or NULL. Borrowed until it is dropped. */
const struct allocation *allocations_find(const struct allocations *allocations, uint64_t id);
/* The first allocation with an id above `id`, or NULL. */
const struct allocation *allocations_after(const struct allocations *allocations, uint64_t id);
/* Adds a partition, or updates it. 0 or -ENOMEM. */
int allocations_put(struct allocations *allocations, const struct partition *partition);
/* Adds a partition of which only the id matters. 0 or -ENOMEM. */
int allocations_add(struct allocations *allocations, uint64_t id);
/* Drops a partition; whether it was there. */
bool allocations_drop(struct allocations *allocations, uint64_t id);

#endif
