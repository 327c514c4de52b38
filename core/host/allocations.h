/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of partitions, sorted by id, with the facts that the host thread needs about each. */
#ifndef CHRONOS_HOST_ALLOCATIONS_H
#define CHRONOS_HOST_ALLOCATIONS_H

#include "core/base/avl.h"
#include "core/engine/guests.h"
#include "core/engine/partition.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stdint.h>

struct allocation {
    struct avl_node node;
    uint64_t id; /* of the partition */
    uint32_t uid, gid;
    uint32_t account; /* of the uid */
    uint16_t mode, share_count;
    bool away;             /* it is suspended, and has nothing of its devices */
    struct guests *guests; /* owned; NULL: it never had any */
    struct share shares[];
};

/* All zero: empty. */
struct allocations {
    struct avl avl;
};

/* Return the allocation of a partition, or NULL. Borrowed until dropped. */
const struct allocation *allocations_find(const struct allocations *allocations, uint64_t id);
/* Return the allocation on this device of one of these partitions, or NULL. */
const struct allocation *allocations_on(const struct allocations *allocations,
                                        const struct proctrack_set *set, uint32_t device);
/* Return the index of an allocation's share of a device; -1: it has none. */
int allocations_index(const struct allocation *allocation, uint32_t device);
/* Return the number of its figures on a device of its own (share_key). */
uint64_t allocations_key(const struct allocation *allocation, uint32_t device);
/* Return the first allocation with an id above `id`, or NULL. */
const struct allocation *allocations_after(const struct allocations *allocations, uint64_t id);
/* Add or update a partition. 0 or -ENOMEM. */
int allocations_put(struct allocations *allocations, const struct partition *partition,
                    uint32_t account);
/* Let a guest of a partition in or out. 0 or -ENOMEM. */
int allocations_share(struct allocations *allocations, uint64_t id, uint32_t uid, bool in);
/* Add a partition by id only. 0 or -ENOMEM. */
int allocations_add(struct allocations *allocations, uint64_t id);
/* Drop a partition. Return whether it was in the set. */
bool allocations_drop(struct allocations *allocations, uint64_t id);

#endif
