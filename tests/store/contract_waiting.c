/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: partitions with several shares, and those that wait. */
#include "contract.h"

static void commit_waiting(uint64_t seq, enum event_kind kind, const struct partition *p,
                           const struct waiting *waiting)
{
    attempt_wait(&attempt, seq, kind, p, waiting);
    commit_well();
}

static void is_kept(const struct partition *p, const struct waiting *waiting)
{
    const struct kept_partition *found = kept_find(&kept, p->id);
    char key[16];
    ck_assert_ptr_nonnull(found);
    same_partition(&found->p, p);
    same_waiting(&found->waiting, waiting);
    for (uint32_t i = 0; i < p->share_count; i++) {
        snprintf(key, sizeof(key), "key%u", p->shares[i].device);
        ck_assert_str_eq(found->keys[i], key);
    }
}

START_TEST(several_shares_are_kept)
{
    static const struct waiting none;
    start(_i);
    struct partition p = partition_waits(1, 0, HOUR_NS, 3);
    p.state = PARTITION_ACTIVE;
    p.shares[0].device = 2;
    p.shares[1] = (struct share){0, 1000000, INT64_MAX};
    p.shares[2] = (struct share){1, 7, 1};
    attempt_add(&attempt, 1, EVENT_CREATED, &p, "created");
    commit_well();
    reopen(_i);
    is_kept(&p, &none);
    give_devices(3, &boot);
    p.shares[2].memory_bytes = 9;
    attempt_add(&attempt, 2, EVENT_RESIZED, &p, "resized");
    commit_well();
    reopen(_i);
    is_kept(&p, &none);
    give_devices(3, &boot);
    attempt_add(&attempt, 3, EVENT_RELEASED, &p, "released");
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 0);
    ck_assert_uint_eq(kept.history_count, 1);
    same_partition(&kept.history[0].entry.partition,
                   &(struct partition){.id = 1,
                                       .uid = p.uid,
                                       .gid = p.gid,
                                       .mode = p.mode,
                                       .state = p.state,
                                       .share_count = 3,
                                       .shares = {p.shares[0], p.shares[1], p.shares[2]},
                                       .start_ns = 0,
                                       .end_ns = 0,
                                       .created_wall_ns = p.created_wall_ns,
                                       .creator_uid = p.creator_uid,
                                       .creator_pid = p.creator_pid});
    ck_assert_str_eq(kept.history[0].keys[0], "key2");
    ck_assert_str_eq(kept.history[0].keys[1], "key0");
    ck_assert_str_eq(kept.history[0].keys[2], "key1");
}
END_TEST

static struct waiting extreme(int64_t promised_ns)
{
    return (struct waiting){.promised_ns = promised_ns,
                            .asked_ns = -(INT64_C(1) << 62),
                            .give_up_ns = (INT64_C(1) << 62) - 1,
                            .fixed_wall_ns = INT64_MAX,
                            .amount = {false, 0, 0, INT64_MAX},
                            .priority = PRIORITY_HIGH,
                            .fixed = true,
                            .spread = true};
}

START_TEST(what_waits_is_kept_whole)
{
    start(_i);
    struct partition p = partition_waits(1, 50, 50 + HOUR_NS, 1);
    struct partition q = partition_waits(2, 90, 90 + HOUR_NS, 3);
    struct waiting one = waiting_make(70), other = extreme(INT64_C(1) << 62);
    attempt_wait(&attempt, 1, EVENT_CREATED, &p, &one);
    attempt_wait(&attempt, 2, EVENT_CREATED, &q, &other);
    commit_well();
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 2);
    is_kept(&p, &one);
    is_kept(&q, &other);
}
END_TEST

/* A move is a change of one row: only the last one in a batch counts. */
START_TEST(moves_and_starts)
{
    static const struct waiting none;
    start(_i);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 2);
    struct waiting waiting = waiting_make(500);
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    for (int64_t at = 400; at >= 200; at -= 100) {
        p.start_ns = at;
        p.end_ns = at + HOUR_NS;
        p.shares[1].device = at == 300 ? 1 : 2;
        waiting.promised_ns = at;
        attempt_wait(&attempt, 6 - (uint64_t)at / 100, EVENT_MOVED, &p, &waiting);
    }
    commit_well();
    reopen(_i);
    is_kept(&p, &waiting);
    ck_assert_uint_eq(kept_find(&kept, 1)->p.change_seq, 4);
    give_devices(3, &boot);
    p.start_ns = 100;
    p.end_ns = 100 + HOUR_NS;
    waiting.promised_ns = 100;
    attempt_wait(&attempt, 5, EVENT_MOVED, &p, &waiting);
    p.state = PARTITION_ACTIVE;
    attempt_wait(&attempt, 6, EVENT_STARTED, &p, &waiting); /* it has waited */
    commit_well();
    reopen(_i);
    is_kept(&p, &none);
}
END_TEST

