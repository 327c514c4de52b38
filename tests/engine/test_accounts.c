/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair order and usage, one promise at a time: who goes first, what is half after a half-life, and
 * that the records which the store keeps give the same again. quota_model.c tries everything else.
 */
#include "waiting_fixture.h"

#include "core/engine/accounts.h"

#define HOUR  SECONDS(3600)
#define USERS 4

static const struct caller boss = {.admin = true, .root = true};

static void begin(void)
{
    start(100 * GIB);
    engine_set_rules(
        engine,
        &(struct engine_rules){.order = engine_order_by_usage, .context = engine, .forward = 100});
}

static uwide usage(uint32_t uid, int64_t now_ns)
{
    return engine_use(engine, HOLDER_USER, uid, now_ns).usage;
}

static int set(int64_t now_ns, const char *key, const char *value)
{
    return engine_set(engine, CALL(now_ns, &boss, &why), key, value);
}

/* Use `text` from begin to end. */
static void use(uint32_t uid, int64_t from_ns, int64_t until_ns, const char *text)
{
    const struct caller caller = {.uid = uid};
    uint64_t id = grant(engine, from_ns, &caller, 0, text);

    ck_assert_int_eq(engine_advance(engine, until_ns), 0);
    if (engine_find(engine, id))
        release(until_ns, id);
}

START_TEST(freed_room_goes_to_the_lesser)
{
    begin();
    use(1000, 0, 10 * HOUR, "1 11h");
    uint64_t a = waits(10 * HOUR, 1002, 0, "1 10h", 0);
    uint64_t b = waits(10 * HOUR, 1000, 0, "1 1h", 0), c = waits(10 * HOUR, 1001, 0, "1 1h", 0);
    starts(b, 20 * 3600, PARTITION_PENDING);
    starts(c, 21 * 3600, PARTITION_PENDING);
    release(11 * HOUR, a);
    starts(c, 11 * 3600, PARTITION_ACTIVE);
    starts(b, 12 * 3600, PARTITION_PENDING);
}
END_TEST

START_TEST(weights_divide_usage)
{
    begin();
    ck_assert_int_eq(set(0, "quota/user/1000/weight", "20"), 0);
    use(1000, 0, 10 * HOUR, "1 11h");
    use(1001, 10 * HOUR, 11 * HOUR, "1 1h");
    uint64_t a = waits(11 * HOUR, 1002, 0, "1 10h", 0);
    uint64_t b = waits(11 * HOUR, 1001, 0, "1 1h", 0), c = waits(11 * HOUR, 1000, 0, "1 1h", 0);
    release(12 * HOUR, a);
    starts(c, 12 * 3600, PARTITION_ACTIVE);
    starts(b, 13 * 3600, PARTITION_PENDING);
}
END_TEST

START_TEST(half_after_a_half_life)
{
    begin();
    ck_assert_int_eq(set(0, "config/half_life", "1d"), 0);
    use(1000, 0, 10 * HOUR, "1 10h");
    use(1001, 24 * HOUR, 34 * HOUR, "0.5 10h");
    ck_assert(usage(1000, 40 * HOUR) == usage(1001, 40 * HOUR));
    ck_assert_uint_eq(engine_use(engine, HOLDER_USER, 1000, 40 * HOUR).share_ppm, 500000);
}
END_TEST

START_TEST(pieces_are_the_whole)
{
    const struct caller caller = {.uid = 1000};
    const int64_t half_life = 7 * 24 * HOUR;
    wide sum = 0;
    int64_t at_ns = 0;

    begin();
    uint64_t id = grant(engine, 0, &caller, 0, "0.5 11h");
    for (int i = 1; i <= 1000; i++) {
        int64_t next_ns = i * (HOUR / 100);
        sum += (wide)(i % 2 ? 500000 : 250000) *
               (wide)(fairshare_f(half_life, next_ns) - fairshare_f(half_life, at_ns));
        at_ns = next_ns;
        ck_assert_int_eq(
            engine_resize(engine, CALL(at_ns, &caller, &why), id, i % 2 ? 25 * GIB : 50 * GIB), 0);
        ck_assert((wide)usage(1000, at_ns) == sum);
    }
    release(at_ns, id);
    ck_assert((wide)usage(1000, 20 * HOUR) == sum);
}
END_TEST

