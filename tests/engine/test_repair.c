/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises that cannot stand as they are: devices that are gone or smaller after a restart, a wall
 * clock that was set, and times beyond what can be kept.
 */
#include "fixture.h"

#define HOUR SECONDS(3600)
/* What the wall clock is ahead at first. */
#define OFFSET (1000 * HOUR)

static uint64_t enqueue(int64_t now_ns, uint32_t uid, uint32_t device, const char *text,
                        const struct creation_terms *terms)
{
    struct caller caller = {.uid = uid, .gid = uid};
    struct request request = parsed(text);
    uint64_t id = 0;
    int r = engine_enqueue(engine, ENGINE_CALL(now_ns, now_ns + OFFSET, &caller, &why),
                           &(struct creation){&request, device, uid, uid, 0}, terms, &id);

    ck_assert_msg(!r, "%s: %s", text, why.message);
    return id;
}

static uint64_t waits(uint32_t uid, uint32_t device, const char *text, uint32_t gpus)
{
    const struct creation_terms terms = {
        .waits = true, .gpus = gpus, .priority = PRIORITY_NORMAL, .give_up_ns = ENGINE_FOREVER};

    return enqueue(0, uid, device, text, &terms);
}

static uint64_t at(int64_t start_ns, const char *text)
{
    const struct creation_terms terms = {.fixed = true,
                                         .start_ns = start_ns,
                                         .priority = PRIORITY_NORMAL,
                                         .give_up_ns = ENGINE_FOREVER};

    return enqueue(0, 1000, 0, text, &terms);
}

/* -- a restart --------------------------------------------------------------------------- */

/* Another engine with these devices and everything that was promised. */
static void restart(const struct engine_device *devices, uint32_t count)
{
    struct engine *old = engine;
    const struct partition *p;

    engine_events_free(engine_take_events(old));
    engine = new_engine();
    for (uint32_t i = 0; i < count; i++)
        add_device(engine, devices[i].memory_bytes, devices[i].present);
    for (uint64_t after = 0; (p = engine_next(old, after)); after = p->id) {
        const struct waiting *waiting = engine_waiting(old, p->id);

        ck_assert_int_eq(
            waiting ? engine_restore_waiting(engine, p, waiting) : engine_restore(engine, p), 0);
    }
    engine_free(old);
}

static void is_at(uint64_t id, uint32_t device, int64_t start_ns)
{
    const struct partition *p = engine_find(engine, id);

    ck_assert_uint_eq(p->shares[0].device, device);
    ck_assert_int_eq(p->start_ns, start_ns);
    if (p->state == PARTITION_PENDING)
        ck_assert_int_ge(engine_waiting(engine, id)->promised_ns, start_ns);
}

/* The kinds of all events since the last call, and the partitions they are about. */
static const char *told(void)
{
    static char text[200];
    struct engine_event *events = engine_take_events(engine);
    size_t length = 0;

    text[0] = 0;
    for (struct engine_event *event = events; event; event = event->next)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s%s%d", length ? " " : "",
                             event->kind == EVENT_DELAYED ? "delayed"
                             : event->kind == EVENT_MOVED ? "moved"
                                                          : "?",
                             (int)event->after.id);
    engine_events_free(events);
    return text;
}

/* Device 1 is gone: what waited there is planned on device 0, first come first. What has begun
 * stays, and so does a promise that can be kept nowhere else. */
START_TEST(device_is_gone)
{
    const struct engine_device left[] = {{100 * GIB, true}, {100 * GIB, false}};

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    uint64_t a = waits(1000, 0, "1 100", 0), b = waits(1001, 1, "1 40", 0);
    uint64_t c = waits(1002, ENGINE_DEVICE_ANY, "1 50", 0);
    uint64_t d = waits(1003, ENGINE_DEVICE_ANY, "0.5 60", 0);
    uint64_t named = waits(1004, 1, "0.5 10", 0);
    is_at(c, 1, SECONDS(40));
    is_at(d, 1, SECONDS(90));
    is_at(named, 1, SECONDS(90));
    restart(left, 2);
    ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0);
    is_at(a, 0, 0);
    is_at(b, 1, 0);
    is_at(c, 0, SECONDS(100));
    is_at(d, 0, SECONDS(150));
    is_at(named, 1, SECONDS(90));
    ck_assert_int_eq(engine_waiting(engine, c)->promised_ns, SECONDS(100));
    ck_assert_str_eq(told(), "delayed3 delayed4");
    ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0); /* nothing more */
    ck_assert_int_eq(engine_advance(engine, SECONDS(1)), 0);
    ck_assert_str_eq(told(), "");
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    ck_assert_uint_eq(engine_find(engine, c)->state, PARTITION_ACTIVE);
}
END_TEST