/* A low lease keeps its row while it is active, because it can wait again. */
START_TEST(low_leases_keep_it)
{
    start(_i);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 2);
    struct partition other = partition_waits(2, 0, HOUR_NS, 1);
    struct waiting waiting = waiting_make(500), now = waiting_make(0);
    static const struct waiting none;
    p.warn.ns = S_NS; /* it will be expiring */
    waiting.priority = now.priority = PRIORITY_LOW;
    waiting.spared_ns = 77;
    other.state = PARTITION_ACTIVE; /* at once */
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    commit_waiting(2, EVENT_CREATED, &other, &now);
    p.state = PARTITION_ACTIVE;
    struct engine_event *event = attempt_wait(&attempt, 3, EVENT_STARTED, &p, &waiting);
    event->before.state = PARTITION_PENDING;
    event->waiting_before = waiting;
    commit_well();
    reopen(_i);
    is_kept(&p, &waiting);
    is_kept(&other, &now);
    give_devices(3, &boot);
    p.state = PARTITION_EXPIRING;
    p.warn.ns = S_NS;
    commit_waiting(4, EVENT_WARNED, &p, &waiting);
    p.state = PARTITION_PENDING; /* it is preempted */
    p.start_ns += HOUR_NS;
    p.end_ns += HOUR_NS;
    waiting.promised_ns = p.start_ns;
    waiting.spared_ns = 99;
    commit_waiting(5, EVENT_PREEMPTED, &p, &waiting);
    reopen(_i);
    is_kept(&p, &waiting);
    give_devices(3, &boot);
    p.state = other.state = PARTITION_ACTIVE;
    now.priority = PRIORITY_NORMAL; /* of another class there is no row */
    event = attempt_wait(&attempt, 6, EVENT_RENAMED, &other, &now);
    event->before.state = PARTITION_ACTIVE;
    event->waiting_before = now;
    event->waiting_before.priority = PRIORITY_LOW;
    event = attempt_wait(&attempt, 7, EVENT_RELEASED, &p, &waiting);
    event->before.state = PARTITION_ACTIVE;
    event->waiting_before = waiting;
    commit_well();
    reopen(_i); /* a row that is left over would be damage */
    ck_assert_uint_eq(kept.partition_count, 1);
    is_kept(&other, &none);
}
END_TEST

/* Whether its user is awaited outlives a restart; an end for that is in the history. */
START_TEST(who_is_awaited)
{
    static const struct waiting none;
    start(_i);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 2);
    struct waiting waiting = waiting_make(500);
    waiting.fixed = true;
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    p.state = PARTITION_ACTIVE;
    p.arrival = ARRIVAL_AWAITED;
    struct engine_event *event = attempt_wait(&attempt, 2, EVENT_STARTED, &p, &waiting);
    event->before.state = PARTITION_PENDING;
    event->waiting_before = waiting;
    commit_well();
    reopen(_i);
    is_kept(&p, &none);
    give_devices(3, &boot);
    p.state = PARTITION_EXPIRING; /* without a warning before its end */
    p.arrival = ARRIVAL_MISSED;
    p.warn = (struct warning){0};
    commit_waiting(3, EVENT_MISSED, &p, &none);
    reopen(_i);
    is_kept(&p, &none);
    give_devices(3, &boot);
    p.end_ns = 700;
    commit_waiting(4, EVENT_NO_SHOW, &p, &none);
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 0);
    ck_assert_int_eq(kept.history[0].entry.how, EVENT_NO_SHOW);
    ck_assert_uint_eq(kept.history[0].entry.partition.state, PARTITION_EXPIRING);
}
END_TEST

START_TEST(it_gave_up)
{
    start(_i);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 2);
    struct waiting waiting = waiting_make(500);
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    p.start_ns = p.end_ns = 40; /* when it gave up */
    commit_waiting(2, EVENT_GAVE_UP, &p, &waiting);
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 0);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_int_eq(kept.history[0].entry.how, EVENT_GAVE_UP);
    ck_assert_uint_eq(kept.history[0].entry.partition.share_count, 2);
    ck_assert_uint_eq(kept.history[0].entry.partition.state, PARTITION_PENDING);
    ck_assert_int_eq(kept.history[0].entry.start_wall_ns, boot.offset_ns + 40);
    ck_assert_int_eq(kept.history[0].entry.end_wall_ns, boot.offset_ns + 40);
}
END_TEST

