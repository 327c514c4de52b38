/* SPDX-License-Identifier: Apache-2.0 */
/* High requests in the room of low leases: who is taken, what is kept of them, and what is not. */
#include "waiting_fixture.h"

static void set(const char *key, const char *value)
{
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), key, value), 0);
}

static void begin(void)
{
    start(100 * GIB);
    set("config/preempt", "end");
}

static uint64_t asks(int64_t now_ns, const char *text, uint32_t priority)
{
    return of_class(now_ns, 1000, text, priority);
}

/* Whether something was preempted, and waits again from then on. */
static void waits_again(uint64_t id, int64_t start, int64_t end)
{
    starts(id, start, PARTITION_PENDING);
    ck_assert_int_eq(engine_find(engine, id)->end_ns, SECONDS(end));
}

START_TEST(not_by_default)
{
    start(100 * GIB);
    uint64_t low = asks(0, "1 100", PRIORITY_LOW), high = asks(SECONDS(10), "1 50", PRIORITY_HIGH);
    starts(low, 0, PARTITION_ACTIVE);
    starts(high, 100, PARTITION_PENDING);
    engine_events_free(engine_take_events(engine));
    refused(engine_set(engine, CALL(0, &admin, &why), "config/preempt", "suspend"), REFUSED_INVALID,
            "Nothing can be suspended yet; write off or end.");
    refused(engine_set(engine, CALL(0, &admin, &why), "config/preempt", "x"), REFUSED_INVALID,
            "off or end");
}
END_TEST

START_TEST(the_rest_waits_again)
{
    begin();
    uint64_t low = asks(1, "1 100", PRIORITY_LOW);
    uint64_t other = asks(2, "1 100", PRIORITY_LOW), normal = asks(3, "1 10", PRIORITY_NORMAL);
    engine_events_free(engine_take_events(engine));
    uint64_t high = asks(SECONDS(10) + 7, "1 50", PRIORITY_HIGH);
    starts(high, 10, PARTITION_ACTIVE);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(events->kind, EVENT_PREEMPTED);
    ck_assert_int_eq(events->before.state, PARTITION_ACTIVE);
    ck_assert_int_eq(events->after.state, PARTITION_PENDING);
    ck_assert_uint_eq(events->waiting_after.priority, PRIORITY_LOW);
    ck_assert_int_eq(events->waiting_after.asked_ns, 1);
    ck_assert_int_eq(events->next->kind, EVENT_CREATED);
    engine_events_free(events);
    const struct partition *p = engine_find(engine, low);
    ck_assert_int_eq(p->end_ns - p->start_ns, SECONDS(90) - 6); /* to the nanosecond */
    ck_assert_int_eq(engine_find(engine, other)->start_ns, SECONDS(100) + 1); /* not moved */
    ck_assert_int_ge(p->start_ns, engine_find(engine, normal)->end_ns);
    /* It came first of its class. */
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(20), &admin, &why), other), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(20)), 0);
    ck_assert_int_eq(engine_find(engine, low)->start_ns, engine_find(engine, normal)->end_ns);
}
END_TEST

START_TEST(fewest_and_last)
{
    begin();
    uint64_t a = asks(0, "0.3 100", PRIORITY_LOW), b = asks(SECONDS(1), "0.3 100", PRIORITY_LOW);
    uint64_t c = asks(SECONDS(2), "0.1 100", PRIORITY_LOW);
    uint64_t d = asks(SECONDS(3), "0.3 100", PRIORITY_NORMAL);
    uint64_t high = asks(SECONDS(10), "0.3 10", PRIORITY_HIGH);
    starts(high, 10, PARTITION_ACTIVE);
    waits_again(b, 20, 111); /* one is enough, and it began after the other */
    starts(a, 0, PARTITION_ACTIVE);
    starts(c, 2, PARTITION_ACTIVE);
    /* Not with a normal one, and not in the place of a promise. */
    starts(asks(SECONDS(11), "0.8 10", PRIORITY_HIGH), 111, PARTITION_PENDING);
    starts(d, 3, PARTITION_ACTIVE);
}
END_TEST

