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
    struct store_clock clock = {.offset_ns = wall_offset_ns(), .now_ns = clock_boottime_ns()};
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

static int64_t within(int64_t ns, int64_t min_ns, int64_t max_ns)
{
    return ns < min_ns ? min_ns : ns > max_ns ? max_ns : ns;
}

int64_t store_clock_shift(const struct store_clock *from, const struct store_clock *to)
{
    /* The same boot at an earlier time is another clock, too: that of a time namespace. */
    if (strcmp(from->boot_id, to->boot_id) == 0 && to->now_ns >= from->now_ns)
        return 0;
    int64_t seen_wall_ns = add(from->now_ns, from->offset_ns);
    int64_t now_wall_ns = add(to->now_ns, to->offset_ns);
    int64_t passed_ns;
    if (__builtin_sub_overflow(now_wall_ns, seen_wall_ns, &passed_ns))
        passed_ns = now_wall_ns < seen_wall_ns ? 0 : INT64_MAX;
    return to->now_ns - within(passed_ns, 0, STORE_DOWNTIME_MAX_NS) - from->now_ns;
}

int64_t store_clock_move(int64_t ns, int64_t shift_ns)
{
    return within(add(ns, shift_ns), -STORE_TIME_MAX, STORE_TIME_MAX);
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

bool store_prune_before(const struct store_batch *batch, int64_t calendar_offset_ns,
                        int64_t *ret_now_ns, int64_t *ret_before_wall_ns)
{
    if (batch->item_count == 0 || batch->retention_ns == ENGINE_FOREVER)
        return false;
    int64_t offset_ns = add(calendar_offset_ns, STORE_DOWNTIME_MAX_NS);
    offset_ns = offset_ns < batch->clock.offset_ns ? offset_ns : batch->clock.offset_ns;
    int64_t now_ns = add(batch->items[batch->item_count - 1].event->at_ns, offset_ns);
    int64_t before;
    if (__builtin_sub_overflow(now_ns, batch->retention_ns, &before))
        return false;
    *ret_now_ns = now_ns;
    *ret_before_wall_ns = before;
    return true;
}
