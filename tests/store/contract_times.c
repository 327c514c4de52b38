/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: reboots, clocks that are set, and how long history is kept. */
#include "contract.h"

START_TEST(retention)
{
    start(_i);
    for (uint64_t i = 0; i < 10; i++)
        short_life(1 + 2 * i, 1 + i, (int64_t)i * DAY_NS, INT64_MAX);
    reopen(_i);
    ck_assert_uint_eq(kept.history_count, 10);
    give_devices(3, &boot);
    short_life(21, 11, 10 * DAY_NS, 4 * DAY_NS + 1);
    reopen(_i);
    ck_assert_uint_eq(kept.history_count, 5);
    ck_assert_uint_eq(kept.history[0].entry.partition.id, 7);
    ck_assert_uint_eq(kept.counters.next_id, 12);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
    start(_i);
    for (uint64_t i = 0; i < 5; i++)
        short_life(1 + 2 * i, 1 + i, (int64_t)i * DAY_NS, INT64_MAX);
    attempt_set(&attempt, 11, "a", "b");
    attempt.events[0].at_ns = 1000 * DAY_NS;
    attempt.batch.retention_ns = 0;
    attempt.batch.first_line_seq = 11;
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.history_count, 0);
    ck_assert_uint_eq(kept.counters.next_id, 6);
    ck_assert_uint_eq(kept.counters.next_seq, 12);
}
END_TEST

START_TEST(reboot)
{
    start(_i);
    struct partition p = create_one(1, 1);
    reopen_at(_i, &boot2, 10); /* the wall clock is one day ahead at the same boot time */
    ck_assert_int_eq(kept.partitions[0].p.start_ns, -DAY_NS);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - DAY_NS);
    reopen_at(_i, &boot, 10); /* reading changed nothing */
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS);

    /* Writes of the new boot do not move earlier times, even if the wall clock was set between load
     * and commit. */
    reopen_at(_i, &boot2, 10);
    give_devices(3, &boot);
    struct store_clock stepped = boot2;
    stepped.offset_ns += HOUR_NS;
    attempt_begin(&attempt, &stepped);
    p = partition_make(2, 10, 20);
    attempt_add(&attempt, 2, EVENT_CREATED, &p, NULL);
    commit_well();
    reopen_at(_i, &stepped, 10);
    ck_assert_int_eq(kept.partitions[0].p.start_ns, -DAY_NS);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - DAY_NS);
    ck_assert_int_eq(kept.partitions[1].p.end_ns, 20);
    struct store_clock boot3 = {"boot-3", stepped.offset_ns + 5, 0};
    reopen_at(_i, &boot3, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - DAY_NS - 5);
    ck_assert_int_eq(kept.partitions[1].p.end_ns, 15);
}
END_TEST

/* A partition of an hour, last seen after ten minutes, at the start of another boot. */
START_TEST(reboot_with_a_wrong_clock)
{
    static const struct {
        int64_t wall_ns, left_ns;
    } cases[] = {
        {1000 * DAY_NS + 600 * S_NS, HOUR_NS - 600 * S_NS}, /* no time has passed */
        {1000 * DAY_NS + 660 * S_NS, HOUR_NS - 660 * S_NS},
        {1000 * DAY_NS, HOUR_NS - 600 * S_NS}, /* behind */
        {1000 * DAY_NS - 2 * HOUR_NS, HOUR_NS - 600 * S_NS},
        {0, HOUR_NS - 600 * S_NS},                           /* 1970 */
        {1000 * DAY_NS + 2 * HOUR_NS, -HOUR_NS},             /* ahead: it has ended */
        {130 * 365 * DAY_NS, HOUR_NS - 600 * S_NS - DAY_NS}, /* 2100: a day at most */
    };
    start(_i);
    struct partition p = partition_make(1, 0, HOUR_NS);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, "created");
    attempt.batch.clock.now_ns = 600 * S_NS;
    commit_well();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct store_clock next = {"boot-2", cases[i].wall_ns - 40 * S_NS, 40 * S_NS};
        reopen_at(_i, &next, 10);
        ck_assert_int_eq(kept.partitions[0].p.end_ns - next.now_ns, cases[i].left_ns);
        ck_assert_int_le(kept.partitions[0].p.start_ns, next.now_ns); /* it has begun */
        ck_assert_int_eq(kept.partitions[0].p.end_ns - kept.partitions[0].p.start_ns, HOUR_NS);
    }
    /* The same boot at an earlier time is another clock. */
    struct store_clock namespace = {"boot-1", 1000 * DAY_NS + 590 * S_NS, 10 * S_NS};
    reopen_at(_i, &namespace, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - 590 * S_NS);
}
END_TEST

