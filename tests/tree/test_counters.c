/* SPDX-License-Identifier: Apache-2.0 */
/* What `metrics` counts: sums over time, more persons than have a place, and what is taken back. */
#include "fs/tree/counters.h"
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#define AT(seconds) ((int64_t)(seconds)*NS_PER_SECOND)

static struct counters *counters;

static void setup(void)
{
    counters = calloc(1, sizeof(*counters));
    ck_assert_ptr_nonnull(counters);
}

static void teardown(void)
{
    free(counters);
}

/* Thousand uids are one person. */
static uint32_t account(const void *context, uint32_t uid)
{
    (void)context;
    return uid / 1000;
}

static struct partition partition(uint64_t id, uint32_t uid, uint64_t bytes)
{
    return (struct partition){.id = id,
                              .uid = uid,
                              .state = PARTITION_ACTIVE,
                              .share_count = 1,
                              .shares[0].memory_bytes = bytes};
}

static struct engine_event event(enum event_kind kind, int64_t at_ns, struct partition before,
                                 struct partition after)
{
    return (struct engine_event){.kind = kind, .at_ns = at_ns, .before = before, .after = after};
}

static void take(struct engine_event each, uint64_t gpu_ns)
{
    counters_event(counters, &each, gpu_ns, account, NULL);
}

static double had(uint32_t person, int64_t now_ns)
{
    return counters_byte_seconds(&counters->persons[counters_find(counters, person)], now_ns);
}

START_TEST(bytes_times_seconds)
{
    const struct partition none = {0}, a = partition(1, 1000, 100), more = partition(1, 1000, 300),
                           b = partition(2, 1999, 7), hers = partition(1, 2000, 300);
    take(event(EVENT_CREATED, AT(10), none, a), 0);
    ck_assert_double_eq(had(1, AT(12)), 200);
    take(event(EVENT_RESIZED, AT(12), a, more), 0);
    take(event(EVENT_CREATED, AT(13), none, b), 0); /* another uid of the same person */
    ck_assert_double_eq(had(1, AT(14)), 200 + 600 + 7);
    take(event(EVENT_EXTENDED, AT(14), more, more), 0);
    take(event(EVENT_HANDED, AT(14), more, hers), 0);
    ck_assert_double_eq(had(1, AT(20)), 807 + 42);
    ck_assert_double_eq(had(2, AT(20)), 1800);
    take(event(EVENT_EXPIRED, AT(24), hers, hers), 5);
    ck_assert_double_eq(had(2, AT(99)), 3000);
    ck_assert_uint_eq(counters->persons[counters_find(counters, 2)].ended_gpu_ns, 5);
    ck_assert_uint_eq(counters->ends[0], 1);
}
END_TEST

/* A request that waits holds nothing yet. */
START_TEST(waiting_is_not_having)
{
    struct partition none = {0}, waits = partition(1, 1000, 100), runs = waits;
    waits.state = PARTITION_PENDING;
    take(event(EVENT_CREATED, AT(10), none, waits), 0);
    ck_assert_double_eq(had(1, AT(20)), 0);
    take(event(EVENT_EXTENDED, AT(20), waits, runs), 0);
    ck_assert_double_eq(had(1, AT(21)), 100);
}
END_TEST

START_TEST(those_without_a_place_are_summed)
{
    const struct partition none = {0};
    for (uint32_t i = 0; i < COUNTERS_PERSONS_MAX + 10; i++)
        take(event(EVENT_CREATED, AT(10), none, partition(i + 1, i * 1000, 1)), 0);
    ck_assert_uint_eq(counters->person_count, COUNTERS_PERSONS_MAX);
    ck_assert_uint_eq(counters_find(counters, COUNTERS_PERSONS_MAX), COUNTERS_PERSONS_MAX);
    ck_assert_double_eq(had(COUNTERS_PERSONS_MAX + 5, AT(12)), 20);
    ck_assert_double_eq(had(3, AT(12)), 2);
}
END_TEST

START_TEST(what_is_taken_back_was_never_had)
{
    struct partition none = {0}, a = partition(1, 1000, 100);
    struct engine_event created = event(EVENT_CREATED, AT(10), none, a);
    struct engine_event ended = event(EVENT_RELEASED, AT(20), a, a);
    take(created, 0);
    take(ended, 9);
    counters_take_back(counters, &ended, AT(20), 9, account, NULL);
    ck_assert_double_eq(had(1, AT(30)), 2000);
    ck_assert_uint_eq(counters->persons[0].ended_gpu_ns, 0);
    counters_take_back(counters, &created, AT(30), 0, account, NULL);
    ck_assert_double_eq(had(1, AT(90)), 2000);
    ck_assert_uint_eq(counters->taken_back, 2);
}
END_TEST

START_TEST(results)
{
    static const int codes[] = {
        0,       REFUSED_INVALID, REFUSED_NO_SPACE, REFUSED_QUOTA, REFUSED_PERMISSION, REFUSED_BUSY,
        -EAGAIN, -ENOMEM};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        counters_request(counters, codes[i]);
        ck_assert_uint_eq(counters->results[i], 1);
    }
    counters_request(counters, REFUSED_OWNER);
    ck_assert_uint_eq(counters->results[4], 2);
    counters_request(counters, 1000);
    ck_assert_uint_eq(counters->results[7], 2);
}
END_TEST

int main(void)
{
    return check_main("counters", setup, teardown, bytes_times_seconds, waiting_is_not_having,
                      those_without_a_place_are_summed, what_is_taken_back_was_never_had, results);
}
