/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of `chronos schedule`: where each partition lies. */
#include "tests/check.h"
#include "tools/chronos/chart.h"

#include <string.h>

#define BYTES 1000

static struct chart_lease lease(unsigned number, time_t start, time_t end, uint64_t bytes)
{
    return (struct chart_lease){.number = number, .start = start, .end = end, .bytes = bytes};
}

static bool meet_in_time(const struct chart_lease *a, const struct chart_lease *b)
{
    return a->start < b->end && b->start < a->end;
}

static void check_bands(const struct chart *chart)
{
    for (size_t i = 0; i < chart->count; i++) {
        const struct chart_lease *one = &chart->leases[i];
        uint64_t sum = 0;
        for (size_t b = 0; b < one->band_count; b++) {
            ck_assert_uint_lt(one->bands[b].from, one->bands[b].to);
            ck_assert_uint_le(one->bands[b].to, BYTES);
            sum += one->bands[b].to - one->bands[b].from;
        }
        ck_assert_uint_eq(sum, one->bytes);
        for (size_t k = 0; k < i; k++) {
            const struct chart_lease *other = &chart->leases[k];
            for (size_t b = 0; meet_in_time(one, other) && b < one->band_count; b++) {
                for (size_t o = 0; o < other->band_count; o++)
                    ck_assert(one->bands[b].to <= other->bands[o].from ||
                              other->bands[o].to <= one->bands[b].from);
            }
        }
    }
}

START_TEST(test_pieces)
{
    struct chart_lease leases[] = {lease(1, 0, 10, 250), lease(2, 0, 100, 250),
                                   lease(3, 0, 10, 250), lease(4, 0, 100, 250),
                                   lease(5, 10, 50, 500)};
    struct chart chart = {.bytes = BYTES, .leases = leases, .count = ARRAY_COUNT(leases)};
    ck_assert_int_eq(chart_place(&chart), 0);
    check_bands(&chart);
    ck_assert_uint_eq(leases[4].band_count, 2);
    ck_assert_uint_eq(leases[4].bands[0].from, 0);
    ck_assert_uint_eq(leases[4].bands[1].from, 500);
    for (size_t i = 0; i < chart.count; i++)
        free(leases[i].bands);
}
END_TEST

/* Return the most that is held at a moment of the lease's time. */
static uint64_t peak(const struct chart *chart, const struct chart_lease *lease)
{
    uint64_t most = 0;
    for (time_t at = lease->start; at < lease->end; at++) {
        uint64_t held = 0;
        for (size_t i = 0; i < chart->count; i++) {
            if (chart->leases[i].start <= at && at < chart->leases[i].end)
                held += chart->leases[i].bytes;
        }
        most = held > most ? held : most;
    }
    return most;
}

/* Whatever the device has promised is drawn, and nothing on top of something else. */
START_TEST(test_any_plan)
{
    struct chart_lease leases[40];
    srand((unsigned)_i);
    struct chart chart = {.bytes = BYTES, .leases = leases};
    for (unsigned number = 0; number < ARRAY_COUNT(leases); number++) {
        time_t start = (chart.count ? leases[chart.count - 1].start : 0) + rand() % 4;
        struct chart_lease one = lease(number, start, start + 1 + rand() % 30, 0);
        uint64_t room = BYTES - peak(&chart, &one);
        if (room == 0)
            continue;
        one.bytes = 1 + (uint64_t)rand() % room;
        leases[chart.count++] = one;
    }
    ck_assert_int_eq(chart_place(&chart), 0);
    check_bands(&chart);
    for (size_t i = 0; i < chart.count; i++)
        free(leases[i].bands);
}
END_TEST

START_TEST(test_ticks)
{
    struct chart_tick ticks[CHART_TICKS];
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    /* 2026-10-25, when clocks go back at 03:00: from 00:30 on, 24 hours. */
    struct chart_window window = {.from = 1792881000, .to = 1792881000 + 86400};
    size_t count = chart_ticks(&window, ticks);
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(ticks[0].text, "06:00");
    ck_assert_int_eq(ticks[0].at - window.from, 6 * 3600 + 1800);
    ck_assert_str_eq(ticks[2].text, "18:00");
    ck_assert_int_eq(ticks[2].at - ticks[0].at, 12 * 3600);
    for (time_t span = 60; span < 366 * 86400; span += span / 3 + 1) {
        window.to = window.from + span;
        count = chart_ticks(&window, ticks);
        ck_assert_uint_le(count, CHART_TICKS);
        ck_assert(span < 1200 || count > 0);
        for (size_t i = 0; i < count; i++)
            ck_assert(ticks[i].at >= window.from && ticks[i].at <= window.to);
    }
}
END_TEST

int main(void)
{
    TCase *all = check_case("chart", NULL, NULL);
    tcase_add_test(all, test_pieces);
    tcase_add_loop_test(all, test_any_plan, 0, 200);
    tcase_add_test(all, test_ticks);
    return check_run("chart", all);
}
