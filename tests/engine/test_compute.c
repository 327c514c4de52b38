/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of a device's time, slots, and the modes that they go with. */
#include "waiting_fixture.h"

#define SHARED "sharing/card"

static void shared_device(uint64_t bytes)
{
    ck_assert_int_eq(engine_name_device(engine, add_device(engine, bytes, true), "card"), 0);
}

/* An engine with one device that has a key. */
static void begin(uint64_t bytes, const char *mode)
{
    engine = new_engine();
    shared_device(bytes);
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), SHARED, mode), 0);
    engine_events_free(engine_take_events(engine));
}

static void no_grant(int64_t now_ns, const struct caller *caller, const char *text,
                     const char *words)
{
    uint64_t id = 77;

    engine_events_free(engine_take_events(engine));
    refused(ask(engine, now_ns, caller, 0, text, &why, &id), REFUSED_NO_SPACE, words);
    ck_assert_uint_eq(id, 77);
}

static uint32_t share(uint64_t id)
{
    return engine_share_ppm(engine, &engine_find(engine, id)->shares[0]);
}

/* -- shares ---------------------------------------------------------------------- */

START_TEST(without_shares_only_memory_counts)
{
    start(10);
    for (int i = 0; i < 10; i++)
        grant(engine, 0, &alice, 0, "0.1 60");
    no_grant(0, &alice, "0.1 60", "Not enough available memory");
    ck_assert_uint_eq(share(1), 100000);
    engine_free(engine);
}
END_TEST

START_TEST(seventy_and_thirty_of_two_halves)
{
    start(80 * GIB);
    uint64_t more = grant(engine, 0, &alice, 0, "0.5 60 share=70");
    no_grant(0, &bob, "0.5 60",
             "Not enough time of gpu0: 50 per cent comes with so much memory, 30 is left; "
             "as much is free from T60. Ask for less with share=N.");
    no_grant(0, &bob, "0.5 60 share=30.0001", "30.0001 per cent was asked for, 30 is left");
    uint64_t less = grant(engine, 0, &bob, 0, "0.5 60 share=30");
    ck_assert_uint_eq(share(more), 700000);
    ck_assert_uint_eq(share(less), 300000);
    engine_free(engine);
}
END_TEST

/* A byte must not come with the time of the whole device. */
START_TEST(the_limit_for_one_partition_is_for_time_too)
{
    uint64_t id = 77;

    start(80 * GIB);
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/max_fraction", "0.25"), 0);
    engine_events_free(engine_take_events(engine));
    refused(ask(engine, 0, &alice, 0, "1B 60 share=26", &why, &id), REFUSED_INVALID,
            "26 per cent of the time exceeds the limit for one partition; at most 25 is allowed.");
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "1B 60 share=26", &why, &id), REFUSED_INVALID,
            "at most 25");
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1B 60 share=26",
                    (struct creation_terms){.waits = true}, &id),
            REFUSED_INVALID, "at most 25");
    id = grant(engine, 0, &alice, 0, "1B 60 share=25");
    engine_events_free(engine_take_events(engine));
    refused(engine_set_compute(engine, CALL(0, &alice, &why), id, 250001), REFUSED_INVALID,
            "at most 25");
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &admin, &why), id, 1000000), 0);
    /* What it has, its owner keeps, or makes less. */
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &alice, &why), id, 900000), 0);
    engine_free(engine);
}
END_TEST

START_TEST(a_small_one_takes_the_time_of_those_that_come)
{
    start(80 * GIB);
    grant(engine, 0, &alice, 0, "0.1 60 share=80");
    grant(engine, 0, &bob, 0, "0.2 60");
    no_grant(0, &bob, "0.1 60", "0 is left");
    /* Those that were there before the first share count, too. */
    no_grant(0, &bob, "0.1 60 share=1", "0 is left");
    grant(engine, SECONDS(60), &bob, 0, "1 60");
    engine_free(engine);
}
END_TEST

