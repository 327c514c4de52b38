/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the store port. Every test runs against every kind of store; promises
 * about files are in sqlite.c and disk.c.
 */
#include "fixture.h"
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct store_kind *const kinds[] = {&store_sqlite, &store_memory};
#define KIND_COUNT 2

static const struct store_clock boot2 = {"boot-2", 1001 * DAY_NS, 0};

/* Close, open and load a store with a file; only load a store in memory. */
static void reopen_at(int kind, const struct store_clock *clock, size_t max_history)
{
    if (kinds[kind] != &store_memory)
        store = store_close(store);
    if (!store)
        ck_assert_msg(kinds[kind]->open(directory, true, &store, &why) == 0, "%s", why.text);
    ck_assert_msg(kept_load(&kept, store, clock, max_history, &why) == 0, "%s", why.text);
}

static void reopen(int kind)
{
    reopen_at(kind, &boot, 1000);
}

static void start(int kind)
{
    reopen(kind);
    give_devices(3, &boot);
}

static void commit_well(void)
{
    ck_assert_msg(commit() == 0, "%s", why.text);
}

/* One committed partition. */
static struct partition create_one(uint64_t seq, uint64_t id)
{
    struct partition p = partition_make(id, 0, HOUR_NS);
    attempt_add(&attempt, seq, EVENT_CREATED, &p, "created");
    commit_well();
    return p;
}

START_TEST(nothing_yet)
{
    reopen(_i);
    ck_assert_uint_eq(kept.calls, 0);
    ck_assert_uint_eq(kept.counters.next_id, 1);
    ck_assert_uint_eq(kept.counters.next_seq, 1);
    ck_assert_uint_eq(kept.counters.mount_id, 0);
    ck_assert_ptr_null(store_close(NULL));
}
END_TEST

static struct partition extreme(uint64_t id)
{
    struct partition p = {.id = id,
                          .shares[0].device = 2,
                          .uid = UINT32_MAX - 1,
                          .gid = UINT32_MAX - 2,
                          .mode = 07777,
                          .on_expiry = ON_EXPIRY_KILL,
                          .grace_ns = DURATION_MAX_NS,
                          .warn.ns = DURATION_MAX_NS - 1,
                          .warn.signal = SIGWINCH,
                          .state = PARTITION_ACTIVE,
                          .share_count = 1,
                          .shares[0].memory_bytes = (uint64_t)INT64_MAX,
                          .start_ns = -5,
                          .end_ns = 100 * 366 * DAY_NS,
                          .created_wall_ns = 1795226304146806967,
                          .hold = UINT64_MAX,
                          .creator_ns = UINT64_MAX - 1,
                          .creator_uid = UINT32_MAX - 3,
                          .creator_pid = INT32_MAX};
    memset(p.name, 'n', PARTITION_NAME_MAX);
    return p;
}

START_TEST(created_is_kept_whole)
{
    struct partition p = extreme(7);
    start(_i);
    attempt_add(&attempt, 3, EVENT_CREATED, &p, "a line");
    attempt.batch.mount_id = UINT64_MAX;
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 1);
    same_partition(&kept.partitions[0].p, &p);
    ck_assert_uint_eq(kept.partitions[0].p.change_seq, 3);
    ck_assert_str_eq(kept.partitions[0].device.key, "key2");
    ck_assert_str_eq(kept.partitions[0].device.name, "dev2");
    ck_assert_uint_eq(kept.partitions[0].device.bytes, UINT64_C(80) << 30);
    ck_assert_uint_eq(kept.counters.next_id, 8);
    ck_assert_uint_eq(kept.counters.next_seq, 4);
    ck_assert_uint_eq(kept.counters.mount_id, UINT64_MAX);
    ck_assert_uint_eq(kept.line_count, 1);
    ck_assert_str_eq(kept.lines[0].text, "a line");
}
END_TEST

