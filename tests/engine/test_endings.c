/* SPDX-License-Identifier: Apache-2.0 */
/* How partitions end: what owners can choose, the warning and its time, and notes. */
#include "common.h"

#include <signal.h>

static const struct caller alice = {.uid = 1000, .gid = 1000};
static const struct caller bob = {.uid = 1001, .gid = 1001};
static const struct caller mate = {.uid = 1001, .by_mode = true};
static const struct caller admin = {.uid = 0, .admin = true, .root = true};
static struct engine *engine;
static struct refusal why;

static void start(void)
{
    engine = new_engine();
    add_device(engine, 100, true);
}

static void forget_events(void)
{
    engine_events_free(engine_take_events(engine));
}

/* Takes the next event, which must be of this kind and time; valid until the next call. */
static const struct engine_event *next_event(enum event_kind kind, int64_t at_ns)
{
    static struct engine_event *events, *event;

    if (event)
        event = event->next;
    if (!event) {
        engine_events_free(events);
        event = events = engine_take_events(engine);
    }
    ck_assert_ptr_nonnull(event);
    ck_assert_int_eq(event->kind, kind);
    ck_assert_int_eq(event->at_ns, at_ns);
    return event;
}

static void no_event(void)
{
    ck_assert_ptr_null(engine_take_events(engine));
}

static void set(const char *key, const char *value)
{
    ck_assert_msg(engine_set(engine, CALL(0, &admin, &why), key, value) == 0, "%s", why.message);
    forget_events();
}

static int on_expiry(const struct caller *caller, uint32_t value)
{
    struct ending_change change = {.set_on_expiry = true, .on_expiry = value};

    return engine_set_ending(engine, CALL(SECONDS(1), caller, &why), 1, &change);
}

static int grace(const struct caller *caller, int64_t seconds)
{
    struct ending_change change = {.set_grace = true, .grace_ns = SECONDS(seconds)};

    return engine_set_ending(engine, CALL(SECONDS(1), caller, &why), 1, &change);
}

static int warn_at(int64_t now_ns, uint64_t id, int64_t seconds, uint32_t warn_signal)
{
    struct ending_change change = {
        .set_warn = true, .warn.ns = SECONDS(seconds), .warn.signal = warn_signal};

    return engine_set_ending(engine, CALL(now_ns, &alice, &why), id, &change);
}

static void refused(int r, int code, const char *words)
{
    ck_assert_msg(r == code, "%d instead of %d: %s", r, code, why.message);
    ck_assert_msg(strstr(why.message, words), "\"%s\" does not contain \"%s\"", why.message, words);
    ck_assert_msg(is_sentence(why.message), "\"%s\"", why.message);
    no_event();
}

START_TEST(a_request_sets_its_ending)
{
    start();
    const struct partition *p = engine_find(
        engine, grant(engine, 0, &alice, 0, "1B 1h on_expiry=kill grace=0 warn=5m:HUP"));
    ck_assert_uint_eq(p->on_expiry, ON_EXPIRY_KILL);
    ck_assert_int_eq(p->grace_ns, 0);
    ck_assert_int_eq(p->warn.ns, SECONDS(300));
    ck_assert_uint_eq(p->warn.signal, SIGHUP);
    set("config/default_on_expiry", "none");
    set("config/default_grace", "20");
    set("config/default_warn", "60:USR1");
    p = engine_find(engine, grant(engine, 0, &alice, 0, "1B 1h"));
    ck_assert_uint_eq(p->on_expiry, ON_EXPIRY_NONE);
    ck_assert_int_eq(p->grace_ns, SECONDS(20));
    ck_assert_int_eq(p->warn.ns, SECONDS(60));
    ck_assert_uint_eq(p->warn.signal, SIGUSR1);
    p = engine_find(engine, grant(engine, 0, &alice, 0, "1B 1h warn=none"));
    ck_assert_int_eq(p->warn.ns, 0);
    ck_assert_uint_eq(p->warn.signal, 0);
    engine_free(engine);
}
END_TEST

