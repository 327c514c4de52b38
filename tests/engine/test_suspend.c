/* SPDX-License-Identifier: Apache-2.0 */
/* Suspended partitions: what they hold, what they do not, and each way from one stage to another.
 */
#include "waiting_fixture.h"

#include "core/engine/accounts.h"

#define DAY 86400

static void set(const char *key, const char *value)
{
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), key, value), 0);
}

static void begin(void)
{
    start(100 * GIB);
    set("config/suspend", "on");
    set("config/allowed_on_expiry", "none term kill suspend");
    engine_events_free(engine_take_events(engine));
}

static uint64_t lease(int64_t now, const char *text)
{
    char words[80];
    snprintf(words, sizeof(words), "%s on_expiry=suspend", text);
    uint64_t id = grant(engine, SECONDS(now), &alice, 0, words);
    engine_events_free(engine_take_events(engine));
    return id;
}

static void is(uint64_t id, uint32_t state, uint32_t stage)
{
    const struct partition *p = engine_find(engine, id);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p->state, state);
    ck_assert_uint_eq(p->suspend_stage, stage);
    ck_assert(ending_is_sound(p));
}

/* A partition whose lease ended at 100 and whose processes have left. */
static uint64_t away(const char *text)
{
    uint64_t id = lease(0, text);
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    ck_assert_int_eq(engine_suspend_measured(engine, SECONDS(100), id, 5 * GIB, 2), 0);
    ck_assert_int_eq(engine_suspended(engine, SECONDS(101), id, 0), 0);
    is(id, PARTITION_SUSPENDED, SUSPEND_AWAY);
    engine_events_free(engine_take_events(engine));
    return id;
}

static int resume(int64_t now, uint64_t id, int64_t seconds, bool waits)
{
    return engine_resume(engine, CALL(SECONDS(now), &alice, &why), id, SECONDS(seconds), waits);
}

START_TEST(its_memory_is_free_at_its_end)
{
    begin();
    uint64_t id = lease(0, "1 100");
    uint64_t next = waits(SECONDS(1), 1001, 0, "1 50", 1);
    starts(next, 100, PARTITION_PENDING);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(100));
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(events->kind, EVENT_SUSPENDING);
    ck_assert_int_eq(events->at_ns, SECONDS(100));
    ck_assert_int_eq(events->next->kind, EVENT_STARTED);
    engine_events_free(events);
    is(id, PARTITION_SUSPENDED, SUSPEND_LEAVING);
    starts(next, 100, PARTITION_ACTIVE);
    ck_assert_uint_eq(engine_promised(engine, 0, SECONDS(100)), 100 * GIB);
    uint64_t count, bytes;
    engine_user_holds(engine, 1000, &count, &bytes);
    ck_assert_uint_eq(count, 1); /* it counts for max_partitions */
    ck_assert_uint_eq(bytes, 0);
    /* What is late is late: it is still there before its event has been made. */
    engine = engine_free(engine);
    begin();
    id = lease(0, "0.5 100");
    ck_assert_int_eq(engine_advance_some(engine, SECONDS(200), 0), 0);
    ck_assert_ptr_nonnull(engine_find(engine, id));
}
END_TEST

