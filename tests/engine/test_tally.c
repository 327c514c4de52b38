/* SPDX-License-Identifier: Apache-2.0 */
/* Tallies and calendar windows against plain arrays. */
#include "core/base/ns.h"
#include "core/engine/tally.h"
#include "core/engine/windows.h"
#include "tests/check.h"

#include <stdbool.h>

#define SPANS   30
#define HORIZON 30

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static struct {
    struct tally_span span;
    int64_t start_ns, end_ns, ppm;
    bool used;
} spans[SPANS];
static struct tally tally;

static int64_t value(int64_t at_ns)
{
    int64_t sum = 0;

    for (size_t i = 0; i < SPANS; i++) {
        if (spans[i].used && spans[i].start_ns <= at_ns && at_ns < spans[i].end_ns)
            sum += spans[i].ppm;
    }
    return sum;
}

/* The values of all moments from -5 on; 0 from HORIZON on. */
static int64_t values[HORIZON + 5];
static int64_t known(int64_t at_ns)
{
    return at_ns < HORIZON ? values[at_ns + 5] : 0;
}

static int64_t peak(int64_t from_ns, int64_t until_ns)
{
    int64_t most = known(from_ns);

    for (int64_t t = from_ns; t < until_ns; t++)
        most = known(t) > most ? known(t) : most;
    return most;
}

static int64_t area(int64_t from_ns, int64_t until_ns)
{
    int64_t sum = 0;

    for (int64_t t = from_ns; t < until_ns; t++)
        sum += known(t);
    return sum;
}

static int64_t first(int64_t from_ns, int64_t limit, bool within)
{
    for (int64_t t = from_ns; t <= HORIZON; t++) {
        if ((known(t) <= limit) == within)
            return t;
    }
    return TALLY_NEVER;
}

static int64_t earliest(int64_t from_ns, int64_t duration_ns, int64_t limit)
{
    for (int64_t t = from_ns; limit >= 0; t++) {
        if (peak(t, t + duration_ns) <= limit)
            return t;
    }
    return TALLY_NEVER;
}

#define SAME(a, b) ck_assert_msg((a) == (b), #a " is not " #b ": %lld", (long long)(b))

static void compare(void)
{
    int64_t from_ns = below(HORIZON) - 3, until_ns = from_ns + 1 + below(HORIZON);
    int64_t limit = below(60) - 1, next = TALLY_NEVER, last = INT64_MIN;

    for (int64_t t = -5; t < HORIZON; t++)
        values[t + 5] = value(t);
    for (size_t i = 0; i < SPANS; i++) {
        const int64_t at_ns[] = {spans[i].start_ns, spans[i].end_ns};
        for (size_t j = 0; j < 2 && spans[i].used; j++) {
            next = at_ns[j] > from_ns && at_ns[j] < next ? at_ns[j] : next;
            last = at_ns[j] > last ? at_ns[j] : last;
        }
    }
    SAME(tally_value(&tally, from_ns), known(from_ns));
    SAME(tally_area(&tally, from_ns, until_ns), area(from_ns, until_ns));
    SAME(tally_peak(&tally, from_ns, until_ns), peak(from_ns, until_ns));
    SAME(tally_above(&tally, from_ns, limit), first(from_ns, limit, false));
    SAME(tally_within(&tally, from_ns, limit), first(from_ns, limit, true));
    SAME(tally_earliest(&tally, from_ns, until_ns - from_ns, limit),
         earliest(from_ns, until_ns - from_ns, limit));
    SAME(tally_next(&tally, from_ns), next);
    SAME(tally_last(&tally), last);
}