/* Devices that are ruled out are known by their keys: they can have other numbers later. */
START_TEST(devices_ruled_out)
{
    struct store_device devices[3];
    start(_i);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 1);
    struct waiting waiting = waiting_make(500);
    waiting_bar(&waiting, 1);
    waiting_bar(&waiting, 2);
    waiting_bar(&waiting, 99); /* is not there */
    waiting_prefer(&waiting, 2);
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    waiting.anywhere = false; /* it has a device of its own */
    p.id = 2;
    commit_waiting(2, EVENT_CREATED, &p, &waiting);
    reopen(_i);
    ck_assert_uint_eq(kept.partitions[0].barred_count, 2);
    ck_assert_str_eq(kept.partitions[0].barred[0], "key1");
    ck_assert_str_eq(kept.partitions[0].barred[1], "key2");
    ck_assert_uint_eq(kept.partitions[0].preferred_count, 1);
    ck_assert_str_eq(kept.partitions[0].preferred[0], "key2");
    ck_assert_uint_eq(kept.partitions[1].barred_count, 0);
    ck_assert_uint_eq(kept.partitions[1].preferred_count, 1);
    devices_make(devices, 3);
    strcpy(devices[0].key, "key2");
    strcpy(devices[2].key, "key0");
    ck_assert_int_eq(store_devices(store, devices, 3, &why), 0);
    waiting = waiting_make(500);
    waiting_bar(&waiting, 0);
    commit_waiting(3, EVENT_MOVED, &p, &waiting);
    reopen(_i);
    ck_assert_uint_eq(kept.partitions[1].barred_count, 1);
    ck_assert_str_eq(kept.partitions[1].barred[0], "key2");
    ck_assert_str_eq(kept.partitions[1].keys[0], "key2");
}
END_TEST

/* Beyond the first 128 devices, all or none are ruled out. */
START_TEST(many_devices_ruled_out)
{
    static struct store_device devices[131];
    struct waiting waiting = waiting_make(500);
    struct partition p = partition_waits(1, 500, 500 + HOUR_NS, 1);
    reopen(_i);
    devices_make(devices, 131);
    ck_assert_int_eq(store_devices(store, devices, 131, &why), 0);
    attempt_begin(&attempt, &boot);
    waiting_bar(&waiting, 127);
    waiting_bar(&waiting, 129);
    commit_waiting(1, EVENT_CREATED, &p, &waiting);
    reopen(_i);
    ck_assert_uint_eq(kept.partitions[0].barred_count, 4);
    ck_assert_str_eq(kept.partitions[0].barred[0], "key127");
    ck_assert_str_eq(kept.partitions[0].barred[3], "key130");
}
END_TEST

/* The times of what waits go on with all others, and appointments stay where they are. */
START_TEST(reboot_while_waiting)
{
    struct waiting waiting = waiting_make(2 * HOUR_NS), never = waiting;
    struct partition p = partition_waits(1, HOUR_NS, 3 * HOUR_NS, 2);
    start(_i);
    waiting.asked_ns = 5;
    waiting.give_up_ns = HOUR_NS / 2;
    waiting.fixed_wall_ns = 77;
    waiting.spared_ns = HOUR_NS / 4;
    attempt_wait(&attempt, 1, EVENT_CREATED, &p, &waiting);
    p.id = 2;
    attempt_wait(&attempt, 2, EVENT_CREATED, &p, &never);
    p.id = 3; /* a low lease that has started */
    p.state = PARTITION_ACTIVE;
    never.priority = PRIORITY_LOW;
    never.spared_ns = 600 * S_NS;
    attempt_wait(&attempt, 3, EVENT_CREATED, &p, &never);
    attempt.batch.clock.now_ns = 600 * S_NS;
    commit_well();
    struct store_clock next = {"boot-2", 1000 * DAY_NS + 660 * S_NS, 0}; /* a minute later */
    for (int i = 0; i < 2; i++) {
        reopen_at(_i, &next, 10);
        const struct kept_partition *found = kept_find(&kept, 1);
        ck_assert_int_eq(found->p.start_ns, HOUR_NS - 660 * S_NS);
        ck_assert_int_eq(found->p.end_ns, 3 * HOUR_NS - 660 * S_NS);
        ck_assert_int_eq(found->waiting.promised_ns, 2 * HOUR_NS - 660 * S_NS);
        ck_assert_int_eq(found->waiting.asked_ns, 5 - 660 * S_NS);
        ck_assert_int_eq(found->waiting.give_up_ns, HOUR_NS / 2 - 660 * S_NS);
        ck_assert_int_eq(found->waiting.fixed_wall_ns, 77);
        ck_assert_int_eq(found->waiting.spared_ns, HOUR_NS / 4 - 660 * S_NS);
        ck_assert_int_eq(kept_find(&kept, 3)->waiting.spared_ns, -60 * S_NS);
        ck_assert_int_eq(kept_find(&kept, 3)->waiting.promised_ns, 2 * HOUR_NS - 660 * S_NS);
        ck_assert_int_eq(kept_find(&kept, 2)->waiting.give_up_ns, INT64_MAX);
        give_devices(3, &next); /* then it is written */
        commit_well();
    }
}
END_TEST

