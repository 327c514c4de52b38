/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search over several devices and limits against one that tries each moment: gangs of each
 * size, devices of different size, and owners with a limit of their own.
 */
#include "common.h"
#include "core/engine/placement.h"

#define TICKS    60
#define DEVICES  6
#define LIMITS   2
#define PROMISES 60
#define TICK_NS  (INT64_C(3) << 26)

/* Timelines of the devices, then those of the limits. */
static struct timeline timelines[DEVICES + LIMITS];
static int64_t values[DEVICES + LIMITS][3 * TICKS];
static struct promise {
    int64_t start, end, bytes;
    uint32_t where;
    struct timeline_promise promise;
    struct timeline_runs runs[2];
} promises[PROMISES];

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

struct limit {
    uint32_t where;
    int64_t room;
};

static int64_t limit_earliest(void *context, int64_t from_ns, int64_t before_ns,
                              int64_t duration_ns)
{
    const struct limit *limit = context;

    return timeline_earliest(&timelines[limit->where], from_ns, before_ns, duration_ns,
                             limit->room);
}

static void replace(struct promise *promise)
{
    if (promise->bytes) {
        timeline_remove(&timelines[promise->where], &promise->promise);
        for (int64_t t = promise->start; t < promise->end; t++)
            values[promise->where][t] -= promise->bytes;
    }
    promise->where = (uint32_t)below(DEVICES + LIMITS);
    promise->start = below(TICKS - 1);
    promise->end = promise->start + 1 + below(below(3) ? 6 : TICKS);
    promise->end = promise->end > TICKS ? TICKS : promise->end;
    promise->bytes = 1 + below(4);
    promise->promise.runs = promise->runs;
    timeline_add(&timelines[promise->where], &promise->promise, (uint64_t)(promise - promises) + 1,
                 promise->start * TICK_NS, promise->end * TICK_NS, promise->bytes);
    for (int64_t t = promise->start; t < promise->end; t++)
        values[promise->where][t] += promise->bytes;
}

static int64_t rest(uint32_t where, int64_t room, int64_t from, int64_t ticks)
{
    int64_t least = room;

    for (int64_t t = from; t < from + ticks && t < TICKS; t++)
        least = room - values[where][t] < least ? room - values[where][t] : least;
    return least;
}

/* Whether the rule takes `a` before `b`; what is left on each is given. */
static bool better(const struct placement *p, uint32_t a, int64_t left_a, uint32_t b,
                   int64_t left_b, uint32_t free)
{
    const struct placement_site *x = &p->sites[a], *y = &p->sites[b];
    bool free_a = left_a == x->room, free_b = left_b == y->room;

    if (x->preferred != y->preferred)
        return x->preferred;
    if (p->rule == PLACEMENT_PACK)
        return left_a < left_b;
    if (free <= 2 && free_a != free_b)
        return free_b;
    return left_a * y->memory > left_b * x->memory;
}

/* Whether it can start at this tick, and on which sites. */
static bool fits(const struct placement *p, const struct limit *limits, int64_t at, int64_t ticks,
                 uint32_t *sites)
{
    bool taken[DEVICES] = {false};
    uint32_t free = 0;

    for (uint32_t i = 0; i < p->limit_count; i++) {
        if (rest(limits[i].where, limits[i].room, at, ticks) < 0)
            return false;
    }
    for (uint32_t i = 0; i < p->site_count; i++) {
        int64_t left = rest(i, p->sites[i].room, at, ticks);

        free += left >= 0 && left == p->sites[i].room;
    }
    for (uint32_t n = 0; n < p->take; n++) {
        int64_t best = -1;
        uint32_t which = 0;

        for (uint32_t i = 0; i < p->site_count; i++) {
            int64_t left = rest(i, p->sites[i].room, at, ticks);

            if (!taken[i] && left >= 0 && (best < 0 || better(p, i, left, which, best, free))) {
                best = left;
                which = i;
            }
        }
        if (best < 0)
            return false;
        taken[which] = true;
    }
    for (uint32_t i = 0; i < p->site_count; i++) {
        if (taken[i])
            *sites++ = i;
    }
    return true;
}

static void compare(void)
{
    struct placement_site sites[DEVICES];
    struct limit limits[LIMITS];
    struct placement_limit functions[LIMITS];
    struct placement p = {.sites = sites,
                          .site_count = 1 + (uint32_t)below(DEVICES),
                          .take = 1 + (uint32_t)below(4),
                          .limits = functions,
                          .limit_count = (uint32_t)below(LIMITS + 1)};
    int64_t from = below(TICKS), ticks = 1 + below(8), expected = from, found_ns;
    int64_t before = below(2) ? 2 * TICKS : from + below(20);
    uint32_t found_sites[DEVICES], expected_sites[DEVICES];

    for (uint32_t i = 0; i < p.site_count; i++)
        sites[i] = (struct placement_site){.timeline = &timelines[i],
                                           .room = below(6) - 1,
                                           .memory = 6 + below(3),
                                           .preferred = below(4) == 0};
    p.rule = below(2) ? PLACEMENT_PACK : PLACEMENT_SPREAD;
    for (uint32_t i = 0; i < p.limit_count; i++) {
        limits[i] = (struct limit){DEVICES + i, below(8)};
        functions[i] = (struct placement_limit){limit_earliest, &limits[i]};
    }
    p.from_ns = from * TICK_NS;
    p.before_ns = before == 2 * TICKS ? TIMELINE_NEVER : before * TICK_NS;
    p.duration_ns = ticks * TICK_NS - below(2);
    while (expected < before && !fits(&p, limits, expected, ticks, expected_sites))
        expected++;
    found_ns = placement_earliest(&p, found_sites);
    if (expected == before) {
        ck_assert_int_eq(found_ns, TIMELINE_NEVER);
        return;
    }
    ck_assert_int_eq(found_ns, expected * TICK_NS);
    for (uint32_t i = 0; i < p.take; i++)
        ck_assert_uint_eq(found_sites[i], expected_sites[i]);
}

START_TEST(earliest_place)
{
    for (uint32_t i = 0; i < DEVICES + LIMITS; i++)
        timeline_init(&timelines[i]);
    for (int i = 0; i < check_rounds(100000); i++) {
        replace(&promises[below(PROMISES)]);
        compare();
        compare();
    }
}
END_TEST

START_TEST(impossible_gangs)
{
    struct placement_site site = {.timeline = &timelines[0], .room = 5};
    struct placement p = {
        .sites = &site, .site_count = 1, .take = 2, .before_ns = TIMELINE_NEVER, .duration_ns = 1};
    uint32_t sites[2];

    timeline_init(&timelines[0]);
    ck_assert_int_eq(placement_earliest(&p, sites), TIMELINE_NEVER);
    p.take = 0;
    ck_assert_int_eq(placement_earliest(&p, sites), TIMELINE_NEVER);
    p.take = 1;
    ck_assert_int_eq(placement_earliest(&p, sites), 0);
    ck_assert_uint_eq(sites[0], 0);
}
END_TEST

int main(void)
{
    return check_main("placement", NULL, NULL, earliest_place, impossible_gangs);
}