START_TEST(another_half_life)
{
    begin();
    use(1000, 0, 10 * HOUR, "1 10h");
    const struct caller caller = {.uid = 1001};
    grant(engine, 10 * HOUR, &caller, 0, "0.5 100h");
    engine_events_free(engine_take_events(engine));
    uwide a = usage(1000, 20 * HOUR), b = usage(1001, 20 * HOUR);
    uint32_t share = engine_use(engine, HOLDER_USER, 1000, 20 * HOUR).share_ppm;
    ck_assert_int_eq(set(20 * HOUR, "config/half_life", "2h"), 0);
    uint32_t then = engine_use(engine, HOLDER_USER, 1000, 20 * HOUR).share_ppm;
    ck_assert_msg(then + 2 > share && then < share + 2, "%u, %u", then, share);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert(usage(1000, 20 * HOUR) == a && usage(1001, 20 * HOUR) == b);
    /* Old usage fades faster now. */
    ck_assert_int_eq(set(20 * HOUR, "config/half_life", "2h"), 0);
    ck_assert_uint_lt(engine_use(engine, HOLDER_USER, 1000, 60 * HOUR).share_ppm, 1000);
}
END_TEST

/* -- what is dropped ----------------------------------------------------------------- */

#define DAY       (24 * HOUR)
#define STRANGERS 4000

static bool rows[STRANGERS];
static size_t row_count;

/* Keep the rows as the store does. */
static void take_rows(void)
{
    struct engine_event *events = engine_take_events(engine);

    for (const struct engine_event *event = events; event; event = event->next) {
        for (uint32_t i = 0; i < event->usage_count; i++) {
            const struct usage_record *after = &event->usage[i].after;
            bool set = usage_record_is_set(after);

            ck_assert_uint_lt(after->id, STRANGERS);
            row_count += (size_t)set - (size_t)rows[after->id];
            rows[after->id] = set;
        }
    }
    engine_events_free(events);
}

/* Root can use any uid. The rows of those that are over do not stay. */
START_TEST(strangers_leave_nothing)
{
    begin();
    for (uint32_t i = 0; i < STRANGERS; i++) {
        use(i, i * (DAY / 20), i * (DAY / 20) + SECONDS(1), "0.5 1");
        take_rows();
        ck_assert_uint_le(row_count, 20 * 16); /* of a week, and a lap behind */
    }
    ck_assert_uint_gt(row_count, 20); /* those of this week count */
    for (uint32_t i = 0; i < STRANGERS; i++) {
        struct engine_use used = engine_use(engine, HOLDER_USER, i, STRANGERS * (DAY / 20));
        ck_assert(rows[i] == (used.usage > 0));
    }
}
END_TEST

/* Not before its week is over, while it holds something, or while a second of a device is left. */
START_TEST(dropped_when_it_does_not_count)
{
    begin();
    ck_assert_int_eq(set(0, "config/half_life", "1d"), 0);
    use(7, 0, 10 * HOUR, "1 10h");
    use(8, 10 * HOUR, 10 * HOUR + SECONDS(1), "0.5 1");
    use(9, 10 * HOUR, 10 * HOUR + SECONDS(1), "0.5 1");
    const struct caller holder = {.uid = 9};
    grant(engine, 11 * HOUR, &holder, 0, "0.1 100d");
    take_rows();
    for (int day = 1; day < 20; day++) {
        for (int i = 0; i < 4; i++) {
            int64_t at_ns = day * DAY + i * HOUR;
            use(1, at_ns, at_ns + SECONDS(1), "0.5 1");
            take_rows();
        }
        ck_assert_msg(rows[7] == (day < 16), "day %d", day); /* 36000 s, halved 15 times */
        ck_assert_msg(rows[8] == (day < 7), "day %d", day);
        ck_assert(rows[9]);
    }
}
END_TEST