START_TEST(what_was_there_counts_from_the_first_share_on)
{
    start(80 * GIB);
    grant(engine, 0, &alice, 0, "0.5 60");
    no_grant(0, &bob, "0.1 60 share=51", "50 is left");
    grant(engine, 0, &bob, 0, "0.1 60 share=50");
    engine_free(engine);
}
END_TEST

START_TEST(another_device_has_time)
{
    start(80 * GIB);
    add_device(engine, 80 * GIB, true);
    grant(engine, 0, &alice, 0, "0.1 60 share=90");
    uint64_t id = grant(engine, 0, &bob, ENGINE_DEVICE_ANY, "0.1 60 share=20");
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 1);
    grant(engine, 0, &alice, 1, "0.1 60 share=75");
    engine_events_free(engine_take_events(engine));
    refused(ask(engine, 0, &bob, ENGINE_DEVICE_ANY, "0.1 60 share=20", &why, &id), REFUSED_NO_SPACE,
            "Not enough time of gpu");
    engine_free(engine);
}
END_TEST

START_TEST(it_waits_for_time)
{
    start(80 * GIB);
    uint64_t first = grant(engine, 0, &alice, 0, "0.1 100 share=80");
    uint64_t second = waits(0, 1001, 0, "0.5 60", 0);
    uint64_t third = waits(0, 1002, 0, "0.2 60 share=20", 0);
    starts(second, 100, PARTITION_PENDING);
    starts(third, 0, PARTITION_ACTIVE);
    release(SECONDS(10), first);
    starts(second, 10, PARTITION_ACTIVE);
    engine_free(engine);
}
END_TEST

START_TEST(a_share_can_change)
{
    start(80 * GIB);
    uint64_t a = grant(engine, 0, &alice, 0, "0.5 100");
    uint64_t b = grant(engine, 0, &bob, 0, "0.25 100");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &alice, &why), a, 750000), 0);
    ck_assert_uint_eq(one_event(EVENT_COMPUTE)->after.shares[0].compute_ppm, 750000);
    refused(engine_set_compute(engine, CALL(0, &bob, &why), b, 260000), REFUSED_NO_SPACE,
            "26 per cent was asked for, 25 is left");
    refused(engine_set_compute(engine, CALL(0, &bob, &why), a, 1), REFUSED_OWNER, "owned by");
    refused(engine_set_compute(engine, CALL(0, &bob, &why), b, 1000001), REFUSED_INVALID, "100");
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &alice, &why), a, 0), 0);
    one_event(EVENT_COMPUTE);
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &bob, &why), b, 500000), 0);
    one_event(EVENT_COMPUTE);
    refused(engine_resize(engine, CALL(0, &alice, &why), a, 44 * GIB), REFUSED_NO_SPACE,
            "Not enough time");
    engine_free(engine);
}
END_TEST

START_TEST(less_time_lets_others_start)
{
    start(80 * GIB);
    uint64_t a = grant(engine, 0, &alice, 0, "0.1 100 share=80");
    uint64_t b = waits(0, 1001, 0, "0.5 60", 0);
    ck_assert_int_eq(engine_set_compute(engine, CALL(SECONDS(5), &alice, &why), a, 500000), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(5)), 0);
    starts(b, 5, PARTITION_ACTIVE);
    engine_free(engine);
}
END_TEST

START_TEST(no_more_time_beyond_the_end)
{
    start(80 * GIB);
    uint64_t a = grant(engine, 0, &alice, 0, "0.1 100 share=80");
    grant(engine, 0, &bob, 0, "0.1 50 share=20");
    struct creation_terms later = {.fixed = true, .start_ns = SECONDS(100)};
    uint64_t id;
    ck_assert_int_eq(enqueue(0, 1001, 0, "0.1 60 share=30", later, &id), 0);
    engine_events_free(engine_take_events(engine));
    refused(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(101)), REFUSED_NO_SPACE,
            "80 per cent was asked for, 70 is left");
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &alice, &why), a, 700000), 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(101)), 0);
    engine_free(engine);
}
END_TEST

