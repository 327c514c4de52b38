/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions: each is accepted when it is asked for, and nothing better would be. Accepted means
 * what a naive look at all moments says of the devices, and quota_check of the quotas, whichever
 * devices are taken.
 */
#include "core/engine/fairshare.h"
#include "core/engine/partition.h"
#include "core/engine/placement.h"
#include "core/engine/suggest.h"
#include "tests/check.h"

#include <stdio.h>

#define SITES    4
#define PROMISES 12
#define HORIZON  80 /* seconds */
#define GIB      (UINT64_C(1) << 30)
#define SECOND   NS_PER_SECOND

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static struct timeline timelines[SITES];
static struct timeline_promise promises[SITES][PROMISES];
static int64_t taken[SITES][HORIZON * 2]; /* of each second */
static struct suggest_site sites[SITES];
static struct quota_holder user, group;
static struct quota_charge charges[2][PROMISES];
static struct quota_calendar calendar;
static int64_t days[] = {0, 24 * SECOND, 47 * SECOND}, weeks[] = {0, 47 * SECOND};
static struct quota_scope scope = {{&user, &group}, 2, &calendar};

static void fill_site(size_t i, bool alike)
{
    uint64_t memory =
        (alike ? 80 : 16 + (uint64_t)below(100)) * GIB + (uint64_t)below(alike ? 1 : 99);

    timeline_init(&timelines[i]);
    memset(taken[i], 0, sizeof(taken[i]));
    for (size_t j = 0; j < PROMISES; j++) {
        int64_t start_s = below(HORIZON - 1), end_s = start_s + 1 + below(HORIZON - start_s - 1);
        int64_t bytes = 1 + below((int64_t)memory / 4), most = 0;

        for (int64_t s = start_s; s < end_s; s++)
            most = taken[i][s] > most ? taken[i][s] : most;
        if ((uint64_t)(most + bytes) > memory)
            continue;
        timeline_add(&timelines[i], &promises[i][j], j, start_s * SECOND, end_s * SECOND, bytes);
        for (int64_t s = start_s; s < end_s; s++)
            taken[i][s] += bytes;
    }
    sites[i] = (struct suggest_site){&timelines[i], memory};
}

static void fill_holder(struct quota_holder *holder, struct quota_charge *charge)
{
    struct quota_limits limits = quota_standard;

    if (below(2))
        limits.limit[QUOTA_FRACTION] = (uint64_t)below(6000000);
    if (below(2))
        limits.limit[QUOTA_HOURS_DAY] = (uint64_t)below(60000000);
    if (below(2))
        limits.limit[QUOTA_HOURS_WEEK] = (uint64_t)below(90000000);
    if (below(8) == 0)
        limits.limit[QUOTA_DURATION] = (uint64_t)(below(60) * SECOND);
    quota_init(holder, &limits);
    for (size_t i = 0; i < 4; i++) {
        int64_t start_ns = below(60) * SECOND;
        quota_put(holder, &calendar, &charge[i], i, 1 + (uint64_t)below(900000), start_ns,
                  start_ns + (1 + below(20)) * SECOND, 0);
    }
}

/* Whether the request would be accepted whichever of the sites with room it goes to. */
static bool is_accepted(const struct suggest *suggest, const struct amount *amount,
                        int64_t duration_ns)
{
    uint32_t room = 0, most_ppm = 0, ppm;

    for (size_t i = 0; i < suggest->site_count; i++) {
        uint64_t memory = sites[i].memory_bytes, bytes = units_amount_bytes(amount, memory);
        bool free = bytes > 0;
        for (int64_t s = suggest->start_ns / SECOND;
             s * SECOND < suggest->start_ns + duration_ns && free; s++)
            free = (uint64_t)taken[i][s] + bytes <= memory;
        ppm = fairshare_dominant_ppm(bytes, memory, 0);
        if (free && ppm > most_ppm)
            most_ppm = ppm;
        room += free;
    }
    if (room < suggest->take)
        return false;
    if (!suggest->scope)
        return true;
    struct quota_ask ask = {.ppm = (uint64_t)most_ppm * suggest->take,
                            .start_ns = suggest->start_ns,
                            .duration_ns = duration_ns,
                            .class = 1};
    return quota_check(suggest->scope, &ask).verdict == QUOTA_ALLOWED;
}

