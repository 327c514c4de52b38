/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: what is committed is there after a restart. */
#include "contract.h"

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
        const struct store_history *entry = &kept.history[i].entry;
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
        ck_assert_str_eq(kept.history[i].device.key, "key1");
        ck_assert_str_eq(kept.history[i].device.name, "dev1");
        ck_assert_uint_eq(kept.history[i].device.bytes, UINT64_C(80) << 30);
    }
    reopen_at(_i, &boot, 2);
    ck_assert_uint_eq(kept.history_count, 2);
    ck_assert_uint_eq(kept.history[0].entry.partition.id, 2);
    ck_assert_uint_eq(kept.history[1].entry.partition.id, 1);
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
    ck_assert_uint_eq(kept.history[0].entry.usage.peak_bytes, 300);
    ck_assert_uint_eq(kept.history[0].entry.usage.gpu_ns, 20);
    ck_assert_uint_eq(kept.history[1].entry.usage.peak_bytes, 8);
    ck_assert_uint_eq(kept.history[1].entry.usage.gpu_ns, 9);
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
                                  replies};
    TCase *all = contract_case(tests, ARRAY_COUNT(tests));
    return check_run("store-contract", all);
}