START_TEST(undone_and_reverted)
{
    start(80 * GIB);
    uint64_t a = grant(engine, 0, &alice, 0, "0.1 100 share=80");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_set_compute(engine, CALL(0, &alice, &why), a, 1000), 0);
    grant(engine, 0, &bob, 0, "0.9 60");
    ck_assert_int_eq(engine_undo(engine), 0);
    ck_assert_uint_eq(share(a), 800000);
    no_grant(0, &bob, "0.3 60", "20 is left");
    ck_assert_int_eq(engine_release(engine, CALL(0, &alice, &why), a), 0);
    ck_assert_int_eq(engine_undo(engine), 0);
    no_grant(0, &bob, "0.3 60", "20 is left");
    engine_free(engine);
}
END_TEST

START_TEST(restored_as_it_was)
{
    struct partition p = {.id = 3, .uid = 1000, .state = PARTITION_ACTIVE, .share_count = 1};

    start(80 * GIB);
    p.shares[0] = (struct share){.memory_bytes = 8 * GIB};
    p.end_ns = SECONDS(100);
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    p.id = 4;
    p.shares[0].compute_ppm = 700000;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    no_grant(0, &bob, "0.5 60", "20 is left");
    p.id = 5;
    p.shares[0].compute_ppm = 1000001;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    engine_free(engine);
    /* Sums that a count of bytes does not hold. */
    start(INT64_MAX);
    p.shares[0] = (struct share){.memory_bytes = 1, .compute_ppm = 900000};
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    p.id = 6;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    engine_free(engine);
}
END_TEST

/* -- slots and modes ----------------------------------------------------------------- */

START_TEST(slots_bound_partitions_at_once)
{
    begin(80 * GIB, "timeslice 4");
    uint64_t first = grant(engine, 0, &alice, 0, "0.7 100");
    for (int i = 0; i < 3; i++)
        grant(engine, 0, &bob, 0, "0.05 100");
    no_grant(0, &bob, "0.05 60",
             "Not enough slots of gpu0: all 4 are taken; one is free from T100.");
    uint64_t id = waits(0, 1001, 0, "0.05 60", 0);
    starts(id, 100, PARTITION_PENDING);
    release(SECONDS(7), first);
    starts(id, 7, PARTITION_ACTIVE);
    engine_free(engine);
}
END_TEST

START_TEST(a_mode_changes_when_nothing_is_there)
{
    begin(80 * GIB, "timeslice 2");
    ck_assert_uint_eq(engine_sharing(engine, 0)->slots, 2);
    grant(engine, 0, &alice, 0, "0.5 100");
    grant(engine, 0, &bob, 0, "0.5 3600");
    engine_events_free(engine_take_events(engine));
    refused(engine_set(engine, CALL(0, &admin, &why), SHARED, "mps"), REFUSED_BUSY,
            "2 partitions are on gpu0 until T3600; release them first.");
    /* The same mode is no change. */
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), SHARED, " timeslice  2"), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    release(SECONDS(1), 1);
    engine_events_free(engine_take_events(engine));
    refused(engine_set(engine, CALL(SECONDS(1), &admin, &why), SHARED, "none"), REFUSED_BUSY,
            "1 partition is on gpu0 until T3600; release it first.");
    release(SECONDS(1), 2);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_set(engine, CALL(SECONDS(1), &admin, &why), SHARED, "mps memory=4096M"),
                     0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->value, "mps memory=4G");
    ck_assert_uint_eq(engine_sharing(engine, 0)->kind, SHARING_MPS);
    ck_assert_int_eq(engine_set(engine, CALL(SECONDS(1), &admin, &why), SHARED, "none"), 0);
    ck_assert_ptr_null(engine_setting(engine, SHARED));
    engine_free(engine);
}
END_TEST

START_TEST(a_mode_is_undone)
{
    begin(80 * GIB, "timeslice 1");
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), SHARED, "none"), 0);
    ck_assert_int_eq(engine_undo(engine), 0);
    ck_assert_uint_eq(engine_sharing(engine, 0)->slots, 1);
    grant(engine, 0, &alice, 0, "0.5 100");
    no_grant(0, &bob, "0.5 60", "Not enough slots");
    engine_free(engine);
}
END_TEST

