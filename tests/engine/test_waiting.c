/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait, one promise at a time: what is shown when, who goes first, and what moves
 * whom. plan_model.c tries everything else.
 */
#include "waiting_fixture.h"

START_TEST(second_waits_for_the_first)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "0.6 100", 0), b = waits(SECONDS(1), 1001, 0, "0.6 50", 0);
    starts(a, 0, PARTITION_ACTIVE);
    starts(b, 100, PARTITION_PENDING);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(100));
    ck_assert_uint_eq(engine_waiting_count(engine), 1);
    ck_assert_str_eq(kinds(), "cc");
    release(SECONDS(10), a);
    starts(b, 10, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_find(engine, b)->end_ns, SECONDS(60));
    ck_assert_str_eq(kinds(), "vms");
    ck_assert_ptr_null(engine_waiting(engine, b));
}
END_TEST

START_TEST(start_on_time)
{
    start(100 * GIB);
    waits(0, 1000, 0, "1 100", 0);
    uint64_t b = waits(0, 1001, 0, "1 50 warn=60", 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(100) - 1), 0);
    starts(b, 100, PARTITION_PENDING);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_advance(engine, SECONDS(130)), 0); /* late, but it starts at its time */
    starts(b, 100, PARTITION_EXPIRING);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(events->kind, EVENT_EXPIRED);
    ck_assert_int_eq(events->next->kind, EVENT_STARTED);
    ck_assert_int_eq(events->next->at_ns, SECONDS(100));
    ck_assert_int_eq(events->next->next->kind, EVENT_WARNED);
    ck_assert_int_eq(events->next->next->at_ns, SECONDS(100));
    engine_events_free(events);
}
END_TEST

/* A window that passed while nothing advanced is over; it started and ended. */
START_TEST(missed_window)
{
    start(100 * GIB);
    waits(0, 1000, 0, "1 100", 0);
    waits(0, 1001, 0, "1 50", 0);
    ck_assert_str_eq(kinds(), "cc");
    ck_assert_int_eq(engine_advance(engine, SECONDS(1000)), 0);
    ck_assert_str_eq(kinds(), "xsx");
    ck_assert_uint_eq(engine_count(engine), 0);
}
END_TEST

/* Three devices, requests (devices, time): (1,10) (1,10) (2,10) (3,6) (1,30). */
START_TEST(gangs_keep_their_place)
{
    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    add_device(engine, 100 * GIB, true);
    uint64_t a = waits(0, 1000, ENGINE_DEVICE_ANY, "1 10", 1);
    uint64_t b = waits(0, 1001, ENGINE_DEVICE_ANY, "1 10", 1);
    uint64_t c = waits(SECONDS(1), 1002, ENGINE_DEVICE_ANY, "1 10", 2);
    uint64_t d = waits(SECONDS(2), 1003, ENGINE_DEVICE_ANY, "1 6", 3);
    uint64_t e = waits(SECONDS(3), 1004, ENGINE_DEVICE_ANY, "1 30", 1);
    starts(a, 0, PARTITION_ACTIVE);
    starts(b, 0, PARTITION_ACTIVE);
    starts(c, 10, PARTITION_PENDING);
    starts(d, 20, PARTITION_PENDING);
    starts(e, 26, PARTITION_PENDING);
    ck_assert_uint_eq(engine_find(engine, c)->share_count, 2);
    ck_assert_uint_eq(engine_find(engine, d)->share_count, 3);
    release(SECONDS(4), d);
    starts(e, 4, PARTITION_ACTIVE);
}
END_TEST

/* Small requests that never stop do not keep a large one from its promise. */
START_TEST(stream_of_small_ones)
{
    start(100 * GIB);
    waits(0, 1000, 0, "0.5 100", 0);
    uint64_t whole = waits(0, 1001, 0, "1 100", 0);
    starts(whole, 100, PARTITION_PENDING);
    for (int64_t t = 0; t < 100; t++) {
        waits(SECONDS(t), 1002, 0, "0.25 60", 0);
        ck_assert_int_eq(engine_advance(engine, SECONDS(t)), 0);
        ck_assert_int_le(start_s(whole), 100);
    }
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    starts(whole, 100, PARTITION_ACTIVE);
}
END_TEST

