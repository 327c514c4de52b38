/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's operations one by one: their effects, and every refusal. */
#include "fixture.h"

START_TEST(a_partition_matches_its_request)
{
    struct request request = parsed("0.5 3600 name=train hold");
    uint64_t id = 0;

    start(80 * GIB);
    ck_assert_int_eq(engine_create(engine, ENGINE_CALL(500, 12345, &alice, &why),
                                   &(struct creation){&request, 0, 1000, 100, 9}, &id),
                     0);
    const struct partition *p = engine_find(engine, id);
    ck_assert_uint_eq(id, 1);
    ck_assert_uint_eq(p->id, 1);
    ck_assert_uint_eq(p->shares[0].device, 0);
    ck_assert_uint_eq(p->uid, 1000);
    ck_assert_uint_eq(p->gid, 100);
    ck_assert_uint_eq(p->mode, 0755);
    ck_assert_uint_eq(p->on_expiry, ON_EXPIRY_TERM);
    ck_assert_int_eq(p->grace_ns, SECONDS(10));
    ck_assert_int_eq(p->warn.ns, 0);
    ck_assert_uint_eq(p->warn.signal, 0);
    ck_assert_uint_eq(p->state, PARTITION_ACTIVE);
    ck_assert_uint_eq(p->shares[0].memory_bytes, 40 * GIB);
    ck_assert_int_eq(p->start_ns, 500);
    ck_assert_int_eq(p->end_ns, 500 + SECONDS(3600));
    ck_assert_int_eq(p->created_wall_ns, 12345);
    ck_assert_uint_eq(p->hold, 9);
    ck_assert_uint_eq(p->creator_ns, 0);
    ck_assert_uint_eq(p->creator_uid, 1000);
    ck_assert_int_eq(p->creator_pid, 11);
    ck_assert_str_eq(p->name, "train");
    const struct engine_event *event = one_event(EVENT_CREATED);
    ck_assert_uint_eq(event->seq, 1);
    ck_assert_uint_eq(p->change_seq, 1);
    ck_assert_int_eq(event->at_ns, 500);
    ck_assert_uint_eq(event->by_uid, 1000);
    ck_assert_uint_eq(event->before.id, 0);
    ck_assert_mem_eq(&event->after, p, sizeof(*p));
    ck_assert_uint_eq(engine_available(engine, 0, 500), 40 * GIB);
    ck_assert_uint_eq(engine_promised(engine, 0, 499), 0);
    ck_assert_uint_eq(engine_promised(engine, 0, 500 + SECONDS(3600)), 0);
    engine_free(engine);
}
END_TEST

/* Shares that add up to the whole fit; one byte more than is free does not. */
static void fill(uint64_t memory, const char *const *asks, size_t count)
{
    char text[64];

    start(memory);
    for (size_t i = 0; i < count; i++)
        grant(engine, 0, &alice, 0, asks[i]);
    uint64_t left = engine_available(engine, 0, 0);
    ck_assert_uint_lt(left, count);
    engine_events_free(engine_take_events(engine));
    snprintf(text, sizeof(text), "%lluB 60", (unsigned long long)left + 1);
    refused(ask(engine, 0, &alice, 0, text, &why, &left), REFUSED_NO_SPACE,
            "Not enough available memory: ");
    if (left > 0) {
        snprintf(text, sizeof(text), "%lluB 60", (unsigned long long)left);
        grant(engine, 0, &alice, 0, text);
        ck_assert_uint_eq(engine_available(engine, 0, 0), 0);
    }
    engine_free(engine);
}

START_TEST(a_whole_device_can_be_granted)
{
    static const uint64_t sizes[] = {80 * GIB, 150754820096, 10737418240, 10000000019, 1000003};
    const char *sevenths[7], *tenths[10], *twentieths[20],
        *three[] = {"0.6 60", "0.3 60", "0.1 60"};

    for (size_t i = 0; i < 20; i++) {
        twentieths[i] = i % 2 ? "0.05 60" : "5% 60";
        tenths[i % 10] = "0.1 60";
        sevenths[i % 7] = "0.14285714285714285 60";
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill(sizes[i], sevenths, 7);
        fill(sizes[i], tenths, 10);
        fill(sizes[i], twentieths, 20);
        fill(sizes[i], three, 3);
    }
}
END_TEST