START_TEST(random_spans)
{
    tally_init(&tally);
    for (int round = 0; round < check_rounds(100000); round++) {
        size_t i = (size_t)below(round / 100 % SPANS + 1);

        if (spans[i].used) {
            tally_take(&tally, &spans[i].span);
        } else {
            spans[i].start_ns = below(HORIZON - 1) - 3;
            spans[i].end_ns = spans[i].start_ns + 1 + below(HORIZON - 1 - spans[i].start_ns);
            spans[i].ppm = 1 + below(9);
            tally_put(&tally, &spans[i].span, i, spans[i].start_ns, spans[i].end_ns,
                      (uint64_t)spans[i].ppm);
        }
        spans[i].used = !spans[i].used;
        compare();
    }
}
END_TEST

START_TEST(limits_of_time)
{
    struct tally_span all, late;

    tally_init(&tally);
    SAME(tally_last(&tally), INT64_MIN);
    tally_put(&tally, &all, 1, INT64_MIN, INT64_MAX, UINT64_C(1) << 32);
    tally_put(&tally, &late, 2, INT64_MAX - 1, INT64_MAX, UINT64_C(1) << 32);
    ck_assert(tally_area(&tally, INT64_MIN, INT64_MAX) ==
              ((wide)1 << 32) * (((wide)1 << 64) - 1) + ((wide)1 << 32));
    SAME(tally_value(&tally, INT64_MAX - 1), INT64_C(1) << 33);
    SAME(tally_value(&tally, INT64_MAX), 0);
    SAME(tally_earliest(&tally, 0, INT64_MAX, INT64_C(1) << 33), 0);
    SAME(tally_earliest(&tally, 0, 1, 4), TALLY_NEVER);
}
END_TEST

/* -- windows ---------------------------------------------------------------------------------- */

#define BOUNDS 12

static void compare_windows(const struct windows *windows, const int64_t *all, int64_t before,
                            size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        for (int64_t t = all[i]; t < all[i + 1]; t++) {
            struct window window = windows_at(windows, t);
            SAME(window.number, windows->first - before + (int64_t)i);
            SAME(window.start_ns, all[i]);
            SAME(window.end_ns, all[i + 1]);
            for (size_t j = i; j + 1 < count; j++) {
                struct window other = windows_after(windows, window, j - i);
                SAME(other.number, windows->first - before + (int64_t)j);
                SAME(other.start_ns, all[j]);
                SAME(other.end_ns, all[j + 1]);
            }
        }
    }
}

START_TEST(windows_as_listed)
{
    for (int round = 0; round < check_rounds(300); round++) {
        int64_t bounds[BOUNDS], all[BOUNDS + 8], period_ns = 1 + below(6);
        size_t count = 1 + (size_t)below(BOUNDS);
        struct windows windows = {below(100), bounds, count, period_ns};

        bounds[0] = below(50) - 25;
        for (size_t i = 1; i < count; i++)
            bounds[i] = bounds[i - 1] + 1 + below(6);
        for (int64_t i = 0; i < 4; i++) {
            all[i] = bounds[0] - (4 - i) * period_ns;
            all[4 + count + (size_t)i] = bounds[count - 1] + (i + 1) * period_ns;
        }
        memcpy(&all[4], bounds, count * sizeof(bounds[0]));
        compare_windows(&windows, all, 4, count + 8);
        SAME(windows_regular_ns(&windows), bounds[count - 1]);
    }
}
END_TEST

START_TEST(windows_without_end)
{
    int64_t bound_ns = 0;
    struct windows windows = {20000, &bound_ns, 1, 7 * 86400 * NS_PER_SECOND};
    struct window last = windows_at(&windows, INT64_MAX);

    SAME(last.end_ns, INT64_MAX);
    ck_assert(last.start_ns > INT64_MAX - windows.period_ns);
    SAME(windows_after(&windows, last, 1).start_ns, INT64_MAX);
    SAME(windows_after(&windows, last, UINT64_MAX).start_ns, INT64_MAX);
    SAME(windows_at(&windows, INT64_MIN).start_ns, INT64_MIN);
}
END_TEST

int main(void)
{
    return check_main("tally", NULL, NULL, random_spans, limits_of_time, windows_as_listed,
                      windows_without_end);
}