START_TEST(changes_are_kept)
{
    start(_i);
    struct partition p = create_one(1, 1);
    create_one(2, 2);
    p.shares[0].memory_bytes = 99;
    attempt_add(&attempt, 3, EVENT_RESIZED, &p, NULL);
    p.end_ns = 2 * HOUR_NS;
    attempt_add(&attempt, 4, EVENT_EXTENDED, &p, NULL);
    strcpy(p.name, "train");
    attempt_add(&attempt, 5, EVENT_RENAMED, &p, NULL);
    commit_well();
    p.uid = 5, p.gid = 6, p.mode = 0700;
    attempt_add(&attempt, 6, EVENT_HANDED, &p, NULL);
    commit_well();
    p.end_ns = HOUR_NS / 2;
    attempt_add(&attempt, 7, EVENT_SHORTENED, &p, NULL);
    commit_well();
    p.on_expiry = ON_EXPIRY_TERM, p.grace_ns = 5, p.warn.ns = HOUR_NS, p.warn.signal = SIGUSR1;
    attempt_add(&attempt, 8, EVENT_ENDING, &p, NULL);
    p.state = PARTITION_EXPIRING;
    attempt_add(&attempt, 9, EVENT_WARNED, &p, "warned");
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 2);
    same_partition(&kept.partitions[0].p, &p);
    ck_assert_uint_eq(kept.partitions[0].p.change_seq, 9);
    ck_assert_uint_eq(kept.partitions[1].p.on_expiry, ON_EXPIRY_NONE);
    ck_assert_int_eq(kept.partitions[1].p.grace_ns, 0);
    ck_assert_uint_eq(kept.partitions[1].p.shares[0].memory_bytes, 5 << 20);
}
END_TEST

START_TEST(ends_are_history)
{
    static const enum event_kind ends[] = {EVENT_RELEASED, EVENT_EXPIRED, EVENT_CLOSED,
                                           EVENT_REVOKED};
    start(_i);
    for (uint64_t id = 1; id <= 5; id++)
        create_one(id, id);
    for (uint64_t i = 0; i < 4; i++) {
        struct partition p = partition_make(4 - i, 0, (int64_t)i * 1000);
        p.shares[0].device = 1;
        strcpy(p.name, "train");
        p.on_expiry = ON_EXPIRY_TERM, p.grace_ns = (int64_t)i, p.warn.ns = 77;
        p.warn.signal = SIGUSR2, p.state = i % 2 ? PARTITION_EXPIRING : PARTITION_ACTIVE;
        struct engine_event *event = attempt_add(&attempt, 6 + i, ends[i], &p, "end");
        event->by_uid = 77;
    }
    commit_well();
    struct store_clock later = boot;
    later.now_ns = 3000;
    reopen_at(_i, &later, 1000);
    ck_assert_uint_eq(kept.partition_count, 1);
    ck_assert_uint_eq(kept.partitions[0].p.id, 5);
    ck_assert_uint_eq(kept.history_count, 4);
    for (uint64_t i = 0; i < 4; i++) {
        const struct store_history *entry = &kept.history[i];
        ck_assert_uint_eq(entry->partition.id, 4 - i); /* the order of their ends */
        ck_assert_int_eq(entry->how, ends[i]);
        ck_assert_uint_eq(entry->by_uid, 77);
        ck_assert_int_eq(entry->start_wall_ns, boot.offset_ns);
        ck_assert_int_eq(entry->end_wall_ns, boot.offset_ns + (int64_t)i * 1000);
        ck_assert_int_eq(entry->partition.end_ns, (int64_t)i * 1000);
        ck_assert_uint_eq(entry->partition.uid, 1000);
        ck_assert_uint_eq(entry->partition.shares[0].memory_bytes, 5 << 20);
        ck_assert_str_eq(entry->partition.name, "train");
        ck_assert_uint_eq(entry->partition.on_expiry, ON_EXPIRY_TERM);
        ck_assert_int_eq(entry->partition.grace_ns, (int64_t)i);
        ck_assert_int_eq(entry->partition.warn.ns, 77);
        ck_assert_uint_eq(entry->partition.warn.signal, SIGUSR2);
        ck_assert_uint_eq(entry->partition.state, i % 2 ? PARTITION_EXPIRING : PARTITION_ACTIVE);
        ck_assert_str_eq(entry->device.key, "key1");
        ck_assert_str_eq(entry->device.name, "dev1");
        ck_assert_uint_eq(entry->device.bytes, UINT64_C(80) << 30);
    }
    reopen_at(_i, &boot, 2);
    ck_assert_uint_eq(kept.history_count, 2);
    ck_assert_uint_eq(kept.history[0].partition.id, 2);
    ck_assert_uint_eq(kept.history[1].partition.id, 1);
    reopen_at(_i, &boot, 0);
    ck_assert_uint_eq(kept.history_count, 0);
}
END_TEST

