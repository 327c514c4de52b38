/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar windows; see windows.h. */
#include "windows.h"

#include "core/base/wide.h"

static int64_t capped(wide ns)
{
    return ns < INT64_MIN ? INT64_MIN : ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

/* Return the window `steps` after bound `at`, as if all windows there had the same length. */
static struct window regular(const struct windows *windows, size_t at, wide steps)
{
    wide start_ns = windows->bounds_ns[at] + steps * windows->period_ns;

    return (struct window){capped(windows->first + (wide)at + steps), capped(start_ns),
                           capped(start_ns + windows->period_ns)};
}

static struct window listed(const struct windows *windows, size_t at)
{
    return (struct window){windows->first + (int64_t)at, windows->bounds_ns[at],
                           windows->bounds_ns[at + 1]};
}

int64_t windows_regular_ns(const struct windows *windows)
{
    return windows->bounds_ns[windows->count - 1];
}

struct window windows_at(const struct windows *windows, int64_t at_ns)
{
    size_t low = 0, high = windows->count - 1;

    if (at_ns >= windows->bounds_ns[high])
        return regular(windows, high,
                       ((wide)at_ns - windows->bounds_ns[high]) / windows->period_ns);
    if (at_ns < windows->bounds_ns[0])
        return regular(windows, 0,
                       ((wide)at_ns - windows->bounds_ns[0] + 1) / windows->period_ns - 1);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (windows->bounds_ns[middle] <= at_ns)
            low = middle;
        else
            high = middle;
    }
    return listed(windows, low);
}

struct window windows_after(const struct windows *windows, struct window window, uint64_t steps)
{
    size_t last = windows->count - 1;
    wide index = (wide)window.number - windows->first + steps;

    if (index >= (wide)last)
        return regular(windows, last, index - (wide)last);
    return index < 0 ? regular(windows, 0, index) : listed(windows, (size_t)index);
}