START_TEST(a_partition_expires_at_its_end)
{
    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "1 10");
    one_event(EVENT_CREATED);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(10));
    ck_assert_int_eq(engine_advance(engine, SECONDS(10) - 1), 0);
    ck_assert_ptr_nonnull(engine_find(engine, id));
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_uint_eq(engine_available(engine, 0, SECONDS(10) - 1), 0);
    ck_assert_uint_eq(engine_available(engine, 0, SECONDS(10)), 100);
    ck_assert_int_eq(engine_advance(engine, SECONDS(12)), 0);
    ck_assert_ptr_null(engine_find(engine, id));
    const struct engine_event *event = one_event(EVENT_EXPIRED);
    ck_assert_int_eq(event->at_ns, SECONDS(10));
    ck_assert_uint_eq(event->by_uid, 1000);
    ck_assert_uint_eq(event->before.id, id);
    ck_assert_int_eq(event->after.end_ns, SECONDS(10));
    ck_assert_uint_eq(event->after.change_seq, event->seq);
    ck_assert_int_eq(engine_next_wakeup(engine), ENGINE_FOREVER);
    ck_assert_uint_eq(grant(engine, SECONDS(12), &alice, 0, "1 10"), id + 1);
    engine_free(engine);
}
END_TEST

/* A partition is over at its end, even before engine_advance. */
START_TEST(an_expired_partition_is_gone)
{
    uint64_t id, other;

    start(100);
    id = grant(engine, 0, &alice, 0, "1 10 hold");
    engine_events_free(engine_take_events(engine));
    refused(engine_release(engine, CALL(SECONDS(10), &alice, &why), id), REFUSED_GONE, "p1");
    refused(engine_resize(engine, CALL(SECONDS(10), &alice, &why), id, 1), REFUSED_GONE, "p1");
    refused(engine_set_end(engine, CALL(SECONDS(10), &alice, &why), id, SECONDS(99)), REFUSED_GONE,
            "p1");
    refused(engine_rename(engine, CALL(SECONDS(10), &alice, &why), id, "x"), REFUSED_GONE, "p1");
    refused(engine_hand_over(engine, CALL(SECONDS(10), &admin, &why), id, 1, 1, 0), REFUSED_GONE,
            "p1");
    refused(engine_release(engine, CALL(0, &alice, &why), 99), REFUSED_GONE, "p99");
    ck_assert_int_eq(engine_close_hold(engine, SECONDS(10), 9), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    other = grant(engine, SECONDS(10), &bob, 0, "1 10");
    ck_assert_int_eq(engine_advance(engine, SECONDS(10)), 0);
    ck_assert_ptr_null(engine_find(engine, id));
    ck_assert_ptr_nonnull(engine_find(engine, other));
    engine_free(engine);
}
END_TEST

START_TEST(expiry_is_in_order)
{
    static const uint64_t order[] = {3, 1, 4, 2};
    size_t i = 0;

    start(100);
    grant(engine, 0, &alice, 0, "0.1 10");
    grant(engine, 0, &alice, 0, "0.1 20");
    grant(engine, 0, &alice, 0, "0.1 5");
    grant(engine, 0, &alice, 0, "0.1 10");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    struct engine_event *events = engine_take_events(engine);
    for (const struct engine_event *event = events; event; event = event->next) {
        ck_assert_uint_eq(event->before.id, order[i++]);
        ck_assert_uint_eq(event->seq, 4 + i);
    }
    ck_assert_uint_eq(i, 4);
    engine_events_free(events);
    engine_free(engine);
}
END_TEST

START_TEST(no_space_reports_when)
{
    uint64_t id;

    start(80 * GIB);
    grant(engine, 0, &alice, 0, "0.2 600");
    grant(engine, 0, &alice, 0, "0.2 60");
    grant(engine, 0, &alice, 0, "0.2 300");
    engine_events_free(engine_take_events(engine));
    refused(ask(engine, SECONDS(1), &bob, 0, "0.5 30", &why, &id), REFUSED_NO_SPACE, "");
    ck_assert_str_eq(why.message, "Not enough available memory: 0.50 of gpu0 (40 GiB) was asked "
                                  "for, 0.40 (32 GiB) is free; 0.50 of gpu0 is free from T60, "
                                  "when p2 ends.");
    refused(ask(engine, SECONDS(1), &bob, 0, "80% 30", &why, &id), REFUSED_NO_SPACE,
            "0.80 of gpu0 is free from T300, when p3 ends");
    refused(ask(engine, SECONDS(1), &bob, 0, "81G 30", &why, &id), REFUSED_NO_SPACE, "");
    ck_assert_str_eq(why.message,
                     "Not enough available memory: 81 GiB was asked for, gpu0 has 80 GiB.");
    /* sizes that would read the same are printed in bytes */
    refused(ask(engine, SECONDS(1), &bob, 0, "34359738369B 30", &why, &id), REFUSED_NO_SPACE,
            "(34359738369 bytes) was asked for, 0.40 (34359738368 bytes) is free");
    engine_free(engine);
}
END_TEST

START_TEST(other_refusals_of_create)
{
    struct request request = parsed("0.5 60");
    uint64_t id = 4711;

    start(100);
    add_device(engine, 100, false);
    refused(engine_create(engine, CALL(0, &alice, &why),
                          &(struct creation){&request, 0, 1001, 1001, 0}, &id),
            REFUSED_PERMISSION, "");
    ck_assert_str_eq(why.message, "Permission denied: only administrators can create partitions "
                                  "for other users.");
    refused(engine_create(engine, CALL(0, &foreign_root, &why),
                          &(struct creation){&request, 0, 1000, 1000, 0}, &id),
            REFUSED_PERMISSION, "only administrators");
    refused(ask(engine, 0, &alice, 2, "0.5 60", &why, &id), REFUSED_INVALID, "no gpu2");
    refused(ask(engine, 0, &alice, 1, "0.5 60", &why, &id), REFUSED_BUSY, "gpu1 is absent");
    refused(ask(engine, 0, &alice, 0, "0.001 60", &why, &id), REFUSED_INVALID,
            "less than one byte of gpu0");
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "0.001 60", &why, &id), REFUSED_INVALID,
            "less than one byte of gpu0");
    request.hold = true;
    refused(engine_create(engine, CALL(0, &alice, &why),
                          &(struct creation){&request, 0, 1000, 1000, 0}, &id),
            REFUSED_INVALID, "stays open");
    request.hold = false;
    request.duration_ns = 0;
    refused(engine_create(engine, CALL(0, &alice, &why),
                          &(struct creation){&request, 0, 1000, 1000, 0}, &id),
            REFUSED_INVALID, "at least 1 second");
    request.duration_ns = DURATION_MAX_NS + 1;
    refused(
        engine_create(engine, CALL(0, &admin, &why), &(struct creation){&request, 0, 0, 0, 0}, &id),
        REFUSED_INVALID, "100 years");
    request.duration_ns = 1;
    memcpy(request.name, "a b", 4);
    refused(
        engine_create(engine, CALL(0, &admin, &why), &(struct creation){&request, 0, 0, 0, 0}, &id),
        REFUSED_INVALID, "a b");
    ck_assert_uint_eq(id, 4711);
    ck_assert_uint_eq(grant(engine, 0, &alice, 0, "1 1"), 1);
    engine_free(engine);

    engine = new_engine();
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "0.5 60", &why, &id), REFUSED_BUSY,
            "No device is present.");
    engine_free(engine);
}
END_TEST