START_TEST(stages)
{
    begin();
    uint64_t id = lease(0, "1 100 warn=10");
    ck_assert_int_eq(engine_advance(engine, SECONDS(95)), 0);
    is(id, PARTITION_EXPIRING, SUSPEND_NONE);
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    is(id, PARTITION_SUSPENDED, SUSPEND_LEAVING);
    engine_events_free(engine_take_events(engine));
    refused(resume(100, id, 10, true), REFUSED_BUSY, "is still being suspended");
    ck_assert_int_eq(engine_resumed(engine, SECONDS(100), id, 0), 0); /* not this stage: nothing */
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_suspend_measured(engine, SECONDS(101), id, 5 * GIB, 2), 0);
    ck_assert_uint_eq(one_event(EVENT_MEASURED)->after.suspended_bytes, 5 * GIB);
    ck_assert_int_eq(engine_suspended(engine, SECONDS(102), id, 0), 0);
    ck_assert_uint_eq(one_event(EVENT_SUSPENDED)->after.suspended_count, 2);
    ck_assert_int_eq(engine_suspended(engine, SECONDS(102), id, 0), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    refused(engine_resize(engine, CALL(SECONDS(103), &alice, &why), id, GIB), REFUSED_BUSY,
            "p1 is suspended");
    refused(engine_set_end(engine, CALL(SECONDS(103), &alice, &why), id, SECONDS(500)),
            REFUSED_BUSY, "p1 is suspended");
    ck_assert_int_eq(resume(200, id, 50, false), 0);
    const struct engine_event *event = one_event(EVENT_RESUMING);
    ck_assert_int_eq(event->after.start_ns, SECONDS(200));
    ck_assert_int_eq(event->after.end_ns, SECONDS(250));
    is(id, PARTITION_SUSPENDED, SUSPEND_RETURNING);
    ck_assert_uint_eq(engine_promised(engine, 0, SECONDS(249)), 100 * GIB);
    refused(resume(201, id, 10, false), REFUSED_BUSY, "is being resumed");
    ck_assert_int_eq(engine_resumed(engine, SECONDS(203), id, 0), 0);
    one_event(EVENT_RESUMED);
    is(id, PARTITION_ACTIVE, SUSPEND_NONE);
    ck_assert_int_eq(engine_advance(engine, SECONDS(245)), 0);
    is(id, PARTITION_EXPIRING, SUSPEND_NONE);
    ck_assert_int_eq(engine_advance(engine, SECONDS(250)), 0);
    is(id, PARTITION_SUSPENDED, SUSPEND_LEAVING); /* and again */
}
END_TEST

START_TEST(ends)
{
    begin();
    uint64_t id = away("1 100");
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(100 + DAY));
    ck_assert_int_eq(engine_advance(engine, SECONDS(100 + DAY)), 0);
    const struct engine_event *event = one_event(EVENT_EXPIRED);
    ck_assert_uint_eq(event->after.on_expiry, ON_EXPIRY_KILL); /* the frozen handle no SIGTERM */
    ck_assert_uint_eq(event->after.state, PARTITION_ACTIVE);
    ck_assert(ending_is_sound(&event->after));
    ck_assert_ptr_null(engine_find(engine, id));
    engine = engine_free(engine);
    /* Its owner cannot leave stopped programs behind by another choice. */
    begin();
    id = away("1 100");
    struct ending_change none = {.set_on_expiry = true, .on_expiry = ON_EXPIRY_NONE};
    ck_assert_int_eq(engine_set_ending(engine, CALL(SECONDS(110), &alice, &why), id, &none), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(111), &alice, &why), id), 0);
    ck_assert_uint_eq(one_event(EVENT_RELEASED)->after.on_expiry, ON_EXPIRY_KILL);
    engine = engine_free(engine);
    /* Nothing was suspended: SIGTERM. */
    begin();
    id = lease(0, "1 100");
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(1), &alice, &why), id), 0);
    ck_assert_uint_eq(one_event(EVENT_RELEASED)->after.on_expiry, ON_EXPIRY_TERM);
    id = lease(2, "1 100");
    ck_assert_int_eq(engine_advance(engine, SECONDS(102)), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_suspend_end(engine, SECONDS(103), id, ON_EXPIRY_TERM), 0);
    ck_assert_uint_eq(one_event(EVENT_EXPIRED)->after.on_expiry, ON_EXPIRY_TERM);
    /* With config/suspend off it ends as with term. */
    id = lease(200, "1 100");
    set("config/suspend", "off");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_advance(engine, SECONDS(300)), 0);
    ck_assert_uint_eq(one_event(EVENT_EXPIRED)->after.on_expiry, ON_EXPIRY_TERM);
}
END_TEST

