/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what now; see holdings.h. */
#include "allocations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where `id` is, or where it would be. */
static size_t place(const struct allocations *allocations, uint64_t id)
{
    size_t low = 0, high = allocations->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (allocations->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct allocation *allocations_find(const struct allocations *allocations, uint64_t id)
{
    size_t at = place(allocations, id);
    bool there = at < allocations->count && allocations->list[at].id == id;
    return there && !allocations->list[at].dropped ? &allocations->list[at] : NULL;
}

/* Once half of the places are free, the list is closed up. */
static void close_up(struct allocations *allocations)
{
    size_t to = 0;
    if (allocations->dropped * 2 <= allocations->count)
        return;
    for (size_t from = 0; from < allocations->count; from++)
        if (!allocations->list[from].dropped)
            allocations->list[to++] = allocations->list[from];
    allocations->count = to;
    allocations->dropped = 0;
}

static int grow(struct allocations *allocations)
{
    if (allocations->count < allocations->capacity)
        return 0;
    size_t capacity = allocations->capacity ? allocations->capacity * 2 : 64;
    struct allocation *list = realloc(allocations->list, capacity * sizeof(*list));
    if (!list)
        return -ENOMEM;
    allocations->list = list;
    allocations->capacity = capacity;
    return 0;
}

int allocations_copy(struct allocations *allocations, const struct allocation *allocation)
{
    size_t at = place(allocations, allocation->id);
    if (at == allocations->count || allocations->list[at].id != allocation->id) {
        int r = grow(allocations);
        if (r)
            return r;
        memmove(&allocations->list[at + 1], &allocations->list[at],
                (allocations->count - at) * sizeof(*allocations->list));
        allocations->count++;
    } else if (allocations->list[at].dropped) {
        allocations->dropped--;
    }
    allocations->list[at] = *allocation;
    return 0;
}

int allocations_put(struct allocations *allocations, const struct partition *partition)
{
    const struct allocation allocation = {.id = partition->id,
                                          .memory_bytes = partition->shares[0].memory_bytes,
                                          .device = partition->shares[0].device,
                                          .uid = partition->uid,
                                          .gid = partition->gid,
                                          .mode = partition->mode};
    return allocations_copy(allocations, &allocation);
}

bool allocations_drop(struct allocations *allocations, uint64_t id)
{
    struct allocation *allocation = (struct allocation *)allocations_find(allocations, id);
    if (!allocation)
        return false;
    allocation->dropped = true;
    allocations->dropped++;
    close_up(allocations);
    return true;
}

const struct allocation *allocations_next(const struct allocations *allocations, size_t *at)
{
    while (*at < allocations->count && allocations->list[*at].dropped)
        ++*at;
    return *at < allocations->count ? &allocations->list[(*at)++] : NULL;
}