START_TEST(fixed_start)
{
    struct creation_terms terms = {.waits = true, .fixed = true, .start_ns = SECONDS(50)};
    uint64_t a = 0, b = 0;

    start(100 * GIB);
    ck_assert_int_eq(enqueue(0, 1000, 0, "1 50", terms, &a), 0);
    starts(a, 50, PARTITION_PENDING);
    ck_assert_str_eq(kinds(), "c");
    refused(enqueue(0, 1001, 0, "1 50", terms, &b), REFUSED_NO_SPACE, "the next start is T100");
    terms.start_ns = SECONDS(-1);
    refused(enqueue(0, 1001, 0, "1 50", terms, &b), REFUSED_INVALID, "in the past");
    terms.start_ns = SECONDS(100); /* adjacent */
    ck_assert_int_eq(enqueue(0, 1001, 0, "1 50", terms, &b), 0);
    starts(waits(0, 1002, 0, "1 50", 0), 0, PARTITION_ACTIVE);
    release(SECONDS(20), 3);
    starts(a, 50, PARTITION_PENDING); /* stays, although there is room */
    release(SECONDS(20), a);
    starts(b, 100, PARTITION_PENDING);
}
END_TEST

START_TEST(gives_up)
{
    uint64_t id = 0;

    start(100 * GIB);
    waits(0, 1000, 0, "1 100", 0);
    ck_assert_int_eq(enqueue(0, 1001, 0, "1 50",
                             (struct creation_terms){.waits = true, .give_up_ns = SECONDS(30)},
                             &id),
                     0);
    uint64_t c = waits(0, 1002, 0, "1 50", 0);
    starts(c, 150, PARTITION_PENDING);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(30));
    ck_assert_str_eq(kinds(), "ccc");
    ck_assert_int_eq(engine_advance(engine, SECONDS(40)), 0);
    const struct engine_event *event = NULL;
    struct engine_event *events = engine_take_events(engine);
    event = events;
    ck_assert_int_eq(event->kind, EVENT_GAVE_UP);
    ck_assert_int_eq(event->at_ns, SECONDS(30));
    ck_assert_int_eq(event->after.start_ns, event->after.end_ns);
    ck_assert_int_eq(event->next->kind, EVENT_MOVED);
    engine_events_free(events);
    starts(c, 100, PARTITION_PENDING);
    ck_assert(!engine_is_known(engine, id));
}
END_TEST

static int usage[2];

static int by_usage(void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return usage[a % 2] - usage[b % 2];
}

/* Room for one of two: to the user who had less, of the higher class first. */
START_TEST(fair_order)
{
    start(100 * GIB);
    engine_set_rules(engine, &(struct engine_rules){.order = by_usage, .forward = 100});
    uint64_t a = waits(0, 1000, 0, "1 100", 0);
    uint64_t b = waits(0, 1000, 0, "1 50", 0), c = waits(0, 1001, 0, "1 50", 0);
    usage[0] = 10;
    release(SECONDS(5), a);
    starts(c, 5, PARTITION_ACTIVE);
    starts(b, 55, PARTITION_PENDING);
    uint64_t d = of_class(SECONDS(6), 1000, "1 40", PRIORITY_HIGH);
    uint64_t e = of_class(SECONDS(6), 1001, "1 40", PRIORITY_LOW);
    starts(d, 105, PARTITION_PENDING);
    release(SECONDS(7), c);
    starts(d, 7, PARTITION_ACTIVE);
    starts(b, 47, PARTITION_PENDING);
    starts(e, 97, PARTITION_PENDING);
}
END_TEST