START_TEST(no_room)
{
    begin();
    uint64_t id = away("0.6 100");
    uint64_t other = grant(engine, SECONDS(150), &bob, 0, "0.5 100");
    engine_events_free(engine_take_events(engine));
    refused(resume(160, id, 50, false), REFUSED_NO_SPACE,
            "p1 has room on gpu0 from T250; add the word queue");
    is(id, PARTITION_SUSPENDED, SUSPEND_AWAY);
    ck_assert_int_eq(resume(160, id, 50, true), 0);
    ck_assert_int_eq(one_event(EVENT_RESUMING)->waiting_after.promised_ns, SECONDS(250));
    starts(id, 250, PARTITION_PENDING);
    is(id, PARTITION_PENDING, SUSPEND_AWAY);
    refused(resume(160, id, 10, false), REFUSED_BUSY, "waits to be resumed already");
    refused(engine_set_devices(engine, CALL(SECONDS(160), &alice, &why), id, NULL, 0), REFUSED_BUSY,
            "p1 is suspended");
    refused(engine_set_compute(engine, CALL(SECONDS(160), &alice, &why), id, 10), REFUSED_BUSY,
            "p1 is suspended; its share");
    release(SECONDS(170), other); /* it moves forward, as all that wait */
    is(id, PARTITION_SUSPENDED, SUSPEND_RETURNING);
    ck_assert_int_eq(engine_find(engine, id)->end_ns, SECONDS(220));
    engine_events_free(engine_take_events(engine));
    /* The device is still full: back again, and its place is free. */
    ck_assert_int_eq(engine_resume_failed(engine, SECONDS(200), id, ""), 0);
    ck_assert_int_eq(one_event(EVENT_RESUME_FAILED)->after.end_ns, SECONDS(200 + DAY));
    is(id, PARTITION_SUSPENDED, SUSPEND_AWAY);
    ck_assert_uint_eq(engine_promised(engine, 0, SECONDS(200)), 0);
    ck_assert_uint_eq(engine_find(engine, id)->suspended_bytes, 5 * GIB);
}
END_TEST

START_TEST(asked_for)
{
    begin();
    uint64_t id = grant(engine, 0, &alice, 0, "0.5 100 on_expiry=term");
    engine_events_free(engine_take_events(engine));
    refused(engine_suspend(engine, CALL(SECONDS(1), &alice, &why), id), REFUSED_INVALID,
            "write suspend there first");
    refused(resume(1, id, 10, true), REFUSED_BUSY, "p1 is not suspended");
    refused(engine_suspend(engine, CALL(SECONDS(1), &bob, &why), id), REFUSED_OWNER, "uid 1000");
    id = lease(2, "0.5 100");
    ck_assert_int_eq(engine_suspend(engine, CALL(SECONDS(3), &alice, &why), id), 0);
    const struct engine_event *event = one_event(EVENT_SUSPENDING);
    ck_assert_int_eq(event->at_ns, SECONDS(3));
    ck_assert_int_eq(event->before.end_ns, SECONDS(102));
    ck_assert_int_eq(engine_suspend(engine, CALL(SECONDS(4), &alice, &why), id), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_uint_eq(engine_available(engine, 0, SECONDS(4)), 50 * GIB);
    refused(engine_resume(engine, CALL(SECONDS(4), &bob, &why), id, SECONDS(1), false),
            REFUSED_OWNER, "uid 1000");
    engine = engine_free(engine);
    start(100 * GIB);
    uint64_t other = 0;
    refused(ask(engine, 0, &alice, 0, "0.5 100 on_expiry=suspend", &why, &other), REFUSED_INVALID,
            "config/suspend is off");
    set("config/suspend", "on");
    engine_events_free(engine_take_events(engine));
    refused(ask(engine, 0, &alice, 0, "0.5 100 on_expiry=suspend", &why, &other), REFUSED_INVALID,
            "The policy does not allow on_expiry=suspend");
    add_device(engine, 100 * GIB, true);
    refused(enqueue(0, 0, ENGINE_DEVICE_ANY, "0.5 100 on_expiry=suspend",
                    (struct creation_terms){.gpus = 2, .priority = PRIORITY_NORMAL}, &other),
            REFUSED_INVALID, "The policy does not allow");
    set("config/allowed_on_expiry", "suspend");
    engine_events_free(engine_take_events(engine));
    refused(enqueue(0, 1000, ENGINE_DEVICE_ANY, "0.5 100 on_expiry=suspend",
                    (struct creation_terms){.gpus = 2, .priority = PRIORITY_NORMAL}, &other),
            REFUSED_INVALID, "with 2 devices cannot be suspended");
}
END_TEST

/* One that waits to be resumed is one that waits. */
START_TEST(pending)
{
    begin();
    uint64_t id = away("0.6 100");
    grant(engine, SECONDS(150), &bob, 0, "0.5 100");
    set("quota/user/1000/pending", "0");
    engine_events_free(engine_take_events(engine));
    refused(resume(160, id, 50, true), REFUSED_QUOTA, "");
    is(id, PARTITION_SUSPENDED, SUSPEND_AWAY);
    set("quota/user/1000/pending", "1");
    ck_assert_int_eq(resume(160, id, 50, true), 0);
}
END_TEST

/* What is used and promised is counted as if there had been two leases. */
START_TEST(hours)
{
    begin();
    uint64_t id = away("1 100"), other;
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, SECONDS(150)).held_ppm, 0);
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, SECONDS(150)).day_ppm_s, 100 * 1000000);
    ck_assert_int_eq(resume(200, id, 50, false), 0);
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, SECONDS(200)).held_ppm, 1000000);
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, SECONDS(200)).day_ppm_s, 150 * 1000000);
    ck_assert_int_eq(engine_resume_failed(engine, SECONDS(230), id, ""), 0);
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, SECONDS(230)).day_ppm_s, 130 * 1000000);
    set("quota/user/1000/fraction", "0.5");
    engine_events_free(engine_take_events(engine));
    refused(resume(240, id, 50, false), REFUSED_QUOTA, "");
    set("quota/user/1000/fraction", "max");
    ck_assert_int_eq(resume(240, id, 50, false), 0);
    other = grant(engine, SECONDS(300), &alice, 0, "0.1 10");
    ck_assert_uint_ne(other, 0);
}
END_TEST

