/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one account, and all together, can pile up in a state: history beyond its bounds goes, that
 * of others stays, and a wall clock that is set makes nothing old.
 */
#include "fixture.h"
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct store_kind *const kinds[] = {&store_memory, &store_sqlite};
#define KIND_COUNT 2
#define SLACK      1000 /* rows go in portions */

static uint64_t seq, id;
static int64_t retention_ns;
static struct store_clock clock_now;

static void load(int kind)
{
    if (kinds[kind] != &store_memory)
        store = store_close(store);
    if (!store)
        ck_assert_msg(kinds[kind]->open(directory, true, &store, &why) == 0, "%s", why.text);
    ck_assert_msg(kept_load(&kept, store, &clock_now, SIZE_MAX, &why) == 0, "%s", why.text);
    give_devices(1, &clock_now);
    seq = kept.counters.next_seq;
    id = kept.counters.next_id;
}

static void start(int kind)
{
    retention_ns = INT64_MAX;
    clock_now = boot;
    load(kind);
}

/* Partitions of `uid` that end at once. */
static void ends(uint32_t uid, int count)
{
    while (count > 0) {
        for (int i = 0; i < TRY_MAX / 2 && count > 0; i++, count--) {
            struct partition p = partition_make(id++, 0, 10);
            p.uid = uid;
            attempt_add(&attempt, seq++, EVENT_CREATED, &p, NULL);
            attempt_add(&attempt, seq++, EVENT_RELEASED, &p, NULL);
        }
        attempt.batch.retention_ns = retention_ns;
        attempt.batch.first_line_seq = seq;
        ck_assert_msg(commit() == 0, "%s", why.text);
    }
}

static size_t entries_of(uint32_t uid)
{
    size_t count = 0;
    for (size_t i = 0; i < kept.history_count; i++)
        count += kept.history[i].entry.partition.uid == uid;
    return count;
}

START_TEST(one_account)
{
    start(_i);
    ends(2, 100);
    ends(1, STORE_HISTORY_ACCOUNT_MAX + 5000);
    ends(3, 5);
    uint64_t last = id - 6;
    load(_i);
    ck_assert_uint_ge(entries_of(1), STORE_HISTORY_ACCOUNT_MAX);
    ck_assert_uint_le(entries_of(1), STORE_HISTORY_ACCOUNT_MAX + SLACK);
    ck_assert_uint_eq(entries_of(2), 100); /* though they are the oldest */
    ck_assert_uint_eq(entries_of(3), 5);
    ck_assert_uint_eq(kept.history[kept.history_count - 6].entry.partition.id,
                      last); /* the newest stay */
    /* After a start the entries are counted again. */
    for (int round = 0; round < 4; round++) {
        ends(1, 1500);
        load(_i);
        ck_assert_uint_ge(entries_of(1), STORE_HISTORY_ACCOUNT_MAX);
        ck_assert_uint_le(entries_of(1), STORE_HISTORY_ACCOUNT_MAX + SLACK);
        ck_assert_uint_eq(entries_of(2), 100);
    }
}
END_TEST

/* More accounts than fit at their most: the largest give way. */
START_TEST(all_accounts)
{
    uint32_t count = STORE_HISTORY_MAX / STORE_HISTORY_ACCOUNT_MAX + 3;
    start(0);
    ends(999, 500);
    for (uint32_t uid = 1; uid <= count; uid++)
        ends(uid, STORE_HISTORY_ACCOUNT_MAX);
    load(0);
    ck_assert_uint_ge(kept.history_count, STORE_HISTORY_MAX - SLACK);
    ck_assert_uint_le(kept.history_count, STORE_HISTORY_MAX + SLACK);
    ck_assert_uint_eq(entries_of(999), 500);
    for (uint32_t uid = 1; uid <= count; uid++)
        ck_assert_uint_gt(entries_of(uid), STORE_HISTORY_ACCOUNT_MAX / 2);
}
END_TEST

/* Many accounts with few entries each, as with subordinate uids: still bounded. */
START_TEST(many_accounts)
{
    start(0);
    for (uint32_t uid = 1; uid <= 60000; uid++)
        ends(uid, 2);
    load(0);
    ck_assert_uint_le(kept.history_count, STORE_HISTORY_MAX + SLACK);
    ck_assert_uint_ge(kept.history_count, STORE_HISTORY_MAX - SLACK);
    ck_assert_uint_eq(entries_of(60000), 2);
}
END_TEST

/* The file does not grow once an account has reached the bound. */
START_TEST(the_file_stays)
{
    struct stat before, after;
    start(1);
    ends(1, STORE_HISTORY_ACCOUNT_MAX + SLACK);
    load(1);
    ck_assert_int_eq(stat(path_in(directory, STATE_FILE), &before), 0);
    ends(1, 2 * STORE_HISTORY_ACCOUNT_MAX);
    load(1);
    ck_assert_int_eq(stat(path_in(directory, STATE_FILE), &after), 0);
    ck_assert_int_le(after.st_size, before.st_size + before.st_size / 4);
}
END_TEST

START_TEST(clock_set_ahead)
{
    start(_i);
    ends(1, 20);
    load(_i);
    retention_ns = 90 * DAY_NS;
    clock_now.offset_ns += 74 * 365 * DAY_NS; /* 2100 by mistake */
    attempt_begin(&attempt, &clock_now);
    ends(1, 1);
    load(_i);
    ck_assert_uint_eq(kept.history_count, 21);
    clock_now = (struct store_clock){"boot-2", boot.offset_ns + 10 * DAY_NS, 0};
    load(_i); /* and right again */
    ends(1, 1);
    load(_i);
    ck_assert_uint_eq(kept.history_count, 22);
}
END_TEST

int main(void)
{
    TCase *all = check_case("store-bounds", fixture_setup, fixture_teardown);
    tcase_add_loop_test(all, one_account, 0, KIND_COUNT);
    tcase_add_loop_test(all, clock_set_ahead, 0, KIND_COUNT);
    tcase_add_test(all, all_accounts);
    if (!getenv("CHRONOS_TEST_LIGHT"))
        tcase_add_test(all, many_accounts);
    tcase_add_test(all, the_file_stays);
    return check_run("store-bounds", all);
}