/* A drop that was not stored is taken back with its event, though the memory is free again. */
START_TEST(dropped_and_taken_back)
{
    begin();
    use(8, 0, SECONDS(1), "0.5 1");
    take_rows();
    uwide before = usage(8, 8 * DAY);
    ck_assert(before > 0);
    use(1, 8 * DAY, 8 * DAY + SECONDS(1), "0.5 1");
    ck_assert_int_eq(engine_advance(engine, 8 * DAY + SECONDS(2)), 0);
    ck_assert(usage(8, 8 * DAY) == 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert(usage(8, 8 * DAY) == before);
    /* One that never began leaves no holder; its end is taken back, too. */
    waits(9 * DAY, 1, 0, "1 1h", 0);
    uint64_t id = waits(9 * DAY, 3000, 0, "1 1h", 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_use(engine, HOLDER_USER, 3000, 9 * DAY).waiting, 1);
    release(9 * DAY, id);
    ck_assert_int_eq(engine_advance(engine, 9 * DAY + 1), 0);
    events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert_int_eq(engine_use(engine, HOLDER_USER, 3000, 9 * DAY).waiting, 1);
}
END_TEST

/* The records and the partitions of an engine, in another one. */
static struct engine *again(const struct usage_record *records, size_t count, int64_t half_life)
{
    struct engine *other = new_engine();
    const struct partition *p;
    char text[24];

    add_device(other, 100 * GIB, true);
    snprintf(text, sizeof(text), "%lld", (long long)(half_life / NS_PER_SECOND));
    ck_assert_int_eq(engine_set(other, CALL(0, &boss, &why), "config/half_life", text), 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(engine_restore_usage(other, &records[i]), 0);
    for (uint64_t after = 0; (p = engine_next(engine, after)); after = p->id)
        ck_assert_int_eq(engine_restore(other, p), 0);
    return other;
}

static void note(struct usage_record *records, size_t *count, const struct engine_event *event)
{
    for (uint32_t i = 0; i < event->usage_count; i++) {
        size_t at = 0;

        while (at < *count && records[at].id != event->usage[i].after.id)
            at++;
        *count += at == *count;
        records[at] = event->usage[i].after;
    }
}

/* Over many epochs: what is held for long, and what is not, is the same from the records. */
START_TEST(restarts_over_epochs)
{
    struct usage_record records[USERS];
    size_t count = 0;
    int64_t now_ns = 0, half_life = HOUR;

    begin();
    srand((unsigned)_i + 1);
    ck_assert_int_eq(set(0, "config/half_life", "1h"), 0);
    for (int step = 0; step < 200; step++) {
        const struct caller caller = {.uid = 1000 + (uint32_t)rand() % USERS};
        const struct partition *p = engine_next(engine, (uint64_t)rand() % 40);
        uint64_t held = p ? p->id : 0; /* it can end before it is resized */
        struct request request = {.amount = {.bytes = GIB * (1 + (uint64_t)rand() % 20)},
                                  .duration_ns = SECONDS(1 + rand() % (40 * 3600))};
        struct creation creation = {.request = &request, .owner_uid = caller.uid};
        uint64_t id;

        now_ns += SECONDS(rand() % (rand() % 8 ? 3600 : 40 * 3600));
        ck_assert_int_eq(engine_advance(engine, now_ns), 0);
        if (rand() % 3)
            engine_create(engine, CALL(now_ns, &caller, &why), &creation, &id);
        else if (engine_find(engine, held))
            engine_resize(engine, CALL(now_ns, &boss, &why), held, GIB);
        struct engine_event *events = engine_take_events(engine);
        for (const struct engine_event *event = events; event; event = event->next)
            note(records, &count, event);
        engine_events_free(events);
        struct engine *other = again(records, count, half_life);
        for (uint32_t uid = 1000; uid < 1000 + USERS; uid++) {
            uwide here = usage(uid, now_ns);
            ck_assert_msg(engine_use(other, HOLDER_USER, uid, now_ns).usage == here,
                          "step %d, user %u", step, uid);
        }
        engine_free(other);
    }
}
END_TEST

START_TEST(administrators_and_owners)
{
    const struct caller caller = {.uid = 1000};
    uint64_t id;

    begin();
    ck_assert_int_eq(set(0, "quota/default/fraction", "0.5"), 0);
    ck_assert_int_eq(ask(engine, 0, &caller, 0, "0.6 1h", &why, &id), REFUSED_QUOTA);
    ck_assert_str_eq(why.message, "Your quota allows 0.5 devices at a time, of which 0 are "
                                  "promised. This never fits.");
    id = grant(engine, 0, &boss, 0, "0.6 1h");
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &boss, &why), id, 1000, 0, 0755),
                     REFUSED_QUOTA);
    ck_assert_str_eq(why.message, "User 1000's quota allows 0.5 devices at a time, of which 0 are "
                                  "promised. This never fits.");
    ck_assert_int_eq(set(0, "quota/user/1000/fraction", "max"), 0);
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &boss, &why), id, 1000, 0, 0755), 0);
    ck_assert_int_eq(set(0, "quota/user/1000/fraction", ""), 0); /* it keeps what it has */
    ck_assert_int_eq(engine_resize(engine, CALL(0, &caller, &why), id, 61 * GIB), REFUSED_QUOTA);
    ck_assert_str_eq(why.message, "Your quota allows 0.5 devices at a time, of which 0 are "
                                  "promised. Nothing more fits.");
    ck_assert_int_eq(engine_resize(engine, CALL(0, &caller, &why), id, 55 * GIB), 0);
    static const char *const wrong[] = {"quota/user/1000/gpus",   "quota/user/01000/fraction",
                                        "quota/group/0/fraction", "quota/user//fraction",
                                        "quota/default/",         "quota/",
                                        "quota/user/1000"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_int_eq(set(0, wrong[i], "1"), REFUSED_INVALID);
}
END_TEST