/* Where it ends before the high one, nothing may be promised. */
START_TEST(the_rest_must_be_free)
{
    begin();
    uint64_t low = asks(0, "1 100", PRIORITY_LOW), next = asks(0, "1 100", PRIORITY_NORMAL);
    starts(asks(0, "1 101", PRIORITY_HIGH), 200, PARTITION_PENDING);
    starts(low, 0, PARTITION_ACTIVE);
    starts(asks(0, "1 100", PRIORITY_HIGH), 0, PARTITION_ACTIVE);
    starts(next, 100, PARTITION_PENDING);
    ck_assert_uint_eq(engine_find(engine, low)->state, PARTITION_PENDING);
}
END_TEST

START_TEST(not_twice_in_a_row)
{
    begin();
    set("config/preempt_min", "60");
    uint64_t low = asks(0, "1 100", PRIORITY_LOW);
    asks(SECONDS(10), "1 10", PRIORITY_HIGH);
    waits_again(low, 20, 110);
    ck_assert_int_eq(engine_advance(engine, SECONDS(20)), 0);
    uint64_t high = asks(SECONDS(69), "1 10", PRIORITY_HIGH);
    starts(high, 110, PARTITION_PENDING);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(69), &admin, &why), high), 0);
    high = asks(SECONDS(70), "1 10", PRIORITY_HIGH);
    starts(high, 70, PARTITION_ACTIVE);
    waits_again(low, 80, 120);
}
END_TEST

START_TEST(gangs_whole)
{
    uint64_t gang = 0;

    begin();
    add_device(engine, 100 * GIB, true);
    ck_assert_int_eq(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 100",
                             (struct creation_terms){.waits = true, .gpus = 2}, &gang),
                     0);
    starts(asks(SECONDS(10), "1 10", PRIORITY_HIGH), 10, PARTITION_ACTIVE);
    waits_again(gang, 20, 110);
    ck_assert_uint_eq(engine_available(engine, 1, SECONDS(10)), 100 * GIB);
    /* A gang takes room on each of its devices. */
    ck_assert_int_eq(engine_advance(engine, SECONDS(20)), 0);
    set("config/preempt_min", "0");
    uint64_t high = 0;
    ck_assert_int_eq(engine_advance(engine, SECONDS(700)), 0);
    uint64_t a = asks(SECONDS(700), "0.5 100", PRIORITY_LOW), b = 0;
    ck_assert_int_eq(
        enqueue(SECONDS(700), 1000, 1, "0.5 100", (struct creation_terms){.waits = true}, &b), 0);
    ck_assert_int_eq(
        enqueue(SECONDS(700), 1000, ENGINE_DEVICE_ANY, "1 10",
                (struct creation_terms){.waits = true, .gpus = 2, .priority = PRIORITY_HIGH},
                &high),
        0);
    starts(high, 700, PARTITION_ACTIVE);
    waits_again(a, 710, 810);
    waits_again(b, 710, 810);
}
END_TEST

START_TEST(reverted_and_restored)
{
    begin();
    uint64_t low = asks(0, "1 100", PRIORITY_LOW);
    struct partition p = *engine_find(engine, low);
    struct engine_event *events = engine_take_events(engine), *last = events;
    while (last->next)
        last = last->next;
    struct waiting w = last->waiting_after;
    engine_events_free(events);
    ck_assert(waiting_is_kept(&w, p.state));
    uint64_t high = asks(SECONDS(10), "1 10", PRIORITY_HIGH);
    events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    starts(low, 0, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_find(engine, low)->end_ns, SECONDS(100));
    ck_assert_ptr_null(engine_find(engine, high));
    starts(asks(SECONDS(10), "1 10", PRIORITY_HIGH), 10, PARTITION_ACTIVE); /* once more */
    engine = engine_free(engine);
    begin();
    ck_assert_int_eq(engine_restore_waiting(engine, &p, &w), 0);
    w.priority = PRIORITY_NORMAL;
    p.id = 2;
    ck_assert_int_eq(engine_restore_waiting(engine, &p, &w), -EINVAL);
    engine_restore_counters(engine, 5, 50);
    starts(asks(SECONDS(10), "1 10", PRIORITY_HIGH), 10, PARTITION_ACTIVE);
    waits_again(low, 20, 110);
}
END_TEST

