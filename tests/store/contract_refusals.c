/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: batches that are refused, devices, and one store at a time. */
#include "contract.h"

/* Partitions that no load would accept, one bad field each. */
#define FIELD(member, value)                                                                       \
    {                                                                                              \
#member, offsetof(struct partition, member), sizeof(((struct partition *)0)->member),      \
            value                                                                                  \
    }
static const struct {
    const char *name;
    size_t offset, size;
    int64_t value;
} bad_fields[] = {
    FIELD(id, 1), /* exists already */
    FIELD(id, 0),
    FIELD(shares[0].device, 3), /* no such partition */
    FIELD(shares[0].memory_bytes, 0),
    FIELD(shares[0].compute_ppm, 1000001),
    FIELD(name[0], ' '),
    FIELD(end_ns, 0), /* when it starts */
    FIELD(end_ns, INT64_MAX),
    FIELD(mode, 010000),
    FIELD(on_expiry, 9),
    FIELD(creator_pid, -1),
    FIELD(grace_ns, -1),
    FIELD(warn.ns, DURATION_MAX_NS + 1),
    FIELD(warn.signal, SIGUSR1),      /* without a warning */
    FIELD(state, PARTITION_EXPIRING), /* likewise */
};

/* Valid events, to be followed by an invalid one. */
static void begin_bad_batch(void)
{
    struct partition good = partition_make(2, 0, HOUR_NS);
    attempt_add(&attempt, 6, EVENT_CREATED, &good, "good");
    attempt_set(&attempt, 7, "key", "value");
    attempt_reply(&attempt, 1, 1);
    attempt.batch.mount_id = 9;
}

static void is_refused(const char *what)
{
    ck_assert_msg(commit() == -EINVAL, "%s", what);
    ck_assert_msg(why.text[0] != '\0', "%s", what);
}

START_TEST(refused_batches)
{
    struct partition p = partition_make(3, 0, HOUR_NS), bad;
    start(_i);
    create_one(5, 1);
    for (size_t i = 0; i < ARRAY_COUNT(bad_fields); i++) {
        bad = p;
        memcpy((char *)&bad + bad_fields[i].offset, &bad_fields[i].value, bad_fields[i].size);
        begin_bad_batch();
        attempt_add(&attempt, 8, EVENT_CREATED, &bad, "bad");
        is_refused(bad_fields[i].name);
    }
    for (int i = 0; i < 2; i++) {
        bad = p;
        bad.warn.ns = 1;
        bad.state = i == 0 ? PARTITION_SUSPENDED : PARTITION_ACTIVE;
        bad.warn.signal = i == 1 ? SIGKILL : 0;
        begin_bad_batch();
        attempt_add(&attempt, 8, EVENT_CREATED, &bad, "bad");
        is_refused("state or warn.signal");
    }
    for (int i = 0; i < 2; i++) {
        begin_bad_batch();
        attempt_add(&attempt, 8, i == 0 ? EVENT_RESIZED : EVENT_RELEASED, &p, "is not there");
        is_refused("is not there");
    }
    for (int i = 0; i < 2; i++) {
        begin_bad_batch();
        attempt_add(&attempt, i == 0 ? 7 : UINT64_MAX, EVENT_CREATED, &p, "bad number");
        is_refused("numbers do not rise, or cannot be kept");
    }
    begin_bad_batch();
    strcpy(attempt.lines[1], "two\nlines");
    is_refused("a line");
    begin_bad_batch();
    memset(attempt.lines[0], 'x', STORE_LINE_MAX);
    is_refused("a long line");
    begin_bad_batch();
    strcpy(attempt.events[1].value, "\t");
    is_refused("a value");
    attempt_add(&attempt, 5, EVENT_RESIZED, &p, "number 5 was used");
    is_refused("a number that was used");
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 1);
    ck_assert_uint_eq(kept.setting_count, 0);
    ck_assert_uint_eq(kept.line_count, 1);
    ck_assert_uint_eq(kept.reply_count, 0);
    ck_assert_uint_eq(kept.counters.next_id, 2);
    ck_assert_uint_eq(kept.counters.next_seq, 6);
    ck_assert_uint_eq(kept.counters.mount_id, 0);
    give_devices(3, &boot);
    create_one(6, 2); /* and it continues */
}
END_TEST