START_TEST(any_device_takes_the_best_fit)
{
    static const char *const asked[] = {"20B 60", "40B 60", "8B 60", "45B 60"};
    static const uint32_t taken[] = {1, 1, 3, 2}; /* gpu0 is absent */
    uint64_t id;

    engine = new_engine();
    add_device(engine, 1000, false);
    add_device(engine, 100, true);
    add_device(engine, 200, true);
    add_device(engine, 10, true);
    for (size_t i = 0; i < 4; i++) {
        id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, asked[i]);
        ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, taken[i]);
    }
    engine_events_free(engine_take_events(engine));
    /* gpu1 has 40 of 100 left, gpu2 155 of 200, gpu3 2 of 10 */
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "160B 60", &why, &id), REFUSED_NO_SPACE, "");
    ck_assert_str_eq(why.message,
                     "Not enough available memory: 160 B of one device was asked for, at most 0.78 "
                     "(155 B of gpu2) is free; 0.80 of gpu2 is free from T60, when p4 ends.");
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "201B 60", &why, &id), REFUSED_NO_SPACE, "");
    ck_assert_str_eq(why.message, "Not enough available memory: 201 B was asked for, no device "
                                  "has more than 200 B."); /* an absent one does not count */
    id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, "11B 60");
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 1);
    id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, "50% 60");
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 2);
    engine_free(engine);
}
END_TEST