START_TEST(owners_are_bound_by_the_policy)
{
    uint64_t id;

    start();
    set("config/allowed_on_expiry", "kill term");
    set("config/max_grace", "30");
    set("config/default_on_expiry", "none");
    set("config/default_grace", "60");
    refused(ask(engine, 0, &alice, 0, "1B 1h on_expiry=term grace=31", &why, &id), REFUSED_INVALID,
            "A grace of 31s is too long; at most 30s is allowed.");
    set("config/allowed_on_expiry", "kill");
    refused(ask(engine, 0, &alice, 0, "1B 1h on_expiry=term", &why, &id), REFUSED_INVALID,
            "does not allow on_expiry=term; write one of: kill.");
    /* defaults are the administrator's choice, even beyond other limits */
    id = grant(engine, 0, &alice, 0, "1B 1h on_expiry=none grace=60");
    ck_assert_uint_eq(id, 1);
    grant(engine, 0, &alice, 0, "1B 1h on_expiry=kill grace=30");
    grant(engine, 0, &admin, 0, "1B 1h on_expiry=term grace=100d");
    forget_events();
    refused(on_expiry(&alice, ON_EXPIRY_TERM), REFUSED_INVALID, "write one of: kill");
    refused(grace(&alice, 31), REFUSED_INVALID, "at most 30s");
    refused(on_expiry(&bob, ON_EXPIRY_KILL), REFUSED_OWNER, "owned by uid 1000");
    refused(on_expiry(&mate, ON_EXPIRY_TERM), REFUSED_INVALID, "write one of: kill");
    /* writing the present value back is allowed */
    ck_assert_int_eq(on_expiry(&alice, ON_EXPIRY_NONE), 0);
    ck_assert_int_eq(grace(&alice, 60), 0);
    no_event();
    ck_assert_int_eq(on_expiry(&mate, ON_EXPIRY_KILL), 0);
    ck_assert_int_eq(grace(&alice, 30), 0);
    ck_assert_int_eq(grace(&alice, 0), 0);
    ck_assert_int_eq(on_expiry(&admin, ON_EXPIRY_TERM), 0);
    ck_assert_int_eq(grace(&admin, 9999), 0);
    ck_assert_uint_eq(engine_find(engine, 1)->on_expiry, ON_EXPIRY_TERM);
    ck_assert_int_eq(engine_find(engine, 1)->grace_ns, SECONDS(9999));
    engine_free(engine);
}
END_TEST

START_TEST(a_change_is_one_event)
{
    struct ending_change all = {true,           true,       true,
                                ON_EXPIRY_KILL, SECONDS(7), {SECONDS(9), SIGUSR2}};
    struct ending_change nothing = {.on_expiry = ON_EXPIRY_NONE, .grace_ns = 1, .warn.ns = 1};

    start();
    grant(engine, 0, &alice, 0, "1B 1h");
    forget_events();
    ck_assert_int_eq(engine_set_ending(engine, CALL(5, &admin, &why), 1, &all), 0);
    const struct engine_event *event = next_event(EVENT_ENDING, 5);
    ck_assert_uint_eq(event->by_uid, 0);
    ck_assert_uint_eq(event->before.on_expiry, ON_EXPIRY_TERM);
    ck_assert_uint_eq(event->after.on_expiry, ON_EXPIRY_KILL);
    ck_assert_int_eq(event->after.grace_ns, SECONDS(7));
    ck_assert_int_eq(event->after.warn.ns, SECONDS(9));
    ck_assert_uint_eq(event->after.warn.signal, SIGUSR2);
    ck_assert_uint_eq(event->after.change_seq, event->seq);
    ck_assert_mem_eq(&event->after, engine_find(engine, 1), sizeof(event->after));
    ck_assert_int_eq(engine_set_ending(engine, CALL(5, &alice, &why), 1, &all), 0);
    ck_assert_int_eq(engine_set_ending(engine, CALL(5, &alice, &why), 1, &nothing), 0);
    no_event();
    /* without a warning there is no signal */
    ck_assert_int_eq(warn_at(5, 1, 0, SIGUSR1), 0);
    ck_assert_uint_eq(next_event(EVENT_ENDING, 5)->after.warn.signal, 0);
    refused(engine_set_ending(engine, CALL(SECONDS(3600), &alice, &why), 1, &all), REFUSED_GONE,
            "p1");
    engine_free(engine);
}
END_TEST