/* With equal usage the one who came first. */
START_TEST(equal_usage)
{
    usage[0] = usage[1] = 3;
    start(100 * GIB);
    engine_set_rules(engine, &(struct engine_rules){.order = by_usage, .forward = 100});
    uint64_t a = waits(0, 1000, 0, "1 100", 0);
    uint64_t b = waits(SECONDS(1), 1001, 0, "1 50", 0);
    uint64_t c = waits(SECONDS(2), 1000, 0, "1 50", 0);
    uint64_t d = waits(SECONDS(3), 1001, 0, "1 50", 0);
    release(SECONDS(5), a);
    starts(b, 5, PARTITION_ACTIVE);
    starts(c, 55, PARTITION_PENDING);
    starts(d, 105, PARTITION_PENDING);
}
END_TEST

START_TEST(shrink_and_grow)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "0.5 100", 0), b = waits(0, 1001, 0, "0.6 50", 0);
    struct caller caller = {.uid = 1001};

    starts(b, 100, PARTITION_PENDING);
    ck_assert_str_eq(kinds(), "cc");
    refused(engine_resize(engine, CALL(0, &caller, &why), b, 101 * GIB), REFUSED_NO_SPACE,
            "at most 1.00");
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &caller, &why), b, SECONDS(200)), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &caller, &why), b, 50 * GIB), 0);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    starts(b, 0, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_find(engine, b)->end_ns, SECONDS(100));
    ck_assert_int_eq(engine_find(engine, a)->end_ns, SECONDS(100));
}
END_TEST

/* An extension gets what nothing was promised, and no more. */
START_TEST(extension_stops_at_a_promise)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "0.6 100", 0), b = waits(0, 1001, 0, "0.6 50", 0);
    struct caller caller = {.uid = 1000};

    starts(b, 100, PARTITION_PENDING);
    engine_events_free(engine_take_events(engine));
    refused(engine_set_end(engine, CALL(0, &caller, &why), a, SECONDS(101)), REFUSED_NO_SPACE,
            "p1 can have no more time: p2 of uid 1001 starts at T100.");
    ck_assert_int_eq(engine_release(engine, CALL(0, &admin, &why), b), 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &caller, &why), a, SECONDS(101)), 0);
}
END_TEST

/* Work that was not finished wakes the engine at once, and newcomers come after it. */
START_TEST(pass_in_portions)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "1 100", 0);
    for (int i = 0; i < 20; i++)
        waits(0, 1001, 0, "1 10", 0);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &admin, &why), a), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), INT64_MIN);
    ck_assert_int_eq(engine_advance_some(engine, SECONDS(1), 4), 0);
    ck_assert(!engine_plan_is_finished(engine));
    uint64_t last = waits(SECONDS(1), 1002, 0, "1 10", 0);
    ck_assert(engine_plan_is_finished(engine));
    starts(last, 201, PARTITION_PENDING);
    ck_assert_int_eq(engine_advance(engine, SECONDS(1)), 0);
    starts(2, 1, PARTITION_ACTIVE);
    starts(21, 191, PARTITION_PENDING);
}
END_TEST

/* The loop looks at the clock between portions: a portion of events is few steps. */
START_TEST(steps_of_a_portion)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "1 100", 0);
    for (int i = 0; i < 20; i++)
        waits(0, 1001, 0, "1 10", 0);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &admin, &why), a), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_advance_some(engine, SECONDS(1), 64), 0);
    ck_assert(!engine_plan_is_finished(engine));
    struct engine_event *events = engine_take_events(engine);
    int count = 0;
    for (const struct engine_event *event = events; event; event = event->next)
        count++;
    engine_events_free(events);
    ck_assert_int_le(count, 4);
}
END_TEST

