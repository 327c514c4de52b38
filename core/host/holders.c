/* SPDX-License-Identifier: Apache-2.0 */
/* Order the users and groups of device nodes; see holders.h. */
#include "holders.h"

#include "core/base/array.h"
#include "core/devacl/devacl.h"
#include "core/gpu/gpu.h"

#include <errno.h>
#include <stdlib.h>

static int by_holder(const void *one, const void *other)
{
    const struct holder *a = one, *b = other;
    if (a->is_group != b->is_group)
        return a->is_group ? 1 : -1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->device < b->device ? -1 : a->device > b->device;
}

/* By account, device and kind, guests last, and then by age. */
static int by_account(const void *one, const void *other)
{
    const struct holder *a = one, *b = other;
    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->is_group != b->is_group)
        return a->is_group ? 1 : -1;
    if (a->is_guest != b->is_guest)
        return a->is_guest ? 1 : -1;
    return a->partition < b->partition ? -1 : a->partition > b->partition;
}

static int by_turn(const void *one, const void *other)
{
    const struct holder *a = one, *b = other;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    return a->partition < b->partition ? -1 : a->partition > b->partition;
}

/* Add a holder of each of its devices. */
static int add(struct holders *holders, const struct allocation *allocation,
               const struct holder *holder)
{
    if (array_reserve(holders->holder, holders->capacity, holders->count + allocation->share_count))
        return -ENOMEM;
    for (uint32_t i = 0; i < allocation->share_count; i++) {
        if (allocation->shares[i].device >= GPU_DEVICE_MAX)
            continue;
        holders->holder[holders->count++] = (struct holder){.device = allocation->shares[i].device,
                                                            .id = holder->id,
                                                            .is_group = holder->is_group,
                                                            .is_guest = holder->is_guest,
                                                            .account = allocation->account,
                                                            .partition = allocation->id};
    }
    return 0;
}

/* A user's own partition counts before one that another shares with them. */
static bool is_better(const struct holder *holder, const struct holder *than)
{
    if (holder->is_guest != than->is_guest)
        return than->is_guest;
    return holder->partition < than->partition;
}

static void keep_each_once(struct holders *holders)
{
    size_t kept = 0;
    qsort(holders->holder, holders->count, sizeof(struct holder), by_holder);
    for (size_t i = 0; i < holders->count; i++) {
        const struct holder *holder = &holders->holder[i];
        struct holder *last = kept ? &holders->holder[kept - 1] : NULL;
        if (!last || by_holder(last, holder))
            holders->holder[kept++] = *holder;
        else if (is_better(holder, last))
            *last = *holder;
    }
    holders->count = kept;
}

/* If a list is too short for all, each account's first comes before any account's second: a person
 * can have 65,536 uids. Among those the oldest partitions come first: no later request takes away
 * what was granted before. */
static void sort(struct holders *holders)
{
    size_t accounts = 0;
    bool counted = false;
    if (!holders->holder)
        return;
    keep_each_once(holders);
    qsort(holders->holder, holders->count, sizeof(struct holder), by_account);
    for (size_t i = 0; i < holders->count; i++) {
        struct holder *holder = &holders->holder[i], *last = i ? holder - 1 : NULL;
        bool same = last && last->account == holder->account;
        counted &= same;
        accounts += !counted && !holder->is_group && holder->id;
        counted |= !holder->is_group && holder->id;
        same &= last && last->device == holder->device && last->is_group == holder->is_group;
        holder->turn = same ? last->turn + 1 : 0;
    }
    holders->full = accounts >= DEVACL_HOLDERS_MAX;
    qsort(holders->holder, holders->count, sizeof(struct holder), by_turn);
}

int holders_find(struct holders *holders, const struct allocations *allocations)
{
    const struct allocation *allocation;
    int r = 0;
    holders->count = 0;
    for (uint64_t id = 0; !r && (allocation = allocations_after(allocations, id));
         id = allocation->id) {
        if (allocation->away)
            continue;
        r = add(holders, allocation, &(struct holder){.id = allocation->uid});
        if (!r && (allocation->mode & 0020))
            r = add(holders, allocation, &(struct holder){.id = allocation->gid, .is_group = true});
        const struct guests *guests = allocation->guests;
        for (uint32_t i = 0; !r && guests && i < guests->count; i++)
            r = add(holders, allocation, &(struct holder){.id = guests->uid[i], .is_guest = true});
    }
    sort(holders);
    return r;
}