/* The least loaded device, but an empty one only if no other has room or more than two are. */
START_TEST(spread_keeps_whole_devices)
{
    static const struct {
        const char *asked;
        uint32_t taken;
    } steps[] = {
        {"0.1 60 spread", 0},               /* four are empty */
        {"0.1 60 spread", 1},               /* three */
        {"0.2 60 spread", 0},               /* two: of the others the least loaded, by index */
        {"0.1 60 spread", 1},               /* 0.3 and 0.1 are taken */
        {"0.8 60 spread", 1},               /* nothing else has room but the empty ones */
        {"0.75 60 spread", 2},              /* only they have */
        {"0.1 60 prefer=gpu3", 3},          /* though gpu1 fits better */
        {"0.9 60 prefer=gpu2,3", 3},        /* gpu2 has no room */
        {"0.1 60 spread prefer=gpu2,0", 0}, /* among those preferred the rule decides */
        {"0.2 60 prefer=gpu1", 2},          /* the others if those preferred have no room */
    };
    uint64_t id;

    engine = new_engine();
    for (int i = 0; i < 4; i++)
        add_device(engine, 1000, true);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, steps[i].asked);
        ck_assert_msg(engine_find(engine, id)->shares[0].device == steps[i].taken,
                      "step %zu: gpu%u", i, engine_find(engine, id)->shares[0].device);
    }
    engine_free(engine);
}
END_TEST

START_TEST(placement_is_a_policy)
{
    struct refusal reason;

    engine = new_engine();
    add_device(engine, 1000, true);
    add_device(engine, 1000, true);
    grant(engine, 0, &alice, 0, "0.5 60");
    grant(engine, 0, &alice, 1, "0.1 60");
    ck_assert_int_eq(
        engine_set(engine, ENGINE_CALL(0, 0, &admin, &reason), "config/placement", "spread"), 0);
    uint64_t id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, "0.1 60");
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 1);
    id = grant(engine, 0, &alice, ENGINE_DEVICE_ANY, "0.1 60 pack");
    ck_assert_uint_eq(engine_find(engine, id)->shares[0].device, 0);
    ck_assert_int_eq(
        engine_set(engine, ENGINE_CALL(0, 0, &admin, &reason), "config/placement", "wide"),
        REFUSED_INVALID);
    engine_free(engine);
}
END_TEST

START_TEST(resize)
{
    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "0.3 60");
    grant(engine, 0, &bob, 0, "0.3 60");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_resize(engine, CALL(5, &alice, &why), id, 70), 0);
    const struct engine_event *event = one_event(EVENT_RESIZED);
    ck_assert_uint_eq(event->before.shares[0].memory_bytes, 30);
    ck_assert_uint_eq(event->after.shares[0].memory_bytes, 70);
    ck_assert_uint_eq(event->after.change_seq, event->seq);
    ck_assert_int_eq(event->at_ns, 5);
    ck_assert_uint_eq(engine_available(engine, 0, 5), 0);
    refused(engine_resize(engine, CALL(5, &alice, &why), id, 71), REFUSED_NO_SPACE,
            "Not enough available memory: 0.71 of gpu0 (71 B) was asked for p1, it can have at "
            "most 0.70 (70 B) until its end");
    refused(engine_resize(engine, CALL(5, &alice, &why), id, 0), REFUSED_INVALID, "remove it");
    ck_assert_int_eq(engine_resize(engine, CALL(5, &alice, &why), id, 70), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_resize(engine, CALL(5, &alice, &why), id, 1), 0);
    ck_assert_uint_eq(engine_available(engine, 0, 5), 69);
    engine_free(engine);
}
END_TEST