START_TEST(life_within_a_batch)
{
    struct partition p = partition_make(1, 0, 5);
    start(_i);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, "created");
    attempt_add(&attempt, 2, EVENT_RELEASED, &p, "released");
    attempt_reply(&attempt, 100, 1);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 0);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(kept.line_count, 2);
    ck_assert_uint_eq(kept.reply_count, 1);
    ck_assert_uint_eq(kept.counters.next_id, 2);
}
END_TEST

START_TEST(settings)
{
    start(_i);
    attempt_set(&attempt, 1, "config/retention", "30d");
    attempt_set(&attempt, 2, "gpu0/new/mode", "0660");
    attempt_set(&attempt, 3, "b", "x");
    commit_well();
    attempt_set(&attempt, 4, "b", "");
    attempt_set(&attempt, 5, "config/retention", "31d");
    attempt_set(&attempt, 6, "never", "");
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.setting_count, 2);
    ck_assert_str_eq(kept.settings[0].key, "config/retention");
    ck_assert_str_eq(kept.settings[0].value, "31d");
    ck_assert_str_eq(kept.settings[1].key, "gpu0/new/mode");
    ck_assert_uint_eq(kept.counters.next_seq, 7);
    ck_assert_uint_eq(kept.counters.next_id, 1);
}
END_TEST

/* They come and go one by one, and go with their partition; ids can begin alike. */
START_TEST(guests)
{
    struct guests two = {2, {1002, 1003}};
    start(_i);
    struct partition p = create_one(1, 1), q = create_one(2, 10), r = create_one(3, 11);
    attempt_share(&attempt, 4, EVENT_SHARED, &p, 1003);
    attempt_share(&attempt, 5, EVENT_SHARED, &p, 1002);
    attempt_share(&attempt, 6, EVENT_SHARED, &q, UINT32_MAX - 1);
    attempt_share(&attempt, 7, EVENT_SHARED, &r, 1002);
    attempt_set(&attempt, 8, "guess", "x");
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.guest_count, 4);
    ck_assert(kept.guests[0].id == 1 && kept.guests[0].uid == 1002);
    ck_assert(kept.guests[1].id == 1 && kept.guests[1].uid == 1003);
    ck_assert(kept.guests[2].id == 10 && kept.guests[2].uid == UINT32_MAX - 1);
    ck_assert_uint_eq(kept.setting_count, 1);
    ck_assert_uint_eq(kept.partitions[0].p.change_seq, 5);
    give_devices(3, &boot);
    struct partition gone = partition_make(99, 0, HOUR_NS);
    attempt_share(&attempt, 9, EVENT_SHARED, &p, 1002); /* is in */
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_share(&attempt, 9, EVENT_UNSHARED, &p, 1004); /* is not */
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_share(&attempt, 9, EVENT_SHARED, &gone, 1002);
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_share(&attempt, 9, EVENT_SHARED, &p, UINT32_MAX);
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_share(&attempt, 9, EVENT_UNSHARED, &r, 1002);
    attempt_add(&attempt, 10, EVENT_RELEASED, &p, "released")->guests = &two;
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 2);
    ck_assert_uint_eq(kept.guest_count, 1);
    ck_assert_uint_eq(kept.guests[0].id, 10);
    ck_assert_uint_eq(kept.history_count, 1);
}
END_TEST

START_TEST(lines)
{
    struct partition p = partition_make(1, 0, HOUR_NS);
    char text[32];
    start(_i);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        snprintf(text, sizeof(text), "line %d", (int)seq);
        attempt_add(&attempt, seq, seq == 1 ? EVENT_CREATED : EVENT_RESIZED, &p,
                    seq == 4 || seq == 10 ? NULL : text);
    }
    commit_well();
    attempt.batch.first_line_seq = 3;
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.line_count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(kept.lines[i].seq, i == 0 ? 3 : i + 4);
        snprintf(text, sizeof(text), "line %d", i == 0 ? 3 : (int)i + 4);
        ck_assert_str_eq(kept.lines[i].text, text);
    }
    give_devices(3, &boot);
    attempt.batch.first_line_seq = 1000000;
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.line_count, 0);
    ck_assert_uint_eq(kept.counters.next_seq, 11);
}
END_TEST

