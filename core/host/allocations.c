/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of partitions; see allocations.h. */
#include "allocations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct avl_node *a, const struct avl_node *b)
{
    uint64_t left = avl_entry_const(a, struct allocation, node)->id;
    uint64_t right = avl_entry_const(b, struct allocation, node)->id;
    return left < right ? -1 : left > right;
}

static const struct avl_kind by_id = {.compare = compare};

static struct allocation *find(const struct allocations *allocations, uint64_t id)
{
    const struct allocation probe = {.id = id};
    struct avl_node *node = avl_find(&allocations->avl, &probe.node);
    return node ? avl_entry(node, struct allocation, node) : NULL;
}

const struct allocation *allocations_find(const struct allocations *allocations, uint64_t id)
{
    return find(allocations, id);
}

const struct allocation *allocations_on(const struct allocations *allocations,
                                        const struct proctrack_set *set, uint32_t device)
{
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set->ids[i]; i++) {
        const struct allocation *allocation = find(allocations, set->ids[i]);
        if (allocation && allocations_index(allocation, device) >= 0)
            return allocation;
    }
    return NULL;
}

int allocations_index(const struct allocation *allocation, uint32_t device)
{
    for (uint32_t i = 0; i < allocation->share_count; i++)
        if (allocation->shares[i].device == device)
            return (int)i;
    return -1;
}

uint64_t allocations_key(const struct allocation *allocation, uint32_t device)
{
    int index = allocations_index(allocation, device);
    return share_key(allocation->id, allocation->share_count, (uint32_t)index);
}

const struct allocation *allocations_after(const struct allocations *allocations, uint64_t id)
{
    const struct allocation probe = {.id = id};
    struct avl_node *node = avl_after(&allocations->avl, &probe.node);
    return node ? avl_entry(node, struct allocation, node) : NULL;
}

/* Free an allocation that is in no set; NULL is allowed. */
static void free_allocation(struct allocation *allocation)
{
    if (!allocation)
        return;
    free(allocation->guests);
    free(allocation);
}

/* Return the allocation of a partition, adding it if missing or if it has room for another number
 * of shares; NULL when out of memory. */
static struct allocation *find_or_add(struct allocations *allocations, uint64_t id,
                                      uint32_t share_count)
{
    struct allocation *old = find(allocations, id), *allocation;
    if (old && old->share_count == share_count)
        return old;
    allocation = calloc(1, sizeof(*allocation) + share_count * sizeof(allocation->shares[0]));
    if (!allocation)
        return NULL;
    allocation->id = id;
    allocation->share_count = (uint16_t)share_count;
    allocations->avl.kind = &by_id;
    if (old) {
        avl_remove(&allocations->avl, &old->node);
        allocation->guests = old->guests;
        old->guests = NULL;
        free_allocation(old);
    }
    avl_insert(&allocations->avl, &allocation->node);
    return allocation;
}

int allocations_add(struct allocations *allocations, uint64_t id)
{
    return find(allocations, id) || find_or_add(allocations, id, 0) ? 0 : -ENOMEM;
}

int allocations_put(struct allocations *allocations, const struct partition *partition,
                    uint32_t account)
{
    uint32_t share_count = partition->share_count;
    struct allocation *allocation = find_or_add(allocations, partition->id, share_count);
    if (!allocation)
        return -ENOMEM;
    memcpy(allocation->shares, partition->shares, share_count * sizeof(allocation->shares[0]));
    allocation->uid = partition->uid;
    allocation->gid = partition->gid;
    allocation->mode = (uint16_t)partition->mode;
    allocation->account = account;
    allocation->away = partition->suspend_stage == SUSPEND_AWAY;
    return 0;
}

int allocations_share(struct allocations *allocations, uint64_t id, uint32_t uid, bool in)
{
    struct allocation *allocation = find(allocations, id);
    if (!allocation)
        return 0;
    if (!allocation->guests)
        allocation->guests = calloc(1, sizeof(*allocation->guests));
    if (!allocation->guests)
        return -ENOMEM;
    if (in)
        guests_put(allocation->guests, uid);
    else
        guests_drop(allocation->guests, uid);
    return 0;
}

bool allocations_drop(struct allocations *allocations, uint64_t id)
{
    struct allocation *allocation = find(allocations, id);
    if (!allocation)
        return false;
    avl_remove(&allocations->avl, &allocation->node);
    free_allocation(allocation);
    return true;
}
