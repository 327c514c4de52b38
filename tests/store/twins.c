/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is closed and reopened now and then, against the same state in memory that stays
 * open: the file holds everything that an open store knows.
 */
#include "fixture.h"
#include "tests/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const struct store_kind *const kinds[] = {&store_sqlite, &store_memory};
#define KIND_COUNT 2

static void same_loads(const struct kept *a, const struct kept *b)
{
    ck_assert_uint_eq(a->partition_count, b->partition_count);
    ck_assert_uint_eq(a->history_count, b->history_count);
    ck_assert_uint_eq(a->setting_count, b->setting_count);
    ck_assert_uint_eq(a->line_count, b->line_count);
    ck_assert_uint_eq(a->guest_count, b->guest_count);
    for (size_t i = 0; i < a->guest_count; i++)
        ck_assert(a->guests[i].id == b->guests[i].id && a->guests[i].uid == b->guests[i].uid);
    ck_assert_uint_eq(a->reply_count, b->reply_count);
    ck_assert_mem_eq(&a->counters, &b->counters, sizeof(a->counters));
    for (size_t i = 0; i < a->partition_count; i++) {
        same_partition(&a->partitions[i].p, &b->partitions[i].p);
        ck_assert_uint_eq(a->partitions[i].p.change_seq, b->partitions[i].p.change_seq);
        ck_assert_mem_eq(a->partitions[i].keys, b->partitions[i].keys,
                         sizeof(a->partitions[i].keys));
        same_waiting(&a->partitions[i].waiting, &b->partitions[i].waiting);
        ck_assert_uint_eq(a->partitions[i].barred_count, b->partitions[i].barred_count);
        ck_assert_mem_eq(a->partitions[i].barred, b->partitions[i].barred,
                         sizeof(a->partitions[i].barred));
        ck_assert_uint_eq(a->partitions[i].preferred_count, b->partitions[i].preferred_count);
        ck_assert_mem_eq(a->partitions[i].preferred, b->partitions[i].preferred,
                         sizeof(a->partitions[i].preferred));
        ck_assert_mem_eq(&a->partitions[i].usage, &b->partitions[i].usage,
                         sizeof(a->partitions[i].usage));
    }
    for (size_t i = 0; i < a->history_count; i++) {
        const struct store_history *x = &a->history[i].entry, *y = &b->history[i].entry;
        same_partition(&x->partition, &y->partition);
        ck_assert_int_eq(x->end_wall_ns, y->end_wall_ns);
        ck_assert_int_eq(x->how, y->how);
        ck_assert_mem_eq(&x->usage, &y->usage, sizeof(x->usage));
        ck_assert_mem_eq(a->history[i].keys, b->history[i].keys, sizeof(a->history[i].keys));
    }
    for (size_t i = 0; i < a->setting_count; i++) {
        ck_assert_str_eq(a->settings[i].key, b->settings[i].key);
        ck_assert_str_eq(a->settings[i].value, b->settings[i].value);
    }
    for (size_t i = 0; i < a->line_count; i++)
        ck_assert_str_eq(a->lines[i].text, b->lines[i].text);
}

/* One that waits comes, or moves. */
static void random_wait(uint64_t seq, uint64_t id, int64_t now_ns, enum event_kind kind)
{
    int64_t start_ns = now_ns + 1 + rand() % HOUR_NS;
    struct partition p =
        partition_waits(id, start_ns, start_ns + HOUR_NS, 1 + (uint32_t)rand() % 3);
    struct waiting waiting = waiting_make(start_ns + rand() % HOUR_NS);
    waiting.give_up_ns = rand() % 2 ? ENGINE_FOREVER : start_ns + rand() % HOUR_NS;
    waiting.fixed = rand() % 2;
    waiting.fixed_wall_ns = waiting.fixed ? start_ns : 0;
    waiting.priority = (uint32_t)rand() % PRIORITIES;
    waiting.barred[0] = (uint64_t)rand() % 8;
    waiting.preferred[0] = (uint64_t)rand() % 8;
    attempt_wait(&attempt, seq, kind, &p, &waiting);
}