START_TEST(invalid_endings_are_refused)
{
    static const struct ending_change bad[] = {
        {.set_on_expiry = true, .on_expiry = 3},
        {.set_on_expiry = true, .on_expiry = UINT32_MAX},
        {.set_grace = true, .grace_ns = -1},
        {.set_grace = true, .grace_ns = DURATION_MAX_NS + 1},
        {.set_warn = true, .warn.ns = -1},
        {.set_warn = true, .warn.ns = DURATION_MAX_NS + 1},
        {.set_warn = true, .warn.ns = 1, .warn.signal = SIGKILL},
        {.set_warn = true, .warn.ns = 1, .warn.signal = SIGSTOP},
    };
    struct partition p = {.id = 9,
                          .state = PARTITION_ACTIVE,
                          .share_count = 1,
                          .shares[0].memory_bytes = 1,
                          .end_ns = 50};

    start();
    grant(engine, 0, &alice, 0, "1B 1h");
    forget_events();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(engine_set_ending(engine, CALL(5, &admin, &why), 1, &bad[i]), REFUSED_INVALID,
                "on_expiry");
    p.state = PARTITION_EXPIRING;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    p.warn.ns = 7, p.state = PARTITION_SUSPENDED;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    p.state = PARTITION_EXPIRING, p.on_expiry = 4;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    p.on_expiry = 0, p.grace_ns = -1;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    p.grace_ns = 0, p.warn.signal = SIGKILL;
    ck_assert_int_eq(engine_restore(engine, &p), -EINVAL);
    p.warn.signal = SIGUSR1;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    engine_free(engine);
}
END_TEST

START_TEST(the_warning_comes_when_it_is_due)
{
    start();
    grant(engine, 0, &alice, 0, "1B 100 warn=30");
    grant(engine, 0, &alice, 0, "1B 80");
    forget_events();
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(70));
    ck_assert_int_eq(engine_advance(engine, SECONDS(70) - 1), 0);
    no_event();
    ck_assert_uint_eq(engine_find(engine, 1)->state, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_advance(engine, SECONDS(71)), 0);
    const struct engine_event *event =
        next_event(EVENT_WARNED, SECONDS(70)); /* when it was due, not when it was noticed */
    ck_assert_uint_eq(event->by_uid, 1000);
    ck_assert_uint_eq(event->before.state, PARTITION_ACTIVE);
    ck_assert_uint_eq(event->after.state, PARTITION_EXPIRING);
    ck_assert_mem_eq(&event->after, engine_find(engine, 1), sizeof(event->after));
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(80));
    ck_assert_int_eq(engine_advance(engine, SECONDS(99)), 0);
    next_event(EVENT_EXPIRED, SECONDS(80));
    no_event();
    ck_assert_int_eq(engine_advance(engine, SECONDS(100)), 0);
    ck_assert_uint_eq(next_event(EVENT_EXPIRED, SECONDS(100))->before.state, PARTITION_EXPIRING);
    ck_assert_int_eq(engine_next_wakeup(engine), ENGINE_FOREVER);
    engine_free(engine);
}
END_TEST

/* A caller that slept through everything gets every event in order; at the same moment, warnings
 * come before ends. */
START_TEST(warnings_and_ends_are_in_order)
{
    static const struct {
        enum event_kind kind;
        uint64_t id;
        int64_t at;
    } all[] = {{EVENT_WARNED, 1, 20},  {EVENT_WARNED, 3, 20},   {EVENT_EXPIRED, 2, 20},
               {EVENT_EXPIRED, 4, 20}, {EVENT_WARNED, 5, 49},   {EVENT_EXPIRED, 3, 50},
               {EVENT_EXPIRED, 5, 50}, {EVENT_EXPIRED, 1, 100}, {EVENT_WARNED, 6, 150}};

    start();
    grant(engine, 0, &alice, 0, "1B 100 warn=80");
    grant(engine, 0, &alice, 0, "1B 20");
    grant(engine, 0, &alice, 0, "1B 50 warn=30");
    grant(engine, 0, &alice, 0, "1B 20");
    grant(engine, 0, &alice, 0, "1B 50 warn=1");
    grant(engine, 0, &alice, 0, "1B 300 warn=150");
    forget_events();
    ck_assert_int_eq(engine_advance(engine, SECONDS(200)), 0);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        ck_assert_uint_eq(next_event(all[i].kind, SECONDS(all[i].at))->before.id, all[i].id);
    no_event();
    ck_assert_uint_eq(engine_count(engine), 1);
    engine_free(engine);
}
END_TEST