/* A gang that has no room on the device that something was freed on is tried once in a pass. */
START_TEST(gangs_without_room)
{
    const int gangs = 50;
    int steps = 0;

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    for (uint32_t device = 0; device < 2; device++)
        waits(0, 1000, device, "0.9 100", 0);
    uint64_t rest = waits(0, 1000, 0, "0.1 100", 0);
    for (int i = 0; i < gangs; i++)
        waits(0, 1001, ENGINE_DEVICE_ANY, "0.5 10", 2);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &admin, &why), rest), 0);
    for (; !engine_plan_is_finished(engine); steps++)
        ck_assert_int_eq(engine_advance_some(engine, SECONDS(1), 1), 0);
    ck_assert_int_le(steps, gangs + 10);
}
END_TEST

static uint64_t comparisons;

static int count_comparisons(void *context, uint32_t a, uint32_t b)
{
    (void)context;
    comparisons++;
    return (a > b) - (a < b);
}

static int64_t not_before_a_while(void *context, const struct partition *partition, int64_t from_ns,
                                  int64_t before_ns, int64_t duration_ns)
{
    int64_t earliest_ns = from_ns > SECONDS(1000) ? from_ns : SECONDS(1000);

    (void)context;
    (void)partition;
    (void)duration_ns;
    return earliest_ns < before_ns ? earliest_ns : ENGINE_FOREVER;
}

/* Many whose quotas hold them back cost a request each, not a request times their accounts. */
START_TEST(held_back_by_quotas)
{
    const uint32_t persons = 100, each = 10;
    const uint64_t requests = (uint64_t)persons * each;
    int steps = 0;

    start(100 * GIB);
    uint64_t freed = waits(0, 1000, 0, "0.1 100", 0);
    engine_set_rules(engine, &(struct engine_rules){.order = count_comparisons,
                                                    .limit = not_before_a_while,
                                                    .forward = 1});
    for (uint32_t i = 0; i < requests; i++)
        waits(0, 2000 + i % persons, i % 2 ? ENGINE_DEVICE_ANY : 0, "0.0001 10", 0);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &admin, &why), freed), 0);
    comparisons = 0;
    for (; !engine_plan_is_finished(engine); steps++)
        ck_assert_int_eq(engine_advance_some(engine, SECONDS(1), 1), 0);
    ck_assert_uint_ge((uint64_t)steps, requests); /* each was tried, in fair order */
    ck_assert_uint_le(comparisons, 20 * requests);
    starts(freed + 1, 1000, PARTITION_PENDING);
}
END_TEST

START_TEST(revert_gives_places_back)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "1 100", 0), b = waits(0, 1001, 0, "1 50", 0);
    uint64_t c = waits(0, 1002, 0, "1 50", 0);
    engine_events_free(engine_take_events(engine));
    release(SECONDS(10), a);
    release(SECONDS(10), c);
    starts(b, 10, PARTITION_ACTIVE);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    starts(a, 0, PARTITION_ACTIVE);
    starts(b, 100, PARTITION_PENDING);
    starts(c, 150, PARTITION_PENDING);
    ck_assert_int_eq(engine_advance(engine, SECONDS(10)), 0);
    starts(b, 100, PARTITION_PENDING);
}
END_TEST

START_TEST(restored_places)
{
    const struct caller rank = {.uid = 1000};
    struct partition p;
    struct waiting w;

    start(100 * GIB);
    waits(0, 1000, 0, "1 100", 0);
    uint64_t b = waits(0, 1001, 0, "1 50", 0);
    p = *engine_find(engine, b);
    w = *engine_waiting(engine, b);
    engine = engine_free(engine);
    start(100 * GIB);
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    ck_assert_int_eq(engine_restore_waiting(engine, &p, &(struct waiting){0}), -EINVAL);
    ck_assert_int_eq(engine_restore_waiting(engine, &p, &w), 0);
    starts(b, 100, PARTITION_PENDING);
    ck_assert_int_eq(engine_advance(engine, SECONDS(1)), 0); /* nothing is in its way any more */
    starts(b, 1, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &rank, &why), b), REFUSED_OWNER);
}
END_TEST