START_TEST(changes_of_the_end)
{
    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "1 60");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), id, SECONDS(90)), 0);
    ck_assert_int_eq(one_event(EVENT_EXTENDED)->after.end_ns, SECONDS(90));
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(90));
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), id, 1), 0);
    ck_assert_int_eq(one_event(EVENT_SHORTENED)->before.end_ns, SECONDS(90));
    ck_assert_int_eq(engine_next_wakeup(engine), 1);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), id, 1), 0);
    refused(engine_set_end(engine, CALL(0, &alice, &why), id, 0), REFUSED_INVALID, "release it");
    refused(engine_set_end(engine, CALL(0, &alice, &why), id, -1), REFUSED_INVALID, "release it");
    refused(engine_set_end(engine, CALL(0, &admin, &why), id, DURATION_MAX_NS + 1), REFUSED_INVALID,
            "100 years");
    refused(engine_set_end(engine, CALL(0, &admin, &why), id, INT64_MAX), REFUSED_INVALID,
            "100 years");
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &admin, &why), id, DURATION_MAX_NS), 0);
    engine_free(engine);
}
END_TEST

/* Another partition holds the time after this one, which only restoring can produce today. */
START_TEST(extending_needs_room)
{
    struct partition later = {.id = 50,
                              .uid = 5,
                              .state = PARTITION_ACTIVE,
                              .share_count = 1,
                              .shares[0].memory_bytes = 41,
                              .start_ns = SECONDS(100),
                              .end_ns = SECONDS(200)};
    uint64_t id, none;

    start(100);
    ck_assert_int_eq(engine_restore(engine, &later), 0);
    id = grant(engine, 0, &alice, 0, "0.6 100");
    ck_assert_uint_eq(id, 51);
    engine_events_free(engine_take_events(engine));
    refused(ask(engine, 0, &alice, 0, "0.7 101", &why, &none), REFUSED_NO_SPACE,
            "0.70 of gpu0 (70 B) was asked for, 0.40 (40 B) is free; 0.70 of gpu0 is free from "
            "T200, when p50 ends");
    refused(engine_set_end(engine, CALL(0, &alice, &why), id, SECONDS(101)), REFUSED_NO_SPACE,
            "Not enough available memory: p51 needs 0.60 of gpu0 (60 B) beyond its end at T100, "
            "where 0.59 (59 B) is free");
    refused(engine_set_end(engine, CALL(0, &admin, &why), later.id, SECONDS(100)), REFUSED_INVALID,
            "release it");
    /* the time before its start does not count */
    ck_assert_int_eq(engine_resize(engine, CALL(0, &admin, &why), later.id, 100), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &alice, &why), id, 100), 0);
    engine_free(engine);
}
END_TEST