static struct amount share(uint64_t ppm)
{
    return (struct amount){.is_share = true, .digits = ppm, .scale = 1000000};
}

static void check_largest(const struct suggest *suggest, int64_t duration_ns)
{
    uint32_t most_ppm = below(2) ? 1000000 : 1 + (uint32_t)below(1000000);
    uint32_t largest = suggest_largest(suggest, duration_ns, most_ppm);
    struct amount amount = share(largest), less = share(1 + (uint64_t)below(largest + 1));

    ck_assert_uint_le(largest, most_ppm);
    if (largest > 0) {
        ck_assert(is_accepted(suggest, &amount, duration_ns));
        less = less.digits > largest ? amount : less;
        ck_assert(is_accepted(suggest, &less, duration_ns));
    }
    /* one millionth is lost at most, in rounding to whole bytes */
    amount = share((uint64_t)largest + 2);
    if (largest + 2 <= most_ppm)
        ck_assert(!is_accepted(suggest, &amount, duration_ns));
}

static void check_longest(const struct suggest *suggest, bool alike)
{
    struct amount amount = share(1 + (uint64_t)below(900000));
    int64_t most_ns = (1 + below(70)) * SECOND;

    if (below(2))
        amount = (struct amount){.scale = 1, .bytes = 1 + (uint64_t)below(60 * (int64_t)GIB)};
    int64_t longest_ns = suggest_longest(suggest, &amount, most_ns);
    ck_assert(longest_ns >= 0 && longest_ns <= most_ns && longest_ns % SECOND == 0);
    if (longest_ns > 0) {
        ck_assert(is_accepted(suggest, &amount, longest_ns));
        ck_assert(is_accepted(suggest, &amount, SECOND + below(longest_ns / SECOND) * SECOND));
    }
    /* With unlike devices, the one that counts most can have room for less time. */
    if (longest_ns < most_ns && (alike || !suggest->scope))
        ck_assert(!is_accepted(suggest, &amount, longest_ns + SECOND));
}

START_TEST(suggestions_are_accepted)
{
    int rounds = check_rounds(60000);

    calendar.day = (struct windows){20000, days, ARRAY_COUNT(days), 24 * SECOND};
    calendar.week = (struct windows){2857, weeks, ARRAY_COUNT(weeks), 48 * SECOND};
    for (int round = 0; round < rounds; round++) {
        bool alike = below(2);
        for (size_t i = 0; i < SITES && round % 4 == 0; i++)
            fill_site(i, alike);
        if (round % 4 == 0) {
            fill_holder(&user, charges[0]);
            fill_holder(&group, charges[1]);
        }
        struct suggest suggest = {sites, 1 + (size_t)below(SITES), 1, below(3) ? &scope : NULL,
                                  below(HORIZON) * SECOND};
        suggest.take = 1 + (uint32_t)below((int64_t)suggest.site_count + 1);
        check_largest(&suggest, (1 + below(70)) * SECOND);
        check_longest(&suggest, false);
    }
}
END_TEST

/* Devices of one size: nothing longer would be accepted either. */
START_TEST(longest_is_the_longest)
{
    calendar.day = (struct windows){20000, days, ARRAY_COUNT(days), 24 * SECOND};
    calendar.week = (struct windows){2857, weeks, ARRAY_COUNT(weeks), 48 * SECOND};
    for (int round = 0; round < check_rounds(20000); round++) {
        for (size_t i = 0; i < SITES; i++)
            fill_site(i, true);
        fill_holder(&user, charges[0]);
        fill_holder(&group, charges[1]);
        struct suggest suggest = {sites, SITES, 1 + (uint32_t)below(SITES), &scope,
                                  below(HORIZON) * SECOND};
        check_longest(&suggest, true);
    }
}
END_TEST