/* A smaller device holds what it can, in fair order; only the others are late. */
START_TEST(device_is_smaller)
{
    const struct engine_device left[] = {{60 * GIB, true}};

    start(100 * GIB);
    uint64_t a = waits(1000, 0, "30G 100", 0);
    uint64_t first = waits(1001, ENGINE_DEVICE_ANY, "80G 50", 0);
    uint64_t b = waits(1002, ENGINE_DEVICE_ANY, "30G 50", 0), c = waits(1003, 0, "30G 150", 0);
    uint64_t d = waits(1004, ENGINE_DEVICE_ANY, "30G 90", 0);
    is_at(first, 0, SECONDS(100));
    is_at(b, 0, 0);
    is_at(c, 0, SECONDS(150));
    is_at(d, 0, 0);
    restart(left, 1);
    ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0);
    is_at(first, 0, SECONDS(100)); /* too large for it: it stays on record */
    is_at(a, 0, 0);
    is_at(b, 0, 0);
    is_at(c, 0, SECONDS(150));
    ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(last_of_those_that_wait)
{
    const struct engine_device left[] = {{80 * GIB, true}};

    start(100 * GIB);
    waits(1000, 0, "80G 100", 0);
    uint64_t a = waits(1001, 0, "50G 50", 0), b = waits(1002, 0, "40G 50", 0);
    uint64_t c = waits(1003, 0, "80G 10", 0);
    is_at(b, 0, SECONDS(100));
    is_at(c, 0, SECONDS(150));
    restart(left, 1);
    ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0);
    is_at(a, 0, SECONDS(100));
    is_at(c, 0, SECONDS(150)); /* its promise is not hurt */
    is_at(b, 0, SECONDS(160));
    ck_assert_str_eq(told(), "delayed3");
}
END_TEST

/* A gang leaves a device that is gone as a whole. */
START_TEST(gang_is_planned_again)
{
    const struct engine_device left[] = {{100 * GIB, true}, {100 * GIB, false}, {100 * GIB, true}};

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    add_device(engine, 100 * GIB, true);
    waits(1000, 0, "1 100", 0);
    waits(1000, 1, "1 10", 0);
    waits(1000, 2, "1 20", 0);
    uint64_t gang = waits(1001, ENGINE_DEVICE_ANY, "1 50", 2);
    ck_assert_int_eq(engine_find(engine, gang)->start_ns, SECONDS(20));
    restart(left, 3);
    ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0);
    const struct partition *p = engine_find(engine, gang);
    ck_assert_int_eq(p->start_ns, SECONDS(100));
    ck_assert_int_eq(p->end_ns, SECONDS(150));
    ck_assert_uint_eq(p->share_count, 2);
    ck_assert_uint_eq(p->shares[0].device + p->shares[1].device, 2);
    ck_assert_str_eq(told(), "delayed4");
}
END_TEST

/* What could not be stored did not happen, and is tried again. */
START_TEST(repair_is_reverted)
{
    const struct engine_device left[] = {{100 * GIB, true}, {100 * GIB, false}};

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    waits(1000, 0, "1 100", 0);
    waits(1001, 1, "1 40", 0);
    uint64_t c = waits(1002, ENGINE_DEVICE_ANY, "1 50", 0);
    restart(left, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(engine_repair_plan(engine, SECONDS(1)), 0);
        is_at(c, 0, SECONDS(100));
        struct engine_event *events = engine_take_events(engine);
        ck_assert_ptr_nonnull(events);
        ck_assert_int_eq(engine_revert(engine, events), 0);
        engine_events_free(events);
        is_at(c, 1, SECONDS(40));
        ck_assert_int_eq(engine_waiting(engine, c)->promised_ns, SECONDS(40));
    }
}
END_TEST

/* -- appointments ---------------------------------------------------------------------- */

static void keep(int64_t now_ns, int64_t ahead_ns)
{
    ck_assert_int_eq(engine_keep_appointments(engine, now_ns, now_ns + OFFSET + ahead_ns), 0);
}