static int set_class(int64_t now_ns, uint64_t id, uint32_t priority)
{
    return engine_set_priority(engine, CALL(now_ns, &admin, &why), id, priority);
}

/* One that waits already, and is raised to high, need not wait longer than one that comes high. */
START_TEST(raised_to_high)
{
    begin();
    uint64_t low = asks(0, "1 100", PRIORITY_LOW), other = asks(1, "1 100", PRIORITY_NORMAL);
    uint64_t id = asks(2, "1 50", PRIORITY_LOW);
    ck_assert_int_eq(set_class(SECONDS(10), id, PRIORITY_NORMAL), 0);
    starts(low, 0, PARTITION_ACTIVE);
    starts(id, 200, PARTITION_PENDING);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(set_class(SECONDS(10), id, PRIORITY_HIGH), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(10)), 0);
    starts(id, 10, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_find(engine, id)->end_ns, SECONDS(60));
    starts(other, 60, PARTITION_PENDING); /* nothing that was promised is later */
    waits_again(low, 160, 250);
    struct engine_event *events = engine_take_events(engine);
    const enum event_kind kinds[] = {EVENT_PRIORITY, EVENT_PREEMPTED, EVENT_MOVED};
    const struct engine_event *event = events;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++, event = event->next) {
        ck_assert_ptr_nonnull(event);
        ck_assert_int_eq(event->kind, kinds[i]);
    }
    ck_assert_int_eq(events->next->waiting_after.spared_ns, SECONDS(610));
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    starts(low, 0, PARTITION_ACTIVE);
    starts(id, 200, PARTITION_PENDING);
    /* Where it would move a promise, it waits in its place. */
    uint64_t longer = asks(SECONDS(10), "1 101", PRIORITY_NORMAL);
    starts(longer, 250, PARTITION_PENDING);
    ck_assert_int_eq(set_class(SECONDS(10), longer, PRIORITY_HIGH), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(10)), 0);
    starts(longer, 250, PARTITION_PENDING);
    starts(low, 0, PARTITION_ACTIVE);
}
END_TEST

/* A suggestion, and a check, end no lease. */
START_TEST(checks_take_nothing)
{
    struct request request = {.amount = {true, 1, 1, 0}, .duration_ns = SECONDS(10)};
    struct creation creation = {.request = &request, .device = 0, .owner_uid = 1000};
    struct creation_terms terms = {.waits = true, .priority = PRIORITY_HIGH};
    struct partition p;

    begin();
    uint64_t low = asks(0, "1 100", PRIORITY_LOW);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(
        engine_check_create(engine, CALL(SECONDS(1), &admin, &why), &creation, &terms, &p), 0);
    ck_assert_int_eq(p.start_ns, SECONDS(100)); /* as it would be without */
    ck_assert_ptr_null(engine_take_events(engine));
    starts(low, 0, PARTITION_ACTIVE);
}
END_TEST

/* A request that need not wait at once, or for a moment, takes nothing. */
START_TEST(who_takes_nothing)
{
    struct creation_terms fixed = {
        .waits = true, .fixed = true, .start_ns = SECONDS(5), .priority = PRIORITY_HIGH};
    struct creation_terms now = {.priority = PRIORITY_HIGH};
    uint64_t id = 0;

    begin();
    uint64_t low = asks(0, "0.6 100", PRIORITY_LOW);
    starts(asks(0, "0.4 100", PRIORITY_HIGH), 0, PARTITION_ACTIVE);
    engine_events_free(engine_take_events(engine));
    refused(enqueue(0, 1000, 0, "0.5 100", fixed, &id), REFUSED_NO_SPACE, "cannot start at T5");
    refused(enqueue(0, 1000, 0, "0.5 100", now, &id), REFUSED_NO_SPACE, "");
    starts(asks(0, "0.5 100", PRIORITY_NORMAL), 100, PARTITION_PENDING);
    starts(low, 0, PARTITION_ACTIVE);
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    return check_main("preempt", NULL, stop, not_by_default, the_rest_waits_again, fewest_and_last,
                      the_rest_must_be_free, not_twice_in_a_row, gangs_whole, reverted_and_restored,
                      raised_to_high, checks_take_nothing, who_takes_nothing);
}
