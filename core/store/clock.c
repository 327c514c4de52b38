/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock that partitions are told by, and the way from one boot's to the
 * next. It must not know what is kept where.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The two clocks cannot be read at once. Of a few tries the one that took the
 * shortest is the least wrong. */
static int64_t wall_offset(void)
{
    int64_t best = 0, shortest = INT64_MAX;

    for (int i = 0; i < 5; i++) {
        struct timespec before, wall, after;
        clock_gettime(CLOCK_BOOTTIME, &before);
        clock_gettime(CLOCK_REALTIME, &wall);
        clock_gettime(CLOCK_BOOTTIME, &after);
        int64_t took = nanoseconds(&after) - nanoseconds(&before);
        if (took < shortest) {
            shortest = took;
            best = nanoseconds(&wall) - (nanoseconds(&before) + took / 2);
        }
    }
    return best;
}

int store_clock_now(struct store_clock *ret_clock)
{
    struct store_clock clock = {.offset_ns = wall_offset()};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, clock.boot_id, sizeof(clock.boot_id) - 1);
    int error = errno;
    close(fd);
    if (n <= 0)
        return n < 0 ? -error : -EIO;
    clock.boot_id[n] = '\0';
    clock.boot_id[strcspn(clock.boot_id, "\n")] = '\0';
    *ret_clock = clock;
    return 0;
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
