/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: what accounts and groups have used, and the group whose quota a partition counts
 * for. */
#include "contract.h"

#define HALF ((wide)1 << 119)

static struct usage_record found[8];
static size_t found_count;
static int64_t origin_ns;

static int keep_usage(void *context, const struct usage_record *record)
{
    (void)context;
    ck_assert_uint_lt(found_count, ARRAY_COUNT(found));
    found[found_count++] = *record;
    return 0;
}

static int keep_origin(void *context, int64_t ns)
{
    (void)context;
    origin_ns = ns;
    return 0;
}

static void look(const struct store_clock *clock)
{
    struct store_sink sink = {.usage = keep_usage, .origin = keep_origin};
    struct store_counters counters;
    found_count = 0;
    ck_assert_msg(store_load(store, clock, &sink, &counters, &why) == 0, "%s", why.text);
}

static void is_found(size_t at, const struct usage_record *record)
{
    ck_assert_uint_lt(at, found_count);
    ck_assert(found[at].group == record->group && found[at].id == record->id);
    ck_assert_int_eq(found[at].epoch, record->epoch);
    ck_assert(found[at].booked == record->booked);
    ck_assert_int_eq(found[at].day.window, record->day.window);
    ck_assert(found[at].day.ppm_ns == record->day.ppm_ns);
    ck_assert_int_eq(found[at].week.window, record->week.window);
    ck_assert(found[at].week.ppm_ns == record->week.ppm_ns);
}

/* Commit a partition and its end, which changes these records. */
static int end_with(uint64_t seq, struct usage_change *changes, uint32_t count)
{
    struct partition p = partition_make(seq, 0, HOUR_NS);
    attempt_add(&attempt, seq, EVENT_CREATED, &p, NULL);
    struct engine_event *end = attempt_add(&attempt, seq + 1, EVENT_RELEASED, &p, NULL);
    end->usage = changes;
    end->usage_count = count;
    return commit();
}

START_TEST(records_are_kept)
{
    struct usage_change changes[] = {
        {.after = {false, 0, -3, -HALF, {-7, HALF - 1}, {INT64_MAX, -1}}},
        {.after = {false, UINT32_MAX - 1, INT64_MAX, HALF - 1, {0, 0}, {INT64_MIN, -HALF}}},
        {.after = {true, 7, 0, 0, {20000, (wide)UINT64_MAX + 1}, {2857, UINT64_MAX}}},
    };
    start(_i);
    look(&boot);
    ck_assert_uint_eq(found_count, 0);
    ck_assert_int_eq(end_with(1, changes, 3), 0);
    reopen(_i);
    look(&boot);
    ck_assert_uint_eq(found_count, 3);
    is_found(0, &changes[2].after); /* by key */
    is_found(1, &changes[0].after);
    is_found(2, &changes[1].after);
    ck_assert_uint_eq(kept.setting_count, 0);
    /* The last one counts. */
    give_devices(3, &boot);
    changes[0].after.booked = 12;
    ck_assert_int_eq(end_with(3, changes, 1), 0);
    reopen(_i);
    look(&boot);
    ck_assert_uint_eq(found_count, 3);
    is_found(1, &changes[0].after);
    give_devices(3, &boot);
    changes[0].after.booked = (wide)1 << 121; /* which load would refuse */
    ck_assert_int_eq(end_with(5, changes, 1), -EINVAL);
}
END_TEST

/* A lease of an hour that ended an hour after the beginning did so in each boot. */
START_TEST(time_moves_with_the_clock)
{
    struct usage_change change = {.after = {.id = 1000, .booked = 5}};
    start(_i);
    create_one(1, 1);
    reopen_at(_i, &boot2, 10);
    look(&boot2);
    ck_assert_int_eq(origin_ns, 0); /* nothing counts from it yet */
    give_devices(3, &boot2);
    attempt_begin(&attempt, &boot2);
    struct partition p = partition_make(1, 0, HOUR_NS);
    attempt_add(&attempt, 2, EVENT_RELEASED, &p, NULL)->usage = &change;
    attempt.events[0].usage_count = 1;
    commit_well();
    reopen_at(_i, &boot2, 10);
    look(&boot2);
    ck_assert_int_eq(origin_ns, 0);
    struct store_clock boot3 = {"boot-3", boot2.offset_ns + 5 * S_NS, 0};
    for (int again = 0; again < 2; again++) {
        reopen_at(_i, &boot3, 10);
        look(&boot3);
        ck_assert_int_eq(origin_ns, -5 * S_NS);
        give_devices(3, &boot3);
        attempt_begin(&attempt, &boot3);
        commit_well();
    }
    struct store_clock boot4 = {"boot-4", boot3.offset_ns + 7 * S_NS, 0};
    reopen_at(_i, &boot4, 10);
    look(&boot4);
    ck_assert_int_eq(origin_ns, -12 * S_NS);
}
END_TEST

START_TEST(the_group_is_kept)
{
    struct partition p = partition_make(1, 0, HOUR_NS);
    p.quota_group = UINT32_MAX - 1;
    start(_i);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, NULL);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partitions[0].p.quota_group, p.quota_group);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {records_are_kept, time_moves_with_the_clock, the_group_is_kept};
    return check_run("store-contract", contract_case(tests, ARRAY_COUNT(tests)));
}