/* Of a note, only its line is stored, and the change_seq of a living partition. */
START_TEST(notes)
{
    start(_i);
    create_one(1, 1);
    struct partition p = create_one(2, 2), ended = partition_make(1, 0, 5), other = {0};
    attempt_add(&attempt, 3, EVENT_RELEASED, &ended, "released p1");
    attempt_note(&attempt, 4, &p, true, "signalled p2");
    attempt_note(&attempt, 5, &ended, false, "emptied p1");
    attempt_note(&attempt, 6, &other, false, "unmanaged");
    other.id = 1000, other.shares[0].device = 77, other.on_expiry = 99; /* nothing of it is kept */
    attempt_note(&attempt, 7, &other, false, "unknown p1000");
    attempt_note(&attempt, 8, &ended, false, NULL);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 1);
    same_partition(&kept.partitions[0].p, &p);
    ck_assert_uint_eq(kept.partitions[0].p.change_seq, 4);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(kept.line_count, 7);
    ck_assert_str_eq(kept.lines[3].text, "signalled p2");
    ck_assert_str_eq(kept.lines[6].text, "unknown p1000");
    ck_assert_uint_eq(kept.counters.next_id, 3);
    ck_assert_uint_eq(kept.counters.next_seq, 9);
    give_devices(3, &boot);
    attempt_note(&attempt, 9, &ended, true, "moves what is not there");
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_note(&attempt, 9, &p, false, "two\nlines");
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_add(&attempt, 9, EVENT_RELEASED, &p, NULL);
    attempt_note(&attempt, 10, &p, true, "moves what has just ended");
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_add(&attempt, 9, EVENT_RELEASED, &p, NULL);
    attempt_note(&attempt, 10, &p, false, "told of what has ended");
    attempt_add(&attempt, 11, EVENT_RESIZED, &p, "which is no life");
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_note(&attempt, 9, &p, true, "moves");
    attempt_add(&attempt, 10, EVENT_RELEASED, &p, NULL);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 0);
}
END_TEST

/* Usage is stored with partitions, and goes into history when they end. */
START_TEST(usage)
{
    start(_i);
    struct partition p = create_one(1, 1), q = create_one(2, 2), r = partition_make(3, 0, 5);
    attempt_usage(&attempt, 1, 100, 7); /* no event at all */
    attempt_usage(&attempt, 77, 5, 5);  /* does not exist (any more) */
    attempt_usage(&attempt, 2, INT64_MAX, INT64_MAX);
    commit_well();
    p.shares[0].memory_bytes = 99; /* a change of the partition does not change its usage */
    attempt_add(&attempt, 3, EVENT_RESIZED, &p, NULL);
    attempt_add(&attempt, 4, EVENT_RELEASED, &q, NULL);
    attempt.items[1].usage = (struct store_usage){300, 20};
    attempt_add(&attempt, 5, EVENT_CREATED, &r, NULL);
    attempt_add(&attempt, 6, EVENT_RELEASED, &r, NULL);
    attempt.items[3].usage = (struct store_usage){8, 9};
    attempt_usage(&attempt, 2, 1, 1); /* has ended in this batch */
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 1);
    ck_assert_uint_eq(kept.partitions[0].p.shares[0].memory_bytes, 99);
    ck_assert_uint_eq(kept.partitions[0].usage.peak_bytes, 100);
    ck_assert_uint_eq(kept.partitions[0].usage.gpu_ns, 7);
    ck_assert_uint_eq(kept.history_count, 2);
    ck_assert_uint_eq(kept.history[0].usage.peak_bytes, 300);
    ck_assert_uint_eq(kept.history[0].usage.gpu_ns, 20);
    ck_assert_uint_eq(kept.history[1].usage.peak_bytes, 8);
    ck_assert_uint_eq(kept.history[1].usage.gpu_ns, 9);
    ck_assert_uint_eq(kept.counters.next_seq, 7);
    give_devices(3, &boot);
    attempt_usage(&attempt, 1, 101, 8); /* nothing of a refused batch is stored */
    attempt_usage(&attempt, 1, (uint64_t)INT64_MAX + 1, 0);
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_usage(&attempt, 1, 101, 8);
    attempt_add(&attempt, 7, EVENT_RELEASED, &q, "is not there");
    ck_assert_int_eq(commit(), -EINVAL);
    attempt_add(&attempt, 7, EVENT_RELEASED, &p, NULL);
    attempt.items[0].usage.gpu_ns = UINT64_MAX;
    ck_assert_int_eq(commit(), -EINVAL);
    reopen(_i);
    ck_assert_uint_eq(kept.partitions[0].usage.peak_bytes, 100);
}
END_TEST