static int reserve(uint32_t uid, int64_t start_ns, uint64_t series, uint64_t *ret_id)
{
    return enqueue(0, uid, 0, "0.1 1h",
                   (struct creation_terms){.fixed = true, .start_ns = start_ns, .series = series},
                   ret_id);
}

static uint32_t waiting(uint32_t uid)
{
    return engine_use(engine, HOLDER_USER, uid, 0).waiting;
}

START_TEST(a_series_is_one_request)
{
    uint64_t mondays[12], other, id;

    begin();
    ck_assert_int_eq(set(0, "quota/default/pending", "2"), 0);
    ck_assert_int_eq(reserve(1000, HOUR, ENGINE_SERIES_NEW, &mondays[0]), 0);
    for (int week = 1; week < 12; week++)
        ck_assert_int_eq(reserve(1000, HOUR + week * 168 * HOUR, mondays[0], &mondays[week]), 0);
    ck_assert_uint_eq(waiting(1000), 1);
    ck_assert_int_eq(reserve(1000, 2 * HOUR, ENGINE_SERIES_NEW, &other), 0);
    ck_assert_int_eq(reserve(1000, 3 * HOUR, 0, &id), REFUSED_QUOTA);
    ck_assert_int_eq(reserve(1000, 3 * HOUR, ENGINE_SERIES_NEW, &id), REFUSED_QUOTA);
    ck_assert_int_eq(reserve(1000, 3 * HOUR, other, &id), 0);

    /* One of them goes to another user, of whom it is one request as well. */
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &boss, &why), mondays[3], 1001, 0, 0755), 0);
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &boss, &why), mondays[4], 1001, 0, 0755), 0);
    ck_assert_uint_eq(waiting(1000), 2);
    ck_assert_uint_eq(waiting(1001), 1);

    for (int week = 0; week < 12; week++) {
        ck_assert_uint_eq(waiting(1000), 2);
        release(0, mondays[week]);
    }
    ck_assert_uint_eq(waiting(1000), 1);
    ck_assert_uint_eq(waiting(1001), 0);
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    TCase *all = check_case("accounts", NULL, stop);

    tcase_add_loop_test(all, restarts_over_epochs, 0, 8);
    tcase_add_test(all, freed_room_goes_to_the_lesser);
    tcase_add_test(all, weights_divide_usage);
    tcase_add_test(all, half_after_a_half_life);
    tcase_add_test(all, pieces_are_the_whole);
    tcase_add_test(all, another_half_life);
    tcase_add_test(all, strangers_leave_nothing);
    tcase_add_test(all, dropped_when_it_does_not_count);
    tcase_add_test(all, dropped_and_taken_back);
    tcase_add_test(all, administrators_and_owners);
    tcase_add_test(all, a_series_is_one_request);
    return check_run("accounts", all);
}
