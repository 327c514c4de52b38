/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hours as a condition; see quota_hours.h. All searches walk over the windows of a time once, from
 * left to right. Behind the listed windows, those without a mark are alike and count as one step,
 * so a time of 100 years takes no longer than there are marks.
 */
#include "quota_hours.h"

#include <stdbool.h>

#define ENDLESS UINT64_MAX

/* Windows of the same length that are used to the same extent, from `window` on. */
struct run {
    uint64_t count; /* ENDLESS: all later ones */
    wide used;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t end_of(int64_t from_ns, int64_t duration_ns)
{
    return from_ns > INT64_MAX - duration_ns ? INT64_MAX : from_ns + duration_ns;
}

void quota_hours_spend(struct quota_spent *spent, const struct windows *windows, wide ppm,
                       int64_t from_ns, int64_t until_ns)
{
    if (until_ns <= from_ns)
        return;
    struct window window = windows_at(windows, until_ns - 1);
    if (window.number < spent->window)
        return;
    if (window.number > spent->window)
        *spent = (struct quota_spent){.window = window.number};
    spent->ppm_ns += ppm * ((wide)until_ns - later(from_ns, window.start_ns));
}

wide quota_hours_used(const struct quota_hours *hours, const struct window *window)
{
    wide used = tally_area(hours->tally, window->start_ns, window->end_ns);

    if (hours->spent->window == window->number)
        used += hours->spent->ppm_ns;
    return used > 0 ? used : 0;
}

static struct run run_from(const struct quota_hours *hours, const struct window *window)
{
    struct run run = {1, quota_hours_used(hours, window)};

    if (window->start_ns < windows_regular_ns(hours->windows) ||
        window->number <= hours->spent->window)
        return run;
    int64_t next_ns = tally_next(hours->tally, window->start_ns);
    if (next_ns == TALLY_NEVER)
        run.count = ENDLESS;
    else if (next_ns >= window->end_ns)
        run.count = (uint64_t)(((wide)next_ns - window->start_ns) / hours->windows->period_ns);
    return run;
}

/* Return what is left in each window of a run, in ppm x ns. */
static wide left_in(const struct quota_hours *hours, const struct run *run)
{
    return run->used < hours->limit_ppm_ns ? hours->limit_ppm_ns - run->used : 0;
}

int64_t quota_hours_earliest(const struct quota_hours *hours, uint64_t ppm, int64_t from_ns,
                             int64_t duration_ns, struct window *ret_window)
{
    int64_t at_ns = from_ns, until_ns = end_of(at_ns, duration_ns);
    struct window window = windows_at(hours->windows, at_ns);

    while (window.start_ns < until_ns) {
        struct run run = run_from(hours, &window);
        wide room_ns = left_in(hours, &run) / (wide)ppm;
        wide overlap_ns = (wide)earlier(until_ns, window.end_ns) - later(at_ns, window.start_ns);
        uint64_t steps = 1;

        if (overlap_ns > room_ns) {
            if (at_ns == from_ns)
                *ret_window = window;
            /* What does not fit into this window and the next does not fit into any of the run. */
            if (duration_ns - room_ns > room_ns) {
                if (run.count == ENDLESS)
                    return TALLY_NEVER;
                window = windows_after(hours->windows, window, run.count - 1);
            }
            if (window.end_ns == INT64_MAX)
                return TALLY_NEVER;
            at_ns = (int64_t)(window.end_ns - room_ns);
            until_ns = end_of(at_ns, duration_ns);
        } else if ((wide)window.end_ns - window.start_ns <= room_ns) {
            steps = run.count;
        }
        if (steps == ENDLESS)
            break;
        window = windows_after(hours->windows, window, steps);
    }
    return at_ns;
}

int64_t quota_hours_longest(const struct quota_hours *hours, uint64_t ppm, int64_t from_ns,
                            int64_t most_ns)
{
    struct window window = windows_at(hours->windows, from_ns);

    while (window.start_ns < end_of(from_ns, most_ns)) {
        struct run run = run_from(hours, &window);
        wide room_ns = left_in(hours, &run) / (wide)ppm;
        int64_t start_ns = later(from_ns, window.start_ns);

        if (room_ns < (wide)window.end_ns - start_ns) {
            wide longest_ns = start_ns + room_ns - from_ns;
            return longest_ns < most_ns ? (int64_t)longest_ns : most_ns;
        }
        bool whole = start_ns == window.start_ns;
        if (whole && run.count == ENDLESS)
            return most_ns;
        window = windows_after(hours->windows, window, whole ? run.count : 1);
    }
    return most_ns;
}

uint64_t quota_hours_largest(const struct quota_hours *hours, int64_t from_ns, int64_t duration_ns,
                             uint64_t most_ppm)
{
    int64_t until_ns = end_of(from_ns, duration_ns);
    struct window window = windows_at(hours->windows, from_ns);

    while (window.start_ns < until_ns) {
        struct run run = run_from(hours, &window);
        int64_t start_ns = later(from_ns, window.start_ns);
        wide overlap_ns = (wide)earlier(until_ns, window.end_ns) - start_ns;
        wide ppm = left_in(hours, &run) / overlap_ns;

        if (ppm < (wide)most_ppm)
            most_ppm = (uint64_t)ppm;
        bool whole = start_ns == window.start_ns;
        if (whole && run.count == ENDLESS)
            break;
        window = windows_after(hours->windows, window, whole ? run.count : 1);
    }
    return most_ppm;
}