/* Only restoring can produce several shares so far. */
START_TEST(a_partition_on_two_devices)
{
    struct partition p = {.id = 1,
                          .uid = 1000,
                          .state = PARTITION_ACTIVE,
                          .share_count = 2,
                          .shares = {{.device = 1, .memory_bytes = 30}, {.memory_bytes = 20}},
                          .end_ns = SECONDS(100)};
    struct partition bad = p;
    uint64_t count, bytes;

    start(100);
    add_device(engine, 50, true);
    bad.shares[1].device = 1;
    ck_assert_int_eq(engine_restore(engine, &bad), -EINVAL);
    bad = p, bad.shares[1].memory_bytes = 0;
    ck_assert_int_eq(engine_restore(engine, &bad), -EINVAL);
    bad = p, bad.share_count = SHARE_MAX + 1;
    ck_assert_int_eq(engine_restore(engine, &bad), -EINVAL);
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(engine_next_on_device(engine, i, 0)->id, 1);
        ck_assert_uint_eq(engine_device_partitions(engine, i), 1);
        ck_assert_uint_eq(engine_promised(engine, i, 0), i ? 30 : 20);
    }
    engine_user_holds(engine, 1000, &count, &bytes);
    ck_assert(count == 1 && bytes == 50);
    /* each device must have the memory */
    refused(engine_resize(engine, CALL(0, &alice, &why), 1, 51), REFUSED_NO_SPACE, "gpu1");
    ck_assert_int_eq(engine_resize(engine, CALL(0, &alice, &why), 1, 50), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert(engine_available(engine, 0, 0) == 50 && engine_available(engine, 1, 0) == 0);
    p.id = 2, p.share_count = 1, p.shares[0] = (struct share){.memory_bytes = 51};
    p.start_ns = SECONDS(100), p.end_ns = SECONDS(200);
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    refused(engine_set_end(engine, CALL(0, &alice, &why), 1, SECONDS(101)), REFUSED_NO_SPACE,
            "gpu0");
    ck_assert_int_eq(engine_release(engine, CALL(0, &alice, &why), 1), 0);
    ck_assert(engine_promised(engine, 0, 0) == 0 && engine_promised(engine, 1, 0) == 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    ck_assert(engine_promised(engine, 0, 0) == 50 && engine_promised(engine, 1, 0) == 50);
    engine_events_free(events);
    engine_free(engine);
}
END_TEST

/* Alice's subordinate uids begin at 100000. */
static uint32_t alices_account(void *context, uint32_t uid)
{
    (void)context;
    return uid >= 100000 ? 1000 : uid;
}

START_TEST(an_account_has_one_quota)
{
    struct caller sub = {.uid = 100007, .gid = 100007, .pid = 13};
    uint64_t id, count, bytes;
    start(1000);
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/max_partitions", "3"), 0);
    id = grant(engine, 0, &alice, 0, "1B 60");
    for (uint32_t i = 0; i < 2; i++) {
        sub.uid = 100000 + i;
        grant(engine, 0, &sub, 0, "1B 60");
    }
    engine_set_accounts(engine, alices_account, NULL);
    engine_events_free(engine_take_events(engine));
    sub.uid = 165535;
    refused(ask(engine, 0, &sub, 0, "1B 60", &why, &id), REFUSED_QUOTA,
            "3 partitions, subordinate uids included; a user can hold at most 3");
    refused(ask(engine, 0, &alice, 0, "1B 60", &why, &id), REFUSED_QUOTA, "3");
    /* others are not concerned */
    grant(engine, 0, &bob, 0, "1B 60");
    engine_user_holds(engine, 100001, &count, &bytes);
    ck_assert(count == 1 && bytes == 1);
    ck_assert_uint_eq(engine_account_holds(engine, 100001), 3);
    ck_assert_uint_eq(engine_account_holds(engine, 1001), 1);
    /* a hand-over moves it to the other account, and a failed commit moves it back */
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &admin, &why), 2, 1001, 1, 0755), 0);
    ck_assert_uint_eq(engine_account_holds(engine, 1001), 2);
    ck_assert_uint_eq(engine_account_holds(engine, 1000), 2);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert_uint_eq(engine_account_holds(engine, 1000), 3);
    ck_assert_int_eq(engine_release(engine, CALL(0, &sub, &why), 2), REFUSED_OWNER);
    ck_assert_int_eq(engine_release(engine, CALL(0, &alice, &why), 1), 0);
    grant(engine, 0, &sub, 0, "1B 60");
    engine_free(engine);
}
END_TEST