START_TEST(appointments_move_with_the_clock)
{
    start(100 * GIB);
    uint64_t a = at(10 * HOUR, "1 2h"), b = at(12 * HOUR, "1 2h");
    ck_assert_int_eq(engine_waiting(engine, a)->fixed_wall_ns, OFFSET + 10 * HOUR);
    engine_events_free(engine_take_events(engine));
    keep(0, SECONDS(1)); /* it is only adjusted */
    keep(0, -SECONDS(1));
    ck_assert_str_eq(told(), "");
    keep(0, HOUR); /* set ahead: less time until then */
    is_at(a, 0, 9 * HOUR);
    is_at(b, 0, 11 * HOUR);
    ck_assert_str_eq(told(), "moved1 moved2");
    keep(0, -HOUR);
    is_at(a, 0, 11 * HOUR);
    is_at(b, 0, 13 * HOUR);
    ck_assert_int_eq(engine_find(engine, b)->end_ns, 15 * HOUR);
    ck_assert_int_eq(engine_waiting(engine, b)->promised_ns, 13 * HOUR);
    ck_assert_str_eq(told(), "moved2 moved1");
    keep(0, 0);
    is_at(a, 0, 10 * HOUR);
    is_at(b, 0, 12 * HOUR);
}
END_TEST

/* Set past the appointment: it begins now, and none of its time is lost. */
START_TEST(appointment_in_the_past)
{
    start(100 * GIB);
    uint64_t a = at(10 * HOUR, "1 2h");
    engine_events_free(engine_take_events(engine));
    keep(HOUR, 24 * HOUR);
    is_at(a, 0, HOUR);
    ck_assert_int_eq(engine_find(engine, a)->end_ns, 3 * HOUR);
    keep(HOUR, 0); /* it has its start, and keeps it */
    is_at(a, 0, HOUR);
    ck_assert_str_eq(told(), "moved1");
    ck_assert_int_eq(engine_advance(engine, HOUR), 0);
    ck_assert_uint_eq(engine_find(engine, a)->state, PARTITION_ACTIVE);
    keep(HOUR, 0);
}
END_TEST

/* Without room it keeps its time, and this is said once. */
START_TEST(appointment_without_room)
{
    start(100 * GIB);
    uint64_t a = at(10 * HOUR, "0.6 2h"), b = waits(1001, 0, "0.6 10h", 0);
    is_at(b, 0, 0);
    engine_events_free(engine_take_events(engine));
    keep(0, HOUR);
    is_at(a, 0, 10 * HOUR);
    ck_assert_int_eq(engine_waiting(engine, a)->fixed_wall_ns, OFFSET + 11 * HOUR);
    ck_assert_str_eq(told(), "delayed1");
    keep(0, HOUR);
    ck_assert_str_eq(told(), "");
    keep(0, 0);
    is_at(a, 0, 11 * HOUR);
    ck_assert_str_eq(told(), "moved1");
    ck_assert_int_eq(engine_release(engine, ENGINE_CALL(0, OFFSET, &admin, &why), b), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
}
END_TEST

/* -- times that can be kept -------------------------------------------------------------- */

/* A century is the longest, and a queue of them would end beyond what the store can keep: refused
 * here, because a batch that cannot be stored takes others' changes with it. */
START_TEST(no_end_beyond_all_times)
{
    const struct creation_terms wait = {
        .waits = true, .priority = PRIORITY_NORMAL, .give_up_ns = ENGINE_FOREVER};
    struct caller caller = {.uid = 1000};
    struct request request = parsed("1 36500d");
    uint64_t id = 0;

    start(100 * GIB);
    waits(1000, 0, "1 36500d", 0);
    engine_events_free(engine_take_events(engine));
    refused(engine_enqueue(engine, ENGINE_CALL(0, OFFSET, &caller, &why),
                           &(struct creation){&request, 0, 1000, 1000, 0}, &wait, &id),
            REFUSED_NO_SPACE, "never");
    uint64_t b = waits(1000, 0, "1 10000d", 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_le(engine_find(engine, b)->end_ns, ENGINE_TIME_MAX);
    caller.by_mode = true;
    refused(engine_set_end(engine, ENGINE_CALL(0, OFFSET, &caller, &why), b, ENGINE_TIME_MAX + 1),
            REFUSED_INVALID, "too far");
    const struct creation_terms fixed = {
        .fixed = true, .start_ns = ENGINE_TIME_MAX - SECONDS(5), .give_up_ns = ENGINE_FOREVER};
    request = parsed("1 10");
    refused(engine_enqueue(engine, ENGINE_CALL(0, OFFSET, &caller, &why),
                           &(struct creation){&request, 0, 1000, 1000, 0}, &fixed, &id),
            REFUSED_NO_SPACE, "never");
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    return check_main("repair", NULL, stop, device_is_gone, device_is_smaller,
                      last_of_those_that_wait, gang_is_planned_again, repair_is_reverted,
                      appointments_move_with_the_clock, appointment_in_the_past,
                      appointment_without_room, no_end_beyond_all_times);
}