/* The store gives settings before the devices of old partitions, and in any order. */
START_TEST(a_mode_is_restored_in_any_order)
{
    struct partition p = {.id = 3, .uid = 1000, .state = PARTITION_ACTIVE, .share_count = 1};

    p.shares[0] = (struct share){.memory_bytes = GIB};
    p.end_ns = SECONDS(100);
    for (int order = 0; order < 3; order++) {
        engine = new_engine();
        if (order != 0)
            shared_device(80 * GIB);
        if (order == 2)
            ck_assert_int_eq(engine_restore(engine, &p), 0);
        ck_assert_int_eq(engine_restore_setting(engine, SHARED, "timeslice 1"), 0);
        if (order == 0)
            shared_device(80 * GIB);
        if (order != 2)
            ck_assert_int_eq(engine_restore(engine, &p), 0);
        no_grant(0, &bob, "0.1 60", "Not enough slots of gpu0");
        engine_free(engine);
    }
    engine = new_engine();
    ck_assert_int_eq(engine_restore_setting(engine, SHARED, "timesplice 1"), -EINVAL);
    engine_free(engine);
}
END_TEST

/* -- against a plain count ------------------------------------------------------------- */

static uint64_t seed = 88172645463325252;

static uint32_t dice(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed % below);
}

/* Sum up what is promised at a moment. */
static void check_moment(int64_t at_ns)
{
    uint64_t bytes = 0, work = 0, count = 0;
    const struct partition *p;

    for (uint64_t after = 0; (p = engine_next(engine, after)); after = p->id) {
        if (p->start_ns > at_ns || p->end_ns <= at_ns)
            continue;
        const struct share *s = &p->shares[0];
        count++;
        bytes += s->memory_bytes;
        work += s->compute_ppm ? 1000 * (uint64_t)s->compute_ppm / 1000000 : s->memory_bytes;
    }
    ck_assert_uint_le(bytes, 1000);
    ck_assert_uint_le(work, 1000);
    ck_assert_uint_le(count, 6);
}

static void do_something(int64_t now_ns)
{
    uint64_t id = 1 + dice(60);
    char text[64];

    switch (dice(6)) {
    case 0:
        engine_set_compute(engine, CALL(now_ns, &admin, &why), id, dice(2) * dice(1000000));
        break;
    case 1:
        engine_resize(engine, CALL(now_ns, &admin, &why), id, 1 + dice(600));
        break;
    case 2:
        engine_set_end(engine, CALL(now_ns, &admin, &why), id, now_ns + SECONDS(1 + dice(90)));
        break;
    case 3:
        engine_release(engine, CALL(now_ns, &admin, &why), id);
        break;
    default:
        snprintf(text, sizeof(text), "%uB %u%s%u", 1 + dice(500), 1 + dice(90),
                 dice(2) ? " share=" : " name=n", 1 + dice(60));
        enqueue(now_ns, 1000 + dice(3), 0, text,
                (struct creation_terms){.waits = dice(2), .priority = dice(PRIORITIES)}, &id);
    }
}

START_TEST(no_moment_has_too_much)
{
    begin(1000, "timeslice 6");
    for (int64_t now_s = 0; now_s < 600; now_s++) {
        const struct partition *p;

        ck_assert_int_eq(engine_advance(engine, SECONDS(now_s)), 0);
        for (int i = 0; i < 3; i++)
            do_something(SECONDS(now_s));
        for (uint64_t after = 0; (p = engine_next(engine, after)); after = p->id)
            check_moment(p->start_ns > SECONDS(now_s) ? p->start_ns : SECONDS(now_s));
        if (dice(3) == 0)
            ck_assert_int_eq(engine_undo(engine), 0);
        engine_events_free(engine_take_events(engine));
    }
    engine_free(engine);
}
END_TEST