START_TEST(devices_come_and_go)
{
    struct store_device devices[4];
    struct partition p = partition_make(1, 0, HOUR_NS);
    start(_i);
    p.shares[0].device = 1;
    attempt_add(&attempt, 1, EVENT_CREATED, &p, NULL);
    commit_well();
    reopen(_i);
    devices_make(devices, 4); /* another order; one is gone, one new, one changed */
    strcpy(devices[0].key, "key3");
    strcpy(devices[2].key, "key0");
    strcpy(devices[1].name, "renamed");
    devices[1].bytes = 7;
    ck_assert_int_eq(store_devices(store, devices, 3, &why), 0);
    p = partition_make(2, 0, HOUR_NS);
    attempt_add(&attempt, 2, EVENT_CREATED, &p, NULL);
    p = partition_make(3, 0, HOUR_NS);
    p.shares[0].device = 2;
    attempt_add(&attempt, 3, EVENT_CREATED, &p, NULL);
    commit_well();
    reopen(_i);
    ck_assert_str_eq(kept_find(&kept, 1)->device.key, "key1");
    ck_assert_str_eq(kept_find(&kept, 1)->device.name, "renamed");
    ck_assert_uint_eq(kept_find(&kept, 1)->device.bytes, 7);
    ck_assert_str_eq(kept_find(&kept, 2)->device.key, "key3");
    ck_assert_str_eq(kept_find(&kept, 3)->device.key, "key0");
    strcpy(devices[1].key, "key3");
    ck_assert_int_eq(store_devices(store, devices, 3, &why), -EINVAL);
    devices[1].key[0] = '\0';
    ck_assert_int_eq(store_devices(store, devices, 3, &why), -EINVAL);
}
END_TEST

/* A file is used by one store at a time; each store in memory is separate. */
START_TEST(one_at_a_time)
{
    struct store *other = NULL;
    struct kept others = {0};
    start(_i);
    create_one(1, 1);
    int r = kinds[_i]->open(directory, false, &other, &why);
    ck_assert_int_eq(r, kinds[_i] == &store_memory ? 0 : -EBUSY);
    ck_assert_int_eq(!other, r < 0);
    if (r < 0) {
        ck_assert(why.text[0] != '\0');
    } else {
        ck_assert_int_eq(kept_load(&others, other, &boot, 10, &why), 0);
        ck_assert_uint_eq(others.calls, 0);
        store_close(other);
    }
    create_one(2, 2);
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 2);
}
END_TEST

/* A store in memory leaves nothing after close, and never touches the disk. */
START_TEST(memory_forgets)
{
    start(1);
    create_one(1, 1);
    store = store_close(store);
    reopen(1);
    ck_assert_uint_eq(kept.calls, 0);
    ck_assert_uint_eq(kept.counters.next_id, 1);
    ck_assert_int_eq(rmdir(directory), 0); /* it is empty */
}
END_TEST

START_TEST(sink_stops_the_load)
{
    start(_i);
    attempt_set(&attempt, 1, "a", "b");
    commit_well();
    create_one(2, 1);
    short_life(3, 2, 5, INT64_MAX);
    attempt_reply(&attempt, 1, 1);
    commit_well();
    reopen(_i);
    size_t all = kept.calls;
    ck_assert_uint_eq(all, 5);
    for (kept.stop_after = 1; kept.stop_after <= all; kept.stop_after++) {
        ck_assert_int_eq(kept_load(&kept, store, &boot, 10, &why), 42);
        ck_assert_uint_eq(kept.calls, kept.stop_after);
    }
    struct store_sink none = {.max_history = 10};
    struct store_counters counters = {0};
    ck_assert_int_eq(store_load(store, &boot, &none, &counters, &why), 0);
    ck_assert_uint_eq(counters.next_id, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {refused_batches, devices_come_and_go, one_at_a_time,
                                  sink_stops_the_load};
    TCase *all = contract_case(tests, ARRAY_COUNT(tests));
    tcase_add_test(all, memory_forgets);
    return check_run("store-contract", all);
}