START_TEST(refusals)
{
    static const uint32_t twice[] = {0, 0}, missing[] = {0, 7};
    struct creation_terms now = {.gpus = 2}, wait = {.waits = true, .gpus = 2};
    uint64_t id = 0;

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    waits(0, 1000, 0, "0.5 100", 0);
    ck_assert_str_eq(kinds(), "c");
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", now, &id), REFUSED_NO_SPACE,
            "it was asked for on 2 devices at once; so many have it from T100.");
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "101G 10", wait, &id), REFUSED_NO_SPACE, "never");
    wait.devices = twice;
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", wait, &id), REFUSED_INVALID, "twice");
    wait.devices = missing;
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", wait, &id), REFUSED_INVALID, "no gpu7");
    wait = (struct creation_terms){.waits = true, .gpus = SHARE_MAX + 1};
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", wait, &id), REFUSED_INVALID, "at most 8");
    wait = (struct creation_terms){.waits = true, .priority = PRIORITIES};
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", wait, &id), REFUSED_INVALID, "priority");
    wait = (struct creation_terms){.waits = true, .gpus = 3};
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "1 10", wait, &id), REFUSED_BUSY, "2 are present");
}
END_TEST

static uint32_t placed_on(const char *text)
{
    uint64_t id = 0;

    ck_assert_int_eq(enqueue(0, 1000, ENGINE_DEVICE_ANY, text, (struct creation_terms){0}, &id), 0);
    return engine_find(engine, id)->shares[0].device;
}

START_TEST(choice_of_device)
{
    start(100 * GIB);
    for (int i = 0; i < 3; i++)
        add_device(engine, 100 * GIB, true);
    ck_assert_uint_eq(placed_on("0.4 10 prefer=gpu2"), 2);
    ck_assert_uint_eq(placed_on("0.1 10"), 2);
    ck_assert_uint_eq(placed_on("0.1 10 spread"), 0); /* three are free */
    ck_assert_uint_eq(placed_on("0.1 10 spread"), 0); /* two are, and stay free */
    ck_assert_uint_eq(placed_on("1 10 spread"), 1);
    ck_assert_uint_eq(placed_on("0.6 10 prefer=gpu2"), 0);
    ck_assert_uint_eq(placed_on("0.9 10 prefer=gpu2"), 3); /* all others are too full */
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/placement", "spread"), 0);
    ck_assert_uint_eq(placed_on("0.1 10"), 2); /* the least loaded of gpu0, gpu2 and gpu3 */
    ck_assert_uint_eq(placed_on("0.1 10 pack"), 3);
}
END_TEST

/* A gang takes what it prefers also when it moves forward. */
START_TEST(preferred_later)
{
    uint64_t id = 0, whole[4];

    start(100 * GIB);
    for (int i = 0; i < 3; i++)
        add_device(engine, 100 * GIB, true);
    for (int i = 0; i < 4; i++)
        whole[i] = waits(0, 1000, ENGINE_DEVICE_ANY, "1 100", 0);
    ck_assert_int_eq(enqueue(0, 1001, ENGINE_DEVICE_ANY, "1 50 prefer=gpu3",
                             (struct creation_terms){.waits = true, .gpus = 2}, &id),
                     0);
    starts(id, 100, PARTITION_PENDING);
    ck_assert_uint_eq(engine_find(engine, id)->shares[1].device, 3);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(engine_release(engine, CALL(SECONDS(9), &admin, &why), whole[i]), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(9)), 0);
    starts(id, 9, PARTITION_ACTIVE);
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 0);
    ck_assert_uint_eq(engine_find(engine, id)->shares[1].device, 3);
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    return check_main("waiting", NULL, stop, second_waits_for_the_first, start_on_time,
                      missed_window, gangs_keep_their_place, stream_of_small_ones, fixed_start,
                      gives_up, fair_order, equal_usage, shrink_and_grow,
                      extension_stops_at_a_promise, pass_in_portions, steps_of_a_portion,
                      gangs_without_room, held_back_by_quotas, revert_gives_places_back,
                      restored_places, refusals, choice_of_device, preferred_later);
}
