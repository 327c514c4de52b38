/* SPDX-License-Identifier: Apache-2.0 */
/* Reading clocks; see clock.h. */
#include "clock.h"

/* Every supported kernel has these clocks, so reading cannot fail. */
static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

int64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_realtime_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

struct timespec clock_timespec(int64_t ns)
{
    int64_t s = ns / NS_PER_SECOND, rest_ns = ns % NS_PER_SECOND;
    if (rest_ns < 0) { /* tv_nsec counts up, before 1970 too */
        s--;
        rest_ns += NS_PER_SECOND;
    }
    return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)rest_ns};
}