/* Ended in portions, the events are the same, and no query shows what is over and not ended yet. */
START_TEST(ends_come_in_portions)
{
    uint64_t count, bytes;
    uint32_t uid;

    start();
    for (int i = 0; i < 10; i++)
        grant(engine, 0, i % 2 ? &alice : &bob, 0, "1B 20");
    uint64_t last = grant(engine, 0, &alice, 0, "1B 50");
    forget_events();
    ck_assert_int_eq(engine_advance_some(engine, SECONDS(19), 3), 0);
    ck_assert_uint_eq(engine_count(engine), 11);
    for (uint64_t ended = 0; ended < 10; ended += 3) {
        ck_assert_int_eq(engine_advance_some(engine, SECONDS(20), ended ? 3 : 0), 0);
        for (uint64_t id = ended ? ended - 2 : 1; id <= ended; id++)
            ck_assert_uint_eq(next_event(EVENT_EXPIRED, SECONDS(20))->before.id, id);
        no_event();
        ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(20));
        ck_assert_uint_eq(engine_count(engine), 1);
        ck_assert_uint_eq(engine_device_partitions(engine, 0), 1);
        ck_assert_ptr_null(engine_find(engine, 10));
        ck_assert(engine_is_known(engine, 10) && !engine_is_known(engine, ended));
        ck_assert_uint_eq(engine_next(engine, 0)->id, last);
        ck_assert_uint_eq(engine_next_on_device(engine, 0, 0)->id, last);
        ck_assert_ptr_null(engine_next_of_user(engine, bob.uid, 0));
        engine_user_holds(engine, bob.uid, &count, &bytes);
        ck_assert_uint_eq(count + bytes, 0);
        engine_user_holds(engine, alice.uid, &count, &bytes);
        ck_assert_uint_eq(count, 1);
        ck_assert(engine_next_user(engine, 0, &uid) && uid == alice.uid);
        ck_assert(!engine_next_user(engine, uid + 1, &uid));
    }
    ck_assert_int_eq(engine_advance_some(engine, SECONDS(20), 3), 0);
    ck_assert_uint_eq(next_event(EVENT_EXPIRED, SECONDS(20))->before.id, 10);
    no_event();
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(50));
    engine_free(engine);
}
END_TEST

/* Lists and sums pass by those that are over, at that moment and later. */
START_TEST(queries_pass_by_the_over)
{
    uint64_t count, bytes, live[4];
    uint32_t uid;

    start();
    for (int i = 0; i < 90; i++) {
        if (i % 30 == 15)
            live[i / 30] = grant(engine, 0, i > 50 ? &alice : &bob, 0, "2B 50");
        grant(engine, 0, i % 2 ? &alice : &bob, 0, "1B 20");
    }
    for (int64_t at_ns = SECONDS(20); at_ns < SECONDS(21); at_ns += 10000000) {
        uint64_t id = 0, on_device = 0;

        ck_assert_int_eq(engine_advance_some(engine, at_ns, at_ns > SECONDS(20)), 0);
        for (int i = 0; i < 3; i++) {
            ck_assert_uint_eq(id = engine_next(engine, id)->id, live[i]);
            ck_assert_uint_eq(on_device = engine_next_on_device(engine, 0, on_device)->id, live[i]);
        }
        ck_assert_ptr_null(engine_next(engine, id));
        ck_assert_ptr_null(engine_next_on_device(engine, 0, id));
        ck_assert_uint_eq(engine_count(engine), 3);
        ck_assert_uint_eq(engine_device_partitions(engine, 0), 3);
        ck_assert_uint_eq(engine_next_of_user(engine, alice.uid, 0)->id, live[2]);
        engine_user_holds(engine, bob.uid, &count, &bytes);
        ck_assert(count == 2 && bytes == 4 && engine_account_holds(engine, bob.uid) == 2);
        ck_assert_uint_eq(engine_user_holds_from(engine, bob.uid, live[0] + 1), 1);
        ck_assert(engine_next_user(engine, 0, &uid));
    }
    engine_free(engine);
}
END_TEST