START_TEST(replies)
{
    struct partition p = partition_make(1, 0, HOUR_NS);
    start(_i);
    attempt_reply(&attempt, 4, 40);
    commit_well(); /* no event at all, and none before */
    reopen(_i);
    ck_assert_uint_eq(kept.reply_count, 1);
    give_devices(3, &boot);
    attempt_add(&attempt, 1, EVENT_CREATED, &p, NULL);
    attempt_reply(&attempt, UINT64_MAX, 1);
    attempt_reply(&attempt, 6, UINT64_MAX);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.reply_count, 2);
    ck_assert_uint_eq(kept.replies[0].unique, UINT64_MAX);
    ck_assert_uint_eq(kept.replies[0].result, 1);
    ck_assert_uint_eq(kept.replies[1].unique, 6);
    ck_assert_uint_eq(kept.replies[1].result, UINT64_MAX);
    give_devices(3, &boot);
    attempt_reply(&attempt, 8, 1);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.reply_count, 1);
    ck_assert_uint_eq(kept.replies[0].unique, 8);
    give_devices(3, &boot);
    attempt_add(&attempt, 2, EVENT_RESIZED, &p, NULL);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.reply_count, 0);
}
END_TEST

/* End partition 1 `end_ns` after its creation, with this retention. */
static void short_life(uint64_t seq, uint64_t id, int64_t end_ns, int64_t retention_ns)
{
    struct partition p = partition_make(id, end_ns - 1, end_ns);
    attempt_add(&attempt, seq, EVENT_CREATED, &p, NULL);
    attempt_add(&attempt, seq + 1, EVENT_RELEASED, &p, NULL);
    attempt.batch.retention_ns = retention_ns;
    commit_well();
}

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
    ck_assert_uint_eq(kept.history[0].partition.id, 7);
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
    ck_assert_int_eq(kept.history[0].partition.end_ns, 100 * S_NS);
    ck_assert_int_eq(kept.history[0].end_wall_ns, boot.offset_ns + 100 * S_NS);
    struct store_clock next = {"boot-2", boot.offset_ns - DAY_NS, 20 * S_NS};
    reopen_at(_i, &next, 10);
    ck_assert_int_le(kept.history[0].partition.end_ns, 20 * S_NS);
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
    ck_assert_int_eq(kept.history[0].end_wall_ns, later.offset_ns + 100);
    struct store_clock next = {"boot-2", later.offset_ns + 7, 0};
    reopen_at(_i, &next, 10);
    ck_assert_int_eq(kept.partitions[0].p.end_ns, HOUR_NS - 7);
}
END_TEST

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
    const TTest *const tests[] = {nothing_yet,
                                  created_is_kept_whole,
                                  changes_are_kept,
                                  ends_are_history,
                                  life_within_a_batch,
                                  settings,
                                  guests,
                                  lines,
                                  notes,
                                  usage,
                                  replies,
                                  retention,
                                  ids_are_never_used_again,
                                  reboot,
                                  reboot_with_a_wrong_clock,
                                  reboot_at_the_limit,
                                  time_is_recorded,
                                  history_of_a_clock_set_back,
                                  wall_clock_set,
                                  refused_batches,
                                  devices_come_and_go,
                                  one_at_a_time,
                                  sink_stops_the_load};
    TCase *all = check_case("store-contract", fixture_setup, fixture_teardown);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_loop_test(all, tests[i], 0, KIND_COUNT);
    tcase_add_test(all, memory_forgets);
    tcase_add_test(all, clock_shift);
    return check_run("store-contract", all);
}
