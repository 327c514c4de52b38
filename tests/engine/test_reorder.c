/* SPDX-License-Identifier: Apache-2.0 */
/* Fair order within promises: what config/promise_slack lets go first, and what it does not. */
#include "waiting_fixture.h"

static void slack(const char *value)
{
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/promise_slack", value), 0);
}

static uint64_t asks(int64_t now_ns, uint32_t uid, uint32_t priority)
{
    uint64_t id = of_class(now_ns, uid, "1 100", priority);

    ck_assert_int_eq(engine_advance(engine, now_ns), 0);
    return id;
}

static void is_planned(uint64_t id, int64_t start, int64_t promised)
{
    ck_assert_int_eq(start_s(id), start);
    ck_assert_int_eq(engine_waiting(engine, id)->promised_ns, SECONDS(promised));
}

START_TEST(without_slack)
{
    start(100 * GIB);
    asks(0, 1000, PRIORITY_NORMAL);
    uint64_t b = asks(0, 1001, PRIORITY_NORMAL), c = asks(0, 1002, PRIORITY_HIGH);
    is_planned(b, 100, 100);
    is_planned(c, 200, 200);
}
END_TEST

START_TEST(high_goes_first)
{
    start(100 * GIB);
    slack("1");
    asks(0, 1000, PRIORITY_NORMAL);
    uint64_t b = asks(0, 1001, PRIORITY_NORMAL), c = asks(0, 1002, PRIORITY_HIGH);
    is_planned(b, 200, 200);
    is_planned(c, 100, 400);
    /* Two would make the other late, so that goes first. */
    uint64_t d = asks(0, 1003, PRIORITY_HIGH);
    is_planned(b, 100, 200);
    is_planned(c, 200, 400);
    is_planned(d, 300, 600);
    uint64_t e = asks(0, 1004, PRIORITY_LOW);
    is_planned(e, 400, 800);
    ck_assert_int_eq(engine_advance(engine, SECONDS(200)), 0);
    is_planned(d, 300, 600);
    uint64_t f = asks(SECONDS(200), 1005, PRIORITY_NORMAL);
    is_planned(e, 500, 800);
    is_planned(f, 400, 800);
}
END_TEST

/* A class changes the order at once, but no promise. */
START_TEST(changed_class)
{
    start(100 * GIB);
    slack("0.5");
    asks(0, 1000, PRIORITY_NORMAL);
    uint64_t b = asks(0, 1001, PRIORITY_NORMAL), c = asks(0, 1002, PRIORITY_NORMAL);
    uint64_t d = asks(0, 1003, PRIORITY_NORMAL);
    is_planned(b, 100, 150);
    is_planned(c, 200, 300);
    is_planned(d, 300, 450);
    ck_assert_int_eq(engine_set_priority(engine, CALL(0, &admin, &why), d, PRIORITY_HIGH), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), INT64_MIN);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    is_planned(b, 100, 150);
    is_planned(d, 200, 450);
    is_planned(c, 300, 300);
}
END_TEST

/* An appointment is no part of it. */
START_TEST(fixed_stays)
{
    struct creation_terms terms = {.waits = true, .fixed = true, .start_ns = SECONDS(100)};
    uint64_t b = 0;

    start(100 * GIB);
    slack("10");
    asks(0, 1000, PRIORITY_NORMAL);
    ck_assert_int_eq(enqueue(0, 1001, 0, "1 100", terms, &b), 0);
    uint64_t c = asks(0, 1002, PRIORITY_HIGH);
    is_planned(b, 100, 100);
    is_planned(c, 200, 2200);
}
END_TEST

/* A promise is never later than what can be stored. */
START_TEST(far_promises)
{
    start(100 * GIB);
    slack("100");
    waits(0, 1000, 0, "1 36500d", 1);
    uint64_t b = waits(0, 1001, 0, "1 100", 1);
    ck_assert_int_eq(engine_find(engine, b)->start_ns, DURATION_MAX_NS);
    ck_assert_int_eq(engine_waiting(engine, b)->promised_ns, ENGINE_TIME_MAX);
}
END_TEST

/* Without slack, what was promised with it is kept from then on. */
START_TEST(slack_taken_away)
{
    start(100 * GIB);
    slack("1");
    uint64_t a = asks(0, 1000, PRIORITY_NORMAL), b = asks(0, 1001, PRIORITY_NORMAL);
    slack("0");
    uint64_t c = asks(0, 1002, PRIORITY_HIGH);
    is_planned(b, 100, 200);
    is_planned(c, 200, 200);
    release(SECONDS(10), a);
    starts(b, 10, PARTITION_ACTIVE);
    is_planned(c, 200, 200);
}
END_TEST

START_TEST(words_of_slack)
{
    static const char *const good[][2] = {{"1.5", "1.5"},   {"0.000001", "0.000001"},
                                          {"100", "100"},   {"0100.0", "100"},
                                          {"default", "0"}, {"2.50", "2.5"}};
    static const char *const bad[] = {"-1", "x", ".5", "1.", "1.0000001", "100.1", "1e3", "5 "};

    start(100 * GIB);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        slack(good[i][0]);
        const char *is = engine_setting(engine, "config/promise_slack");
        ck_assert_str_eq(is ? is : "0", good[i][1]);
    }
    engine_events_free(engine_take_events(engine));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(engine_set(engine, CALL(0, &admin, &why), "config/promise_slack", bad[i]),
                REFUSED_INVALID, "is a number from 0 to 100, such as 0.5.");
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    return check_main("reorder", NULL, stop, without_slack, high_goes_first, changed_class,
                      fixed_stays, far_promises, slack_taken_away, words_of_slack);
}