START_TEST(a_warning_that_is_due_comes_at_once)
{
    start();
    grant(engine, 7, &alice, 0, "1B 10 warn=10"); /* exactly the whole duration */
    const struct engine_event *created = next_event(EVENT_CREATED, 7);
    ck_assert_uint_eq(created->after.state, PARTITION_ACTIVE);
    uint64_t seq = created->seq;
    ck_assert_uint_eq(next_event(EVENT_WARNED, 7)->seq, seq + 1);
    ck_assert_uint_eq(engine_find(engine, 1)->state, PARTITION_EXPIRING);
    grant(engine, 0, &alice, 0, "1B 10 warn=11");
    next_event(EVENT_CREATED, 0);
    next_event(EVENT_WARNED, 0);
    grant(engine, 0, &alice, 0, "1B 10 warn=9");
    next_event(EVENT_CREATED, 0);
    no_event();
    /* shortened into the warning time */
    ck_assert_int_eq(engine_set_end(engine, CALL(5, &alice, &why), 3, SECONDS(8)), 0);
    next_event(EVENT_SHORTENED, 5);
    ck_assert_uint_eq(next_event(EVENT_WARNED, 5)->after.id, 3);
    grant(engine, 0, &alice, 0, "1B 10");
    forget_events();
    ck_assert_int_eq(warn_at(SECONDS(2), 4, 8, 0), 0);
    ck_assert_uint_eq(next_event(EVENT_ENDING, SECONDS(2))->after.state, PARTITION_ACTIVE);
    next_event(EVENT_WARNED, SECONDS(2));
    no_event();
    engine_free(engine);
}
END_TEST

START_TEST(an_extension_makes_a_partition_active_again)
{
    start();
    grant(engine, 0, &alice, 0, "1B 100 warn=30");
    const struct partition *p = engine_find(engine, 1);
    ck_assert_int_eq(engine_advance(engine, SECONDS(75)), 0);
    ck_assert_uint_eq(p->state, PARTITION_EXPIRING);
    forget_events();
    /* still within the 30 s: no second warning */
    ck_assert_int_eq(engine_set_end(engine, CALL(SECONDS(75), &alice, &why), 1, SECONDS(105)), 0);
    next_event(EVENT_EXTENDED, SECONDS(75));
    no_event();
    ck_assert_uint_eq(p->state, PARTITION_EXPIRING);
    ck_assert_int_eq(engine_set_end(engine, CALL(SECONDS(75), &alice, &why), 1, SECONDS(105) + 1),
                     0);
    ck_assert_uint_eq(next_event(EVENT_EXTENDED, SECONDS(75))->after.state, PARTITION_ACTIVE);
    ck_assert_uint_eq(p->state, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(75) + 1);
    ck_assert_int_eq(engine_advance(engine, SECONDS(75) + 1), 0);
    next_event(EVENT_WARNED, SECONDS(75) + 1);
    no_event();
    /* shortened after the warning: no second one, because the end is near anyway */
    ck_assert_int_eq(engine_set_end(engine, CALL(SECONDS(80), &alice, &why), 1, SECONDS(90)), 0);
    next_event(EVENT_SHORTENED, SECONDS(80));
    no_event();
    /* change the warning itself */
    ck_assert_int_eq(warn_at(SECONDS(80), 1, 20, SIGUSR1), 0);
    next_event(EVENT_ENDING, SECONDS(80));
    ck_assert_int_eq(warn_at(SECONDS(80), 1, 20, SIGUSR2), 0);
    ck_assert_uint_eq(next_event(EVENT_ENDING, SECONDS(80))->after.state, PARTITION_EXPIRING);
    ck_assert_int_eq(warn_at(SECONDS(80), 1, 5, 0), 0);
    ck_assert_uint_eq(next_event(EVENT_ENDING, SECONDS(80))->after.state, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(85));
    ck_assert_int_eq(warn_at(SECONDS(80), 1, 0, 0), 0);
    next_event(EVENT_ENDING, SECONDS(80));
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(90));
    ck_assert_int_eq(engine_advance(engine, SECONDS(90)), 0);
    next_event(EVENT_EXPIRED, SECONDS(90));
    no_event();
    engine_free(engine);
}
END_TEST