/* A search over devices with quotas as its limits finds the first start that both accept. */
START_TEST(quotas_limit_a_search)
{
    uint32_t chosen[SITES];

    calendar.day = (struct windows){20000, days, ARRAY_COUNT(days), 24 * SECOND};
    calendar.week = (struct windows){2857, weeks, ARRAY_COUNT(weeks), 48 * SECOND};
    for (int round = 0; round < check_rounds(20000); round++) {
        struct placement_site where[SITES];
        struct amount amount = share(1 + (uint64_t)below(900000));
        int64_t duration_ns = (1 + below(30)) * SECOND, found_ns = TIMELINE_NEVER;

        for (size_t i = 0; i < SITES; i++) {
            fill_site(i, true);
            uint64_t memory = sites[i].memory_bytes;
            where[i] = (struct placement_site){
                .timeline = &timelines[i],
                .room = (int64_t)(memory - units_amount_bytes(&amount, memory))};
        }
        fill_holder(&user, charges[0]);
        fill_holder(&group, charges[1]);
        user.limits.limit[QUOTA_DURATION] = group.limits.limit[QUOTA_DURATION] = QUOTA_UNLIMITED;
        struct suggest suggest = {sites, SITES, 1 + (uint32_t)below(SITES), &scope, 0};
        uint64_t memory = sites[0].memory_bytes, bytes = units_amount_bytes(&amount, memory);
        struct quota_want want = {
            &scope, suggest.take * (uint64_t)fairshare_dominant_ppm(bytes, memory, 0), {NULL}};
        struct placement_limit limit = {quota_limit_earliest, &want};
        struct placement placement = {.sites = where,
                                      .site_count = SITES,
                                      .take = suggest.take,
                                      .limits = &limit,
                                      .limit_count = 1,
                                      .before_ns = HORIZON * SECOND,
                                      .duration_ns = duration_ns};
        int64_t at_ns = placement_earliest(&placement, chosen);

        for (; suggest.start_ns < HORIZON * SECOND && found_ns == TIMELINE_NEVER;
             suggest.start_ns += SECOND) {
            if (is_accepted(&suggest, &amount, duration_ns))
                found_ns = suggest.start_ns;
        }
        /* hours can allow a start between two seconds */
        if (at_ns % SECOND == 0)
            ck_assert_int_eq(at_ns, found_ns);
        else
            ck_assert(at_ns <= found_ns);
    }
}
END_TEST

START_TEST(as_in_a_message)
{
    struct timeline_promise first = {.runs = NULL}, other = {.runs = NULL};
    struct timeline busy;
    struct suggest_site gpu = {&busy, 80 * GIB};
    struct suggest suggest = {&gpu, 1, 1, NULL, 0};
    struct amount half = share(500000), whole = share(1000000);

    /* 0.60 taken for 35 minutes, then 0.50 */
    timeline_init(&busy);
    timeline_add(&busy, &first, 1, 0, 9000 * SECOND, 40 * GIB);
    timeline_add(&busy, &other, 2, 2100 * SECOND, 9000 * SECOND, 8 * GIB);
    ck_assert_int_eq(suggest_longest(&suggest, &half, 7200 * SECOND), 2100 * SECOND);
    ck_assert_uint_eq(suggest_largest(&suggest, 7200 * SECOND, 1000000), 400000);
    ck_assert_uint_eq(suggest_largest(&suggest, 2100 * SECOND, 1000000), 500000);
    ck_assert_int_eq(suggest_longest(&suggest, &whole, 7200 * SECOND), 0);
    suggest.take = 2; /* there is only one */
    ck_assert_int_eq(suggest_longest(&suggest, &half, 7200 * SECOND), 0);
    ck_assert_uint_eq(suggest_largest(&suggest, 60 * SECOND, 1000000), 0);
    suggest.take = SHARE_MAX + 1;
    ck_assert_uint_eq(suggest_largest(&suggest, 60 * SECOND, 1000000), 0);
}
END_TEST

int main(void)
{
    return check_main("suggest", NULL, NULL, suggestions_are_accepted, longest_is_the_longest,
                      quotas_limit_a_search, as_in_a_message);
}