/* Each change can be taken back, in every combination of leases that have waited and have not. */
START_TEST(taken_back)
{
    for (int low = 0; low < 2; low++) {
        begin();
        uint64_t id = low ? of_class(0, 1000, "0.6 100 on_expiry=suspend", PRIORITY_LOW)
                          : lease(0, "0.6 100");
        uint64_t other = grant(engine, SECONDS(1), &bob, 0, "0.4 100");
        engine_events_free(engine_take_events(engine));
        for (int step = 0; step < 6; step++) {
            struct partition before = *engine_find(engine, id);
            int64_t now = 100 + step;
            if (step == 0)
                ck_assert_int_eq(engine_advance(engine, SECONDS(now)), 0);
            else if (step == 1)
                ck_assert_int_eq(engine_suspend_measured(engine, SECONDS(now), id, GIB, 1), 0);
            else if (step == 2)
                ck_assert_int_eq(engine_suspended(engine, SECONDS(now), id, 0), 0);
            else if (step == 3) {
                other = grant(engine, SECONDS(now), &bob, 0, "0.5 1000");
                engine_events_free(engine_take_events(engine));
                ck_assert_int_eq(resume(now, id, 50, true), 0);
            } else if (step == 4)
                release(SECONDS(now), other);
            else
                ck_assert_int_eq(engine_resumed(engine, SECONDS(now), id, 0), 0);
            struct partition after = *engine_find(engine, id);
            struct engine_event *events = engine_take_events(engine);
            ck_assert_ptr_nonnull(events);
            ck_assert_int_eq(engine_revert(engine, events), 0);
            engine_events_free(events);
            ck_assert_int_eq(memcmp(engine_find(engine, id), &before, sizeof(before)), 0);
            ck_assert_int_eq(engine_advance_some(engine, SECONDS(99), 0), 0);
            /* And done again. */
            if (step == 0)
                ck_assert_int_eq(engine_advance(engine, SECONDS(now)), 0);
            else if (step == 1)
                ck_assert_int_eq(engine_suspend_measured(engine, SECONDS(now), id, GIB, 1), 0);
            else if (step == 2)
                ck_assert_int_eq(engine_suspended(engine, SECONDS(now), id, 0), 0);
            else if (step == 3)
                ck_assert_int_eq(resume(now, id, 50, true), 0);
            else if (step == 4)
                release(SECONDS(now), other);
            else
                ck_assert_int_eq(engine_resumed(engine, SECONDS(now), id, 0), 0);
            const struct partition *p = engine_find(engine, id);
            ck_assert_uint_eq(p->state, after.state);
            ck_assert_uint_eq(p->suspend_stage, after.suspend_stage);
            ck_assert_int_eq(p->end_ns, after.end_ns);
            engine_events_free(engine_take_events(engine));
        }
        is(id, PARTITION_ACTIVE, SUSPEND_NONE);
        engine = engine_free(engine);
    }
}
END_TEST