/* A change of neither end nor warning leaves a warning to its due time. */
START_TEST(other_changes_do_not_warn)
{
    start();
    grant(engine, 0, &alice, 0, "1B 100 warn=30");
    forget_events();
    ck_assert_int_eq(engine_rename(engine, CALL(SECONDS(80), &alice, &why), 1, "late"), 0);
    next_event(EVENT_RENAMED, SECONDS(80));
    ck_assert_int_eq(grace(&alice, 5), 0);
    next_event(EVENT_ENDING, SECONDS(1));
    no_event();
    ck_assert_int_eq(engine_advance(engine, SECONDS(80)), 0);
    next_event(EVENT_WARNED, SECONDS(70));
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(81), &alice, &why), 1), 0);
    next_event(EVENT_RELEASED, SECONDS(81));
    no_event();
    engine_free(engine);
}
END_TEST

START_TEST(a_reverted_warning_comes_again)
{
    start();
    grant(engine, 0, &alice, 0, "1B 100 warn=30");
    forget_events();
    ck_assert_int_eq(engine_advance(engine, SECONDS(75)), 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(SECONDS(75), &alice, &why), 1, SECONDS(200)), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert_uint_eq(engine_find(engine, 1)->state, PARTITION_ACTIVE);
    ck_assert_int_eq(engine_find(engine, 1)->end_ns, SECONDS(100));
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(70));
    ck_assert_int_eq(engine_advance(engine, SECONDS(76)), 0);
    next_event(EVENT_WARNED, SECONDS(70));
    no_event();
    engine_free(engine);
}
END_TEST

START_TEST(restore_keeps_warnings)
{
    struct partition p = {.id = 5,
                          .state = PARTITION_EXPIRING,
                          .share_count = 1,
                          .shares[0].memory_bytes = 1,
                          .end_ns = 100,
                          .warn.ns = 30};

    start();
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), 100);
    p.id = 6, p.state = PARTITION_ACTIVE;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), 70);
    /* further back than time reaches */
    p.id = 7, p.start_ns = INT64_MIN, p.end_ns = INT64_MIN + 5, p.warn.ns = DURATION_MAX_NS;
    ck_assert_int_eq(engine_restore(engine, &p), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), INT64_MIN);
    ck_assert_int_eq(engine_advance(engine, 80), 0);
    next_event(EVENT_WARNED, INT64_MIN);
    next_event(EVENT_EXPIRED, INT64_MIN + 5);
    next_event(EVENT_WARNED, 70);
    no_event();
    engine_free(engine);
}
END_TEST

START_TEST(notes_change_nothing)
{
    struct partition about, before;

    start();
    grant(engine, 0, &alice, 0, "1B 100");
    forget_events();
    before = about = *engine_find(engine, 1);
    about.shares[0].memory_bytes = 77; /* the engine's own record counts */
    ck_assert_int_eq(engine_note(engine, 5, &about, 0, "killed", "pid=17 bytes=4096"), 0);
    const struct engine_event *event = next_event(EVENT_NOTE, 5);
    uint64_t seq = event->seq;
    ck_assert_str_eq(event->key, "killed");
    ck_assert_str_eq(event->value, "pid=17 bytes=4096");
    ck_assert_uint_eq(event->by_uid, 0);
    ck_assert_mem_eq(&event->before, &before, sizeof(before));
    before.change_seq = seq; /* lines about it continue here */
    ck_assert_mem_eq(&event->after, &before, sizeof(before));
    ck_assert_mem_eq(engine_find(engine, 1), &before, sizeof(before));
    ck_assert_int_eq(engine_release(engine, CALL(6, &alice, &why), 1), 0);
    forget_events();
    ck_assert_int_eq(engine_note(engine, 7, &about, 1000, "emptied", ""), 0);
    event = next_event(EVENT_NOTE, 7);
    ck_assert_mem_eq(&event->after, &about, sizeof(about));
    ck_assert_mem_eq(&event->before, &about, sizeof(about));
    ck_assert_uint_eq(engine_count(engine), 0);
    about = (struct partition){.uid = 1001};
    ck_assert_int_eq(engine_note(engine, 8, &about, 0, "unmanaged", "pid=5"), 0);
    event = next_event(EVENT_NOTE, 8);
    ck_assert_uint_eq(event->after.id, 0);
    ck_assert_uint_eq(event->after.uid, 1001);
    no_event();
    engine_free(engine);
}
END_TEST