/* -- texts ------------------------------------------------------------------------------ */

START_TEST(modes_as_text)
{
    static const char *const good[][2] = {
        {"none", "none"},
        {"timeslice", "timeslice"},
        {" timeslice\t4 ", "timeslice 4"},
        {"mps", "mps"},
        {"mps memory=4G percentage=50", "mps percentage=50 memory=4G"},
        {"mps memory=1.5G", "mps memory=1536M"},
        {"mig", "mig"},
        {"mig 1g.18gb 4 3g.71gb", "mig 1g.18gb 4 3g.71gb 1"},
        {"mig 1g.10gb+me 1", "mig 1g.10gb+me 1"},
    };
    static const char *const bad[] = {
        "",
        "None",
        "slices",
        "none 1",
        "timeslice 0",
        "timeslice x",
        "timeslice 1025",
        "timeslice 4 4",
        "mps 50",
        "mps percentage=0",
        "mps percentage=101",
        "mps memory=0.5",
        "mps memory=1K",
        "mps memory=4G memory=4G",
        "mig 4",
        "mig 1g.18gb 0",
        "mig 1g.18gb 8",
        "mig 1g.18gb 1 1g.18gb 1",
        "mig 1g;rm 1",
        "mig 1g 1 2g 1 3g 1 4g 1 5g 1 6g 1 7g 1 8g 1",
    };
    struct sharing_mode mode, again;
    char text[SHARING_TEXT_MAX], message[ENGINE_MESSAGE_MAX];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(!sharing_mode_parse(good[i][0], &mode, message, sizeof(message)), "%s",
                      good[i][0]);
        ck_assert(sharing_mode_text(&mode, text));
        ck_assert_str_eq(text, good[i][1]);
        ck_assert_int_eq(sharing_mode_parse(text, &again, message, sizeof(message)), 0);
        ck_assert_mem_eq(&mode, &again, sizeof(mode));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(sharing_mode_parse(bad[i], &mode, message, sizeof(message)) ==
                          REFUSED_INVALID,
                      "%s", bad[i]);
        ck_assert_msg(is_sentence(message), "%s", message);
    }
}
END_TEST

START_TEST(shares_as_text)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } good[] = {{"70", 700000}, {"100", 1000000}, {"12.5", 125000},
                {"0.0001", 1},  {"1", 10000},     {"33.3333", 333333}},
      bad[] = {{"0", 0},       {"101", 0}, {"100.0001", 0}, {"", 0},    {".5", 0},  {"5.", 0},
               {"1.00001", 0}, {"7x", 0},  {"-1", 0},       {"1e1", 0}, {"5 0", 0}, {"0.00", 0}};
    char text[16], message[ENGINE_MESSAGE_MAX];
    uint32_t ppm;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_int_eq(sharing_mode_parse_share(good[i].text, strlen(good[i].text), &ppm, message,
                                                  sizeof(message)),
                         0);
        ck_assert_uint_eq(ppm, good[i].ppm);
        sharing_mode_share_text(ppm, text, sizeof(text));
        ck_assert_str_eq(text, good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(sharing_mode_parse_share(bad[i].text, strlen(bad[i].text), &ppm, message,
                                               sizeof(message)) == REFUSED_INVALID,
                      "%s", bad[i].text);
}
END_TEST

int main(void)
{
    return check_main(
        "compute", NULL, NULL, without_shares_only_memory_counts, seventy_and_thirty_of_two_halves,
        the_limit_for_one_partition_is_for_time_too, a_small_one_takes_the_time_of_those_that_come,
        what_was_there_counts_from_the_first_share_on, another_device_has_time, it_waits_for_time,
        a_share_can_change, less_time_lets_others_start, no_more_time_beyond_the_end,
        undone_and_reverted, restored_as_it_was, slots_bound_partitions_at_once,
        a_mode_changes_when_nothing_is_there, a_mode_is_undone, a_mode_is_restored_in_any_order,
        no_moment_has_too_much, modes_as_text, shares_as_text);
}
