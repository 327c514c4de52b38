/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of partitions, and converting times from one boot to the next. It must not know what is
 * stored where.
 */
#include "core/base/clock.h"
#include "internal.h"

#include <string.h>

/* The two clocks cannot be read at once: use the shortest of several tries. */
static int64_t wall_offset_ns(void)
{
    int64_t best_ns = 0, shortest_ns = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t before_ns = clock_boottime_ns(), wall_ns = clock_realtime_ns();
        int64_t took_ns = clock_boottime_ns() - before_ns;
        if (took_ns < shortest_ns) {
            shortest_ns = took_ns;
            best_ns = wall_ns - (before_ns + took_ns / 2);
        }
    }
    return best_ns;
}

int store_clock_now(struct store_clock *ret_clock)
{
    struct store_clock clock = {.offset_ns = wall_offset_ns()};
    int r = boot_id_read(clock.boot_id);
    if (!r)
        *ret_clock = clock;
    return r;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

int64_t store_clock_rebase(int64_t ns, const struct store_clock *from, const struct store_clock *to)
{
    if (strcmp(from->boot_id, to->boot_id) == 0 || ns == ENGINE_FOREVER)
        return ns;
    int64_t moved;
    if (__builtin_sub_overflow(from->offset_ns, to->offset_ns, &moved))
        moved = from->offset_ns < 0 ? INT64_MIN : INT64_MAX;
    return add(ns, moved);
}

bool store_clock_differs(const struct store_clock *known, const struct store_clock *now)
{
    if (strcmp(known->boot_id, now->boot_id) != 0)
        return true;
    int64_t moved;
    if (__builtin_sub_overflow(known->offset_ns, now->offset_ns, &moved))
        return true;
    return moved > STORE_CLOCK_SLACK_NS || moved < -STORE_CLOCK_SLACK_NS;
}

bool store_prune_before(const struct store_batch *batch, int64_t *ret_now_ns,
                        int64_t *ret_before_wall_ns)
{
    if (batch->item_count == 0 || batch->retention_ns == ENGINE_FOREVER)
        return false;
    int64_t now_ns = add(batch->items[batch->item_count - 1].event->at_ns, batch->clock.offset_ns);
    int64_t before;
    if (__builtin_sub_overflow(now_ns, batch->retention_ns, &before))
        return false;
    *ret_now_ns = now_ns;
    *ret_before_wall_ns = before;
    return true;
}