/* Make a plausible next event; advances `now_ns`. Some are invalid on purpose. */
static void random_item(uint64_t seq, uint64_t *next_id, int64_t *now_ns)
{
    static const enum event_kind endings[] = {EVENT_EXPIRED, EVENT_RELEASED, EVENT_REVOKED,
                                              EVENT_CLOSED,  EVENT_GAVE_UP,  EVENT_NO_SHOW};
    char text[32];
    *now_ns += rand() % HOUR_NS;
    struct partition p = partition_make(*next_id, *now_ns, *now_ns + HOUR_NS);
    p.shares[0].device = (uint32_t)rand() % 3;
    p.on_expiry = (uint32_t)rand() % 3, p.grace_ns = rand(), p.warn.ns = 1 + rand();
    p.warn.signal = rand() % 2 ? SIGUSR1 : 0,
    p.state = rand() % 2 ? PARTITION_EXPIRING : PARTITION_ACTIVE;
    p.arrival = (uint32_t)rand() % (p.state == PARTITION_EXPIRING ? 3 : 2);
    snprintf(text, sizeof(text), "line %d", rand());
    int dice = rand() % 12;
    if (dice >= 10) {
        random_wait(seq, dice == 10 ? *next_id : 1 + (uint64_t)rand() % *next_id, *now_ns,
                    dice == 10 ? EVENT_CREATED : EVENT_MOVED);
        *next_id += dice == 10;
    } else if (dice < 4) {
        attempt_add(&attempt, seq, EVENT_CREATED, &p, text);
        ++*next_id;
    } else if (dice < 9) {
        p.id = 1 + (uint64_t)rand() % *next_id;
        if (dice == 8)
            attempt_share(&attempt, seq, rand() % 2 ? EVENT_SHARED : EVENT_UNSHARED, &p,
                          (uint32_t)rand() % 3);
        else if (dice == 4)
            attempt_note(&attempt, seq, &p, rand() % 2, text);
        else
            attempt_add(&attempt, seq, dice < 6 ? EVENT_STARTED : endings[rand() % 5], &p, text);
    } else {
        snprintf(text, sizeof(text), "key%d", rand() % 5);
        attempt_set(&attempt, seq, text, rand() % 3 == 0 ? "" : "value");
    }
}

START_TEST(twins)
{
    struct store *stores[KIND_COUNT] = {NULL};
    static struct kept twin[KIND_COUNT];
    struct store_clock clock = boot;
    uint64_t seq = 1, next_id = 1, good = 0;
    int64_t now_ns = 0;

    srand((unsigned)_i + 1);
    for (int round = 0; round < 400; round++) {
        for (int k = 0; k < KIND_COUNT && round % 50 == 0; k++) {
            if (kinds[k] != &store_memory)
                stores[k] = store_close(stores[k]);
            if (!stores[k])
                ck_assert_int_eq(kinds[k]->open(directory, true, &stores[k], &why), 0);
            ck_assert_int_eq(kept_load(&twin[k], stores[k], &clock, 100, &why), 0);
            store = stores[k];
            give_devices(3, &clock);
            store = NULL;
        }
        if (round % 50 == 0)
            same_loads(&twin[0], &twin[1]);
        attempt_begin(&attempt, &clock);
        for (int i = 1 + rand() % 3; i > 0; i--)
            random_item(seq++, &next_id, &now_ns);
        attempt_reply(&attempt, (uint64_t)rand(), 1);
        attempt_usage(&attempt, 1 + (uint64_t)rand() % next_id, (uint64_t)rand(), (uint64_t)rand());
        attempt.items[0].usage.gpu_ns = (uint64_t)rand();
        attempt.batch.first_line_seq = seq > 50 ? seq - 50 : 0;
        int r = store_commit(stores[0], &attempt.batch, &why);
        ck_assert_int_eq(store_commit(stores[1], &attempt.batch, &why), r);
        good += !r;
        if (round % 100 == 99) { /* a reboot, and the clock a little off */
            snprintf(clock.boot_id, sizeof(clock.boot_id), "boot %d", round);
            clock.offset_ns += 12345;
        }
    }
    ck_assert_uint_gt(good, 100);
    for (int k = 0; k < KIND_COUNT; k++) {
        kept_clear(&twin[k]);
        store_close(stores[k]);
    }
}
END_TEST

int main(void)
{
    TCase *all = check_case("store-twins", fixture_setup, fixture_teardown);
    tcase_add_loop_test(all, twins, 0, 3);
    return check_run("store-twins", all);
}