/* One that has waited is not taken for a low lease when its wait is reverted. */
START_TEST(not_low)
{
    begin();
    set("config/preempt", "end");
    uint64_t id = away("0.6 100");
    uint64_t other = grant(engine, SECONDS(150), &bob, 0, "0.5 100");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(resume(160, id, 500, true), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    release(SECONDS(170), other);
    ck_assert_int_eq(resume(180, id, 500, false), 0);
    ck_assert_int_eq(engine_resumed(engine, SECONDS(181), id, 0), 0);
    uint64_t high = of_class(SECONDS(200), 1001, "1 10", PRIORITY_HIGH);
    starts(high, 680, PARTITION_PENDING);
    is(id, PARTITION_ACTIVE, SUSPEND_NONE);
}
END_TEST

/* A suspended low lease has nothing that could be taken. */
START_TEST(not_preempted)
{
    begin();
    set("config/preempt", "end");
    uint64_t id = of_class(0, 1000, "1 100 on_expiry=suspend", PRIORITY_LOW);
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    is(id, PARTITION_SUSPENDED, SUSPEND_LEAVING);
    uint64_t normal = of_class(SECONDS(101), 1001, "1 100", PRIORITY_NORMAL);
    starts(normal, 101, PARTITION_ACTIVE);
    uint64_t high = of_class(SECONDS(102), 1001, "1 10", PRIORITY_HIGH);
    starts(high, 201, PARTITION_PENDING);
    is(id, PARTITION_SUSPENDED, SUSPEND_LEAVING);
}
END_TEST

/* Restored in every stage, it holds as much as before. */
START_TEST(restored)
{
    static const struct {
        uint32_t state, stage;
        bool held;
    } rows[] = {{PARTITION_SUSPENDED, SUSPEND_LEAVING, false},
                {PARTITION_SUSPENDED, SUSPEND_AWAY, false},
                {PARTITION_SUSPENDED, SUSPEND_RETURNING, true},
                {PARTITION_ACTIVE, SUSPEND_NONE, true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct partition p = {.id = 1,
                              .uid = 1000,
                              .state = rows[i].state,
                              .suspend_stage = rows[i].stage,
                              .on_expiry = ON_EXPIRY_SUSPEND,
                              .share_count = 1,
                              .shares[0].memory_bytes = GIB,
                              .end_ns = SECONDS(100)};
        start(100 * GIB);
        ck_assert_int_eq(engine_restore(engine, &p), 0);
        ck_assert_uint_eq(engine_promised(engine, 0, 0), rows[i].held ? GIB : 0);
        p.id = 2;
        p.suspend_stage = rows[i].stage == SUSPEND_NONE ? SUSPEND_AWAY : SUSPEND_NONE;
        ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
        engine = engine_free(engine);
    }
}
END_TEST

/* Programs cannot be moved away from under MPS, nor from an instance. */
START_TEST(not_from_mps)
{
    engine = new_engine();
    ck_assert_int_eq(engine_name_device(engine, add_device(engine, 100 * GIB, true), "card"), 0);
    set("config/suspend", "on");
    set("config/allowed_on_expiry", "none term kill suspend");
    set("sharing/card", "mps");
    engine_events_free(engine_take_events(engine));
    uint64_t id = lease(0, "0.5 100");
    refused(engine_suspend(engine, CALL(SECONDS(1), &alice, &why), id), REFUSED_BUSY,
            "its device is shared by mps");
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    ck_assert_uint_eq(one_event(EVENT_EXPIRED)->after.on_expiry, ON_EXPIRY_TERM);
}
END_TEST

/* -- at random ----------------------------------------------------------------------------------
 */

#define WALK_STEPS 4000
#define WALK_MOST  24

static unsigned seed;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

/* What is held at a moment, added up one by one. */
static uint64_t held_at(int64_t at_ns)
{
    const struct partition *p;
    uint64_t bytes = 0;

    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id)
        if (partition_holds(p) && p->start_ns <= at_ns && at_ns < p->end_ns)
            bytes += p->shares[0].memory_bytes;
    return bytes;
}

/* Nothing holds more than there is, and what is suspended holds nothing. */
static void all_is_well(int64_t now_ns)
{
    const struct partition *p;

    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id) {
        ck_assert(ending_is_sound(p));
        ck_assert_int_gt(p->end_ns, now_ns);
        ck_assert((p->state == PARTITION_PENDING) == !!engine_waiting(engine, p->id));
        if (p->start_ns < now_ns)
            continue;
        ck_assert_uint_eq(engine_promised(engine, 0, p->start_ns), held_at(p->start_ns));
        ck_assert_uint_le(held_at(p->start_ns), 100 * GIB);
    }
    ck_assert_uint_eq(engine_promised(engine, 0, now_ns), held_at(now_ns));
    ck_assert_uint_le(held_at(now_ns), 100 * GIB);
}