/* A promise of the greatest time can be loaded after each reboot. */
START_TEST(reboot_at_the_limit)
{
    start(_i);
    struct waiting waiting = extreme(INT64_C(1) << 62);
    struct partition p = partition_waits(1, (INT64_C(1) << 62) - 1, INT64_C(1) << 62, 1);
    struct partition q = partition_waits(2, 5, 6, 1);
    attempt_wait(&attempt, 1, EVENT_CREATED, &p, &waiting);
    attempt_wait(&attempt, 2, EVENT_CREATED, &q, &waiting);
    attempt_wait(&attempt, 3, EVENT_RELEASED, &p, &waiting);
    commit_well();
    struct store_clock next = {"boot-2", boot.offset_ns - 30 * DAY_NS, 30 * DAY_NS};
    for (int i = 0; i < 3; i++) {
        snprintf(next.boot_id, sizeof(next.boot_id), "boot-%d", 2 + i);
        reopen_at(_i, &next, 10);
        ck_assert_int_eq(kept.partitions[0].waiting.promised_ns, INT64_C(1) << 62);
        ck_assert_int_lt(kept.partitions[0].waiting.give_up_ns, INT64_C(1) << 62);
        give_devices(3, &next);
        attempt.batch.clock.now_ns = 0;
        commit_well();
    }
}
END_TEST

static void refused(const struct partition *p, const struct waiting *waiting)
{
    struct partition good = partition_make(2, 0, HOUR_NS);
    attempt_add(&attempt, 6, EVENT_CREATED, &good, "good");
    attempt_wait(&attempt, 7, EVENT_CREATED, p, waiting);
    ck_assert_int_eq(commit(), -EINVAL);
    ck_assert(why.text[0] != '\0');
}

START_TEST(refused_batches)
{
    const struct partition good = partition_waits(3, 50, 50 + HOUR_NS, 3);
    const struct waiting waiting = waiting_make(70), none = {0};
    struct partition p;
    struct waiting w;
    start(_i);
    create_one(5, 1);
#define BAD_SHARES(change) (p = good, change, refused(&p, &waiting))
    BAD_SHARES(p.share_count = 0);
    BAD_SHARES(p.share_count = SHARE_MAX + 1);
    BAD_SHARES(p.shares[2].device = 3); /* is not there */
    BAD_SHARES(p.shares[2].device = 0); /* twice */
    BAD_SHARES(p.shares[1].memory_bytes = 0);
    BAD_SHARES(p.shares[1].memory_bytes = UINT64_MAX);
    BAD_SHARES(p.shares[1].compute_ppm = 1000001);
    BAD_SHARES(p.arrival = ARRIVAL_AWAITED); /* it waits */
    BAD_SHARES(p.arrival = ARRIVAL_MISSED + 1);
#define BAD_WAITING(change) (w = waiting, change, refused(&good, &w))
    refused(&good, &none);
    BAD_WAITING(w.promised_ns = 49); /* it would start later */
    BAD_WAITING(w.promised_ns = INT64_MAX);
    BAD_WAITING(w.asked_ns = INT64_MIN);
    BAD_WAITING(w.give_up_ns = INT64_MIN);
    BAD_WAITING(w.spared_ns = INT64_MIN);
    BAD_WAITING(w.amount.scale = 0);
    BAD_WAITING(w.amount.digits = UINT64_MAX);
    BAD_WAITING(w.priority = PRIORITIES);
    reopen(_i);
    ck_assert_uint_eq(kept.partition_count, 1);
    give_devices(3, &boot);
    commit_waiting(6, EVENT_CREATED, &good, &waiting); /* and it continues */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        several_shares_are_kept, what_waits_is_kept_whole, moves_and_starts,
        low_leases_keep_it,      who_is_awaited,           it_gave_up,
        devices_ruled_out,       many_devices_ruled_out,   reboot_while_waiting,
        reboot_at_the_limit,     refused_batches};
    return check_run("store-contract", contract_case(tests, ARRAY_COUNT(tests)));
}