START_TEST(invalid_notes_are_refused)
{
    static const char *const words[] = {"",    "two words", "Killed",
                                        "a=b", "p1\n",      "01234567890123456789012345678901"};
    struct partition about = {.uid = 0};
    char details[ENGINE_VALUE_MAX + 1];

    start();
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        ck_assert_int_eq(engine_note(engine, 5, &about, 0, words[i], ""), -EINVAL);
    memset(details, 'x', sizeof(details));
    details[ENGINE_VALUE_MAX] = 0;
    ck_assert_int_eq(engine_note(engine, 5, &about, 0, "ok", details), -EINVAL);
    ck_assert_int_eq(engine_note(engine, 5, &about, 0, "ok", "a\tb"), -EINVAL);
    no_event();
    details[ENGINE_VALUE_MAX - 1] = 0;
    ck_assert_int_eq(engine_note(engine, 5, &about, 0, words[5] + 1, details), 0);
    next_event(EVENT_NOTE, 5);
    engine_free(engine);
}
END_TEST

START_TEST(texts)
{
    char text[WARN_TEXT_MAX], set_text[64], message[ENGINE_MESSAGE_MAX];
    struct warning warning;

    ending_warn_text(&(struct warning){0, SIGUSR1}, text);
    ck_assert_str_eq(text, "none");
    ending_warn_text(&(struct warning){SECONDS(300), 0}, text);
    ck_assert_str_eq(text, "300");
    ending_warn_text(&(struct warning){DURATION_MAX_NS, SIGWINCH}, text);
    ck_assert_str_eq(text, "3153600000:WINCH");
    ck_assert_int_eq(ending_parse_warn(text, strlen(text), &warning, message, sizeof(message)), 0);
    ck_assert(warning.ns == DURATION_MAX_NS && warning.signal == SIGWINCH);
    ck_assert_int_eq(ending_parse_warn("none", 4, &warning, message, sizeof(message)), 0);
    ck_assert(warning.ns == 0 && warning.signal == 0);
    ck_assert_str_eq(ending_on_expiry_text(ON_EXPIRY_KILL), "kill");
    ck_assert_str_eq(ending_on_expiry_text(7), "unknown");
    ending_on_expiry_set_text(5, set_text, sizeof(set_text));
    ck_assert_str_eq(set_text, "none kill");
    ck_assert_ptr_null(ending_signal_text(0));
    ck_assert_ptr_null(ending_signal_text(SIGKILL));
    ck_assert_str_eq(ending_signal_text(SIGURG), "URG");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_request_sets_its_ending,
        owners_are_bound_by_the_policy,
        a_change_is_one_event,
        invalid_endings_are_refused,
        the_warning_comes_when_it_is_due,
        warnings_and_ends_are_in_order,
        ends_come_in_portions,
        queries_pass_by_the_over,
        a_warning_that_is_due_comes_at_once,
        an_extension_makes_a_partition_active_again,
        other_changes_do_not_warn,
        a_reverted_warning_comes_again,
        restore_keeps_warnings,
        notes_change_nothing,
        invalid_notes_are_refused,
        texts,
    };

    return check_run_tests("endings", NULL, NULL, tests, ARRAY_COUNT(tests));
}