/* One of those that there are; NULL: there is none. */
static const struct partition *one_of_them(void)
{
    const struct partition *p, *found = NULL;
    unsigned count = 0;

    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id)
        if (any(++count) == 0)
            found = p;
    return found;
}

static void do_one(int64_t now_ns)
{
    const struct partition *p = one_of_them();
    const struct call *call = CALL(now_ns, &admin, &why);
    uint64_t id = p ? p->id : 0, made = 0;
    char text[80];

    switch (p ? any(10) : 0) {
    case 0:
        snprintf(text, sizeof(text), "%u%% %u%s", 10 + any(60), 1 + any(50),
                 any(3) ? " on_expiry=suspend" : "");
        if (engine_count(engine) < WALK_MOST)
            enqueue(now_ns, any(2) ? 1000 : 0, 0, text,
                    (struct creation_terms){.waits = any(2), .priority = any(2) + 1}, &made);
        break;
    case 1:
        engine_suspend(engine, call, id);
        break;
    case 2:
        engine_suspend_measured(engine, now_ns, id, any(5) * GIB, any(3));
        break;
    case 3:
    case 4:
        engine_suspended(engine, now_ns, id, NS_PER_SECOND);
        break;
    case 5:
        engine_resume(engine, call, id, SECONDS(1 + any(50)), any(2));
        break;
    case 6:
        engine_resumed(engine, now_ns, id, NS_PER_SECOND);
        break;
    case 7:
        engine_resume_failed(engine, now_ns, id, "");
        break;
    case 8:
        if (any(4) == 0)
            engine_suspend_end(engine, now_ns, id, ON_EXPIRY_TERM);
        break;
    default:
        if (any(4) == 0)
            engine_release(engine, call, id);
    }
}

static size_t copy_all(struct partition *all)
{
    const struct partition *p;
    size_t count = 0;

    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id)
        all[count++] = *p;
    return count;
}

START_TEST(at_random)
{
    static struct partition before[WALK_MOST + 1], after[WALK_MOST + 1];

    seed = (unsigned)_i + 1;
    begin();
    set("config/suspend_keep", "60");
    engine_events_free(engine_take_events(engine));
    for (int step = 0; step < WALK_STEPS; step++) {
        int64_t now_ns = SECONDS(step / 2);

        ck_assert_int_eq(engine_advance(engine, now_ns), 0);
        engine_events_free(engine_take_events(engine));
        size_t count = copy_all(before);
        do_one(now_ns);
        struct engine_event *events = engine_take_events(engine);
        if (any(5) == 0) {
            ck_assert_int_eq(engine_revert(engine, events), 0);
            ck_assert_uint_eq(copy_all(after), count);
            ck_assert_int_eq(memcmp(before, after, count * sizeof(before[0])), 0);
        }
        engine_events_free(events);
        ck_assert_int_eq(engine_advance(engine, now_ns), 0);
        all_is_well(now_ns);
    }
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    const TTest *const tests[] = {its_memory_is_free_at_its_end,
                                  stages,
                                  ends,
                                  no_room,
                                  asked_for,
                                  pending,
                                  hours,
                                  taken_back,
                                  not_low,
                                  not_preempted,
                                  restored,
                                  not_from_mps};
    TCase *all = check_case("suspend", NULL, stop);

    tcase_add_loop_test(all, at_random, 0, 10);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(all, tests[i]);
    return check_run("suspend", all);
}