/* An empty batch records the time, so that a reboot right after it forgets nothing. */
START_TEST(time_is_recorded)
{
    start(_i);
    create_one(1, 1);
    attempt.batch.clock.now_ns = 3000 * S_NS;
    commit_well();
    struct store_clock next = {"boot-2", 0, 5 * S_NS};
    reopen_at(_i, &next, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, 5 * S_NS + HOUR_NS - 3000 * S_NS);
    give_devices(3, &next); /* and the new boot records its own */
    attempt.batch.clock.now_ns = 25 * S_NS;
    commit_well();
    struct store_clock third = {"boot-3", -DAY_NS, 7 * S_NS};
    reopen_at(_i, &third, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, 7 * S_NS + HOUR_NS - 3020 * S_NS);
}
END_TEST

/* The longest duration still ends, and can be loaded, after a reboot that moves it away. */
START_TEST(reboot_at_the_limit)
{
    start(_i);
    struct partition p = partition_make(1, 0, INT64_C(1) << 62);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, "created");
    commit_well();
    struct store_clock next = {"boot-2", boot.offset_ns - 30 * DAY_NS, 30 * DAY_NS};
    for (int i = 0; i < 3; i++) {
        snprintf(next.boot_id, sizeof(next.boot_id), "boot-%d", 2 + i);
        reopen_at(_i, &next, 10);
        ck_assert_int_eq(kept.partitions[0].p.end_ns, INT64_C(1) << 62);
        give_devices(3, &next);
        attempt.batch.clock.now_ns = 0;
        commit_well();
    }
}
END_TEST

/* An end is never in the future, even if the wall clock was set back since. */
START_TEST(history_of_a_clock_set_back)
{
    start(_i);
    struct partition p = partition_make(1, 0, 100 * S_NS);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, "created");
    attempt_add(&attempt, 2, EVENT_RELEASED, &p, "released");
    attempt.batch.clock.now_ns = 100 * S_NS;
    commit_well();
    struct store_clock back = {"boot-1", boot.offset_ns - 2 * HOUR_NS, 130 * S_NS};
    reopen_at(_i, &back, 10);
    ck_assert_int_eq(kept.history[0].entry.partition.end_ns, 100 * S_NS);
    ck_assert_int_eq(kept.history[0].entry.end_wall_ns, boot.offset_ns + 100 * S_NS);
    struct store_clock next = {"boot-2", boot.offset_ns - DAY_NS, 20 * S_NS};
    reopen_at(_i, &next, 10);
    ck_assert_int_le(kept.history[0].entry.partition.end_ns, 20 * S_NS);
}
END_TEST

START_TEST(wall_clock_set)
{
    start(_i);
    create_one(1, 1);
    struct store_clock later = boot;
    later.offset_ns += DAY_NS; /* the clock is set; the next commit records it */
    attempt_begin(&attempt, &later);
    short_life(2, 2, 100, INT64_MAX);
    reopen(_i);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS); /* same boot: same numbers */
    ck_assert_int_eq(kept.history[0].entry.end_wall_ns, later.offset_ns + 100);
    struct store_clock next = {"boot-2", later.offset_ns + 7, 0};
    reopen_at(_i, &next, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - 7);
}
END_TEST

START_TEST(clock_shift)
{
    struct store_clock high = {"high", INT64_MAX, 5}, low = {"low", INT64_MIN, 7};
    ck_assert_int_eq(store_clock_shift(&boot, &boot), 0);
    ck_assert_int_eq(store_clock_shift(&boot, &boot2), -DAY_NS);
    ck_assert_int_eq(store_clock_shift(&high, &low), 2);
    ck_assert_int_eq(store_clock_shift(&low, &high), -2 - STORE_DOWNTIME_MAX_NS);
    ck_assert_int_eq(store_clock_move(INT64_MAX, INT64_MAX), INT64_C(1) << 62);
    ck_assert_int_eq(store_clock_move(5, -7), -2);
    struct store_clock now, again;
    ck_assert_int_eq(store_clock_now(&now), 0);
    ck_assert_int_eq(store_clock_now(&again), 0);
    ck_assert_uint_eq(strlen(now.boot_id), 36);
    ck_assert_str_eq(now.boot_id, again.boot_id);
    ck_assert_int_lt(llabs(now.offset_ns - again.offset_ns), 1000000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {retention,
                                  ids_are_never_used_again,
                                  reboot,
                                  reboot_with_a_wrong_clock,
                                  time_is_recorded,
                                  reboot_at_the_limit,
                                  history_of_a_clock_set_back,
                                  wall_clock_set};
    TCase *all = contract_case(tests, ARRAY_COUNT(tests));
    tcase_add_test(all, clock_shift);
    return check_run("store-contract", all);
}