START_TEST(an_absent_or_smaller_device)
{
    struct partition p = {.id = 1,
                          .uid = 1000,
                          .state = PARTITION_ACTIVE,
                          .share_count = 1,
                          .shares[0].memory_bytes = 50,
                          .end_ns = SECONDS(100)};
    uint64_t id;

    engine = new_engine();
    add_device(engine, 60, false);
    add_device(engine, 60, true);
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    p.id = 2;
    p.shares[0].device = 1;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    p.id = 3;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    ck_assert_uint_eq(engine_available(engine, 0, 0), 0);
    ck_assert_int_eq(engine_earliest(engine, 0, 0, 1, 1), ENGINE_FOREVER);
    refused(engine_resize(engine, CALL(0, &alice, &why), 1, 51), REFUSED_BUSY, "gpu0 is absent");
    refused(engine_set_end(engine, CALL(0, &alice, &why), 1, SECONDS(101)), REFUSED_BUSY,
            "p1 can only");
    ck_assert_int_eq(engine_resize(engine, CALL(0, &alice, &why), 1, 40), 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), 1, SECONDS(50)), 0);
    engine_events_free(engine_take_events(engine));
    /* gpu1 has 100 bytes promised but only 60 */
    ck_assert_uint_eq(engine_promised(engine, 1, 0), 100);
    ck_assert_uint_eq(engine_available(engine, 1, 0), 0);
    refused(ask(engine, 0, &alice, 1, "1B 60", &why, &id), REFUSED_NO_SPACE,
            "0.00 (0 B) is free; 0.02 of gpu1 is free from T100");
    refused(engine_resize(engine, CALL(0, &alice, &why), 2, 51), REFUSED_NO_SPACE,
            "at most 0.17 (10 B)");
    ck_assert_int_eq(engine_release(engine, CALL(0, &alice, &why), 2), 0);
    grant(engine, 0, &alice, 1, "10B 60");
    engine_free(engine);
}
END_TEST

START_TEST(rename_checks_labels)
{
    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "1 60 name=a");
    one_event(EVENT_CREATED);
    ck_assert_int_eq(engine_rename(engine, CALL(0, &alice, &why), id, "run-7"), 0);
    ck_assert_str_eq(one_event(EVENT_RENAMED)->before.name, "a");
    ck_assert_str_eq(engine_find(engine, id)->name, "run-7");
    ck_assert_int_eq(engine_rename(engine, CALL(0, &alice, &why), id, "run-7"), 0);
    refused(engine_rename(engine, CALL(0, &alice, &why), id, "a b"), REFUSED_INVALID, "a b");
    refused(engine_rename(engine, CALL(0, &alice, &why), id,
                          "01234567890123456789012345678901234567890123456789012345678901234"),
            REFUSED_INVALID, "1 to 64");
    ck_assert_int_eq(engine_rename(engine, CALL(0, &alice, &why), id, ""), 0);
    ck_assert_str_eq(one_event(EVENT_RENAMED)->after.name, "");
    engine_free(engine);
}
END_TEST

START_TEST(hand_over)
{
    uint32_t uid;

    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "1 60");
    engine_events_free(engine_take_events(engine));
    refused(engine_hand_over(engine, CALL(0, &alice, &why), id, 1001, 1000, 0755),
            REFUSED_PERMISSION, "only root");
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &alice, &why), id, 1000, 50, 0775), 0);
    ck_assert_uint_eq(one_event(EVENT_HANDED)->after.gid, 50);
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &alice, &why), id, 1000, 50, 0775), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &admin, &why), id, 1001, 50, 0100775), 0);
    ck_assert_uint_eq(one_event(EVENT_HANDED)->before.uid, 1000);
    ck_assert_uint_eq(engine_find(engine, id)->mode, 0775);
    ck_assert_ptr_null(engine_next_of_user(engine, 1000, 0));
    ck_assert_ptr_nonnull(engine_next_of_user(engine, 1001, 0));
    ck_assert(engine_next_user(engine, 0, &uid));
    ck_assert_uint_eq(uid, 1001);
    ck_assert(!engine_next_user(engine, 1002, &uid));
    ck_assert(!engine_next_user(engine, UINT64_C(1) << 32, &uid));
    refused(engine_release(engine, CALL(0, &alice, &why), id), REFUSED_OWNER, "");
    ck_assert_str_eq(why.message, "Permission denied: p1 is owned by uid 1001.");
    engine_free(engine);
}
END_TEST

/* -- restoring -------------------------------------------------------------------- */

