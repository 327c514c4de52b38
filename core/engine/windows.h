/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calendar windows: days or weeks as consecutive spans of engine time. The caller
 * computes their bounds in local time; here they are only moments. It must not know calendars.
 */
#ifndef CHRONOS_ENGINE_WINDOWS_H
#define CHRONOS_ENGINE_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

/* Window first + i is [bounds_ns[i], bounds_ns[i + 1]). Before and after these, all have the same
 * length. */
struct windows {
    int64_t first;            /* number of the first window: of the day or week, since 1970 */
    const int64_t *bounds_ns; /* ascending, at least one */
    size_t count;
    int64_t period_ns;
};

struct window {
    int64_t number;
    int64_t start_ns, end_ns; /* capped at INT64_MIN and INT64_MAX */
};

/* The window that contains this moment. O(log n). */
struct window windows_at(const struct windows *windows, int64_t at_ns);
/* The window that is `steps` further on. Its start is INT64_MAX if that is beyond all time. */
struct window windows_after(const struct windows *windows, struct window window, uint64_t steps);
/* The last bound: from there on, all windows have the same length. */
int64_t windows_regular_ns(const struct windows *windows);

#endif
