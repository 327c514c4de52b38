/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what now; see holdings.h. */
#include "holdings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where `id` is, or where it would be. */
static size_t place(const struct holdings *holdings, uint64_t id)
{
    size_t low = 0, high = holdings->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (holdings->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct holding *holdings_find(const struct holdings *holdings, uint64_t id)
{
    size_t at = place(holdings, id);
    bool there = at < holdings->count && holdings->list[at].id == id;
    return there && !holdings->list[at].dropped ? &holdings->list[at] : NULL;
}

/* Once half of the places are free, the list is closed up. */
static void close_up(struct holdings *holdings)
{
    size_t to = 0;
    if (holdings->dropped * 2 <= holdings->count)
        return;
    for (size_t from = 0; from < holdings->count; from++)
        if (!holdings->list[from].dropped)
            holdings->list[to++] = holdings->list[from];
    holdings->count = to;
    holdings->dropped = 0;
}

static int grow(struct holdings *holdings)
{
    if (holdings->count < holdings->capacity)
        return 0;
    size_t capacity = holdings->capacity ? holdings->capacity * 2 : 64;
    struct holding *list = realloc(holdings->list, capacity * sizeof(*list));
    if (!list)
        return -ENOMEM;
    holdings->list = list;
    holdings->capacity = capacity;
    return 0;
}

int holdings_copy(struct holdings *holdings, const struct holding *holding)
{
    size_t at = place(holdings, holding->id);
    if (at == holdings->count || holdings->list[at].id != holding->id) {
        int r = grow(holdings);
        if (r)
            return r;
        memmove(&holdings->list[at + 1], &holdings->list[at],
                (holdings->count - at) * sizeof(*holdings->list));
        holdings->count++;
    } else if (holdings->list[at].dropped) {
        holdings->dropped--;
    }
    holdings->list[at] = *holding;
    return 0;
}

int holdings_put(struct holdings *holdings, const struct partition *partition)
{
    const struct holding holding = {.id = partition->id,
                                    .memory_bytes = partition->memory_bytes,
                                    .device = partition->device,
                                    .uid = partition->uid,
                                    .gid = partition->gid,
                                    .mode = partition->mode};
    return holdings_copy(holdings, &holding);
}

bool holdings_drop(struct holdings *holdings, uint64_t id)
{
    struct holding *holding = (struct holding *)holdings_find(holdings, id);
    if (!holding)
        return false;
    holding->dropped = true;
    holdings->dropped++;
    close_up(holdings);
    return true;
}

const struct holding *holdings_next(const struct holdings *holdings, size_t *at)
{
    while (*at < holdings->count && holdings->list[*at].dropped)
        ++*at;
    return *at < holdings->count ? &holdings->list[(*at)++] : NULL;
}