START_TEST(restore_refuses_invalid_partitions)
{
    const struct partition good = {.id = 7,
                                   .uid = 1,
                                   .state = PARTITION_ACTIVE,
                                   .share_count = 1,
                                   .shares[0].memory_bytes = 10,
                                   .start_ns = -50,
                                   .end_ns = 100,
                                   .change_seq = 31,
                                   .name = "n"};
    struct partition bad;

    start(100);
    ck_assert_int_eq(engine_restore(engine, &good), 0);
#define BAD(change)                                                                                \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.id = 8;                                                                                \
        change;                                                                                    \
        ck_assert_int_eq(engine_restore(engine, &bad), -EINVAL);                                   \
    } while (0)
    BAD(bad.id = 7);
    BAD(bad.id = 0);
    BAD(bad.shares[0].device = 1);
    BAD(bad.end_ns = bad.start_ns);
    BAD(bad.shares[0].memory_bytes = 0);
    BAD(bad.shares[0].memory_bytes = INT64_MAX);
    BAD(memset(bad.name, 'x', sizeof(bad.name)));
    ck_assert_uint_eq(engine_count(engine), 1);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_uint_eq(grant(engine, 0, &alice, 0, "0.1 1"), 8);
    ck_assert_uint_eq(one_event(EVENT_CREATED)->seq, 32);
    engine_restore_counters(engine, 100, 200);
    engine_restore_counters(engine, 1, 1);
    ck_assert_uint_eq(grant(engine, 0, &alice, 0, "0.1 1"), 100);
    ck_assert_uint_eq(one_event(EVENT_CREATED)->seq, 200);
    ck_assert_int_eq(engine_restore_setting(engine, "config/max_duration", "60"), 0);
    ck_assert_int_eq(engine_policy(engine)->max_duration_ns, SECONDS(60));
    ck_assert_int_eq(engine_restore_setting(engine, "config/max_duration", "bad"), -EINVAL);
    ck_assert_int_eq(engine_restore_setting(engine, "x/y", "z"), 0);
    ck_assert_str_eq(engine_setting(engine, "x/y"), "z");
    ck_assert_ptr_null(engine_take_events(engine));
    engine_free(engine);
}
END_TEST

START_TEST(queries_out_of_range)
{
    struct engine_device huge = {UINT64_MAX, true};
    int64_t at_ns;
    uint64_t bytes;
    uint32_t index;

    start(100);
    ck_assert_int_eq(engine_add_device(engine, &huge, &index), -EINVAL);
    ck_assert_ptr_null(engine_device(engine, 1));
    ck_assert_ptr_null(engine_device(engine, 1));
    ck_assert_uint_eq(engine_available(engine, 1, 0), 0);
    ck_assert_uint_eq(engine_promised(engine, 1, 0), 0);
    ck_assert_uint_eq(engine_device_partitions(engine, 1), 0);
    ck_assert_ptr_null(engine_next_on_device(engine, 1, 0));
    ck_assert(!engine_next_step(engine, 1, 0, &at_ns, &bytes));
    ck_assert_int_eq(engine_earliest(engine, 1, 0, 1, 1), ENGINE_FOREVER);
    ck_assert_int_eq(engine_earliest(engine, 0, 0, 101, 1), ENGINE_FOREVER);
    ck_assert_int_eq(engine_earliest(engine, 0, 5, 100, 1), 5);
    ck_assert_ptr_null(engine_find(engine, 1));
    ck_assert_ptr_null(engine_next(engine, 0));
    ck_assert_int_eq(engine_revert(engine, NULL), 0);
    ck_assert_ptr_null(engine_free(engine));
    ck_assert_ptr_null(engine_free(NULL));
    engine_events_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_partition_matches_its_request,
        a_whole_device_can_be_granted,
        a_partition_expires_at_its_end,
        an_expired_partition_is_gone,
        expiry_is_in_order,
        no_space_reports_when,
        other_refusals_of_create,
        any_device_takes_the_best_fit,
        spread_keeps_whole_devices,
        placement_is_a_policy,
        resize,
        changes_of_the_end,
        extending_needs_room,
        a_partition_on_two_devices,
        an_account_has_one_quota,
        an_absent_or_smaller_device,
        rename_checks_labels,
        hand_over,
        restore_refuses_invalid_partitions,
        queries_out_of_range,
    };

    return check_run_tests("engine", NULL, NULL, tests, ARRAY_COUNT(tests));
}
