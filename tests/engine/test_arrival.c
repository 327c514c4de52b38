/* SPDX-License-Identifier: Apache-2.0 */
/* config/no_show: reservations that are not used are warned about once, then end. */
#include "waiting_fixture.h"

static const int64_t at_ns = SECONDS(100);

static void set(const char *value)
{
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/no_show", value), 0);
    engine_events_free(engine_take_events(engine));
}

static void advance(int64_t now_ns)
{
    ck_assert_int_eq(engine_advance(engine, now_ns), 0);
}

static uint64_t reserve(const char *text)
{
    struct creation_terms terms = {
        .fixed = true, .start_ns = at_ns, .priority = PRIORITY_NORMAL, .gpus = 1};
    uint64_t id = 0;

    ck_assert_msg(!enqueue(0, 1000, 0, text, terms, &id), "%s", why.message);
    return id;
}

static uint64_t reserved(const char *no_show, const char *text)
{
    start(80 * GIB);
    set(no_show);
    uint64_t id = reserve(text);
    advance(0);
    ck_assert_str_eq(kinds(), "c");
    return id;
}

static void is_at(uint64_t id, uint32_t state, uint32_t arrival)
{
    ck_assert_uint_eq(engine_find(engine, id)->state, state);
    ck_assert_uint_eq(engine_find(engine, id)->arrival, arrival);
}

START_TEST(warned_once_then_freed)
{
    uint64_t id = reserved("60", "1 1h"), waiter = waits(0, 1001, 0, "1 30m", 0);

    starts(waiter, 3700, PARTITION_PENDING);
    kinds();
    advance(at_ns);
    is_at(id, PARTITION_ACTIVE, ARRIVAL_AWAITED);
    ck_assert_int_eq(engine_no_show_ns(engine, id), at_ns + SECONDS(60));
    ck_assert_int_eq(engine_next_wakeup(engine), at_ns + SECONDS(30));
    advance(at_ns + SECONDS(30) - 1);
    ck_assert_str_eq(kinds(), "s");
    advance(at_ns + SECONDS(30));
    const struct engine_event *event = one_event(EVENT_MISSED);
    ck_assert_int_eq(event->at_ns, at_ns + SECONDS(30));
    is_at(id, PARTITION_EXPIRING, ARRIVAL_MISSED);
    ck_assert_int_eq(engine_no_show_ns(engine, id), at_ns + SECONDS(60));
    ck_assert_int_eq(engine_next_wakeup(engine), at_ns + SECONDS(60));
    advance(at_ns + SECONDS(60) - 1);
    ck_assert_str_eq(kinds(), "");
    advance(at_ns + SECONDS(60));
    ck_assert_str_eq(kinds(), "nms"); /* the one that waited starts in the same moment */
    ck_assert_ptr_null(engine_find(engine, id));
    starts(waiter, 160, PARTITION_ACTIVE);
    engine_free(engine);
}
END_TEST

/* Before the warning and after it; from then on it has all of its time. */
START_TEST(use_keeps_it)
{
    uint64_t id = reserved("60", "0.5 1h"), other = reserve("0.5 1h");

    ck_assert_int_eq(engine_arrive(engine, 0, id), 0); /* it has not started */
    ck_assert_str_eq(kinds(), "c");
    advance(at_ns + SECONDS(1));
    ck_assert_str_eq(kinds(), "ss");
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(1), id), 0);
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(1), id), 0); /* once a partition */
    ck_assert_uint_eq(one_event(EVENT_USED)->after.change_seq, engine_find(engine, id)->change_seq);
    is_at(id, PARTITION_ACTIVE, ARRIVAL_NONE);
    advance(at_ns + SECONDS(31)); /* the start was noticed a second late */
    ck_assert_uint_eq(one_event(EVENT_MISSED)->after.id, other);
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(40), other), 0);
    one_event(EVENT_USED);
    is_at(other, PARTITION_ACTIVE, ARRIVAL_NONE);
    ck_assert_int_eq(engine_next_wakeup(engine), at_ns + SECONDS(3600));
    advance(at_ns + SECONDS(3600));
    ck_assert_str_eq(kinds(), "xx");
    engine_free(engine);
}
END_TEST

/* Off by default; and only reservations that start while it is set are awaited. */
START_TEST(who_is_awaited)
{
    start(80 * GIB);
    uint64_t early = reserve("0.1 1h"), at_once = grant(engine, 0, &alice, 0, "0.1 1h");
    uint64_t queued = waits(0, 1001, 0, "0.8 1h", 0), later = waits(0, 1001, 0, "0.8 1h", 0);

    advance(at_ns);
    is_at(early, PARTITION_ACTIVE, ARRIVAL_NONE);
    set("60");
    advance(SECONDS(3600));
    is_at(later, PARTITION_ACTIVE, ARRIVAL_NONE);
    advance(SECONDS(3690));
    ck_assert_str_eq(kinds(), "xxs");
    ck_assert(!engine_find(engine, at_once) && !engine_find(engine, queued));
    engine_free(engine);
}
END_TEST

/* Off again: nothing ends, and use is noted all the same. Shorter: the warning comes first. */
START_TEST(setting_changes)
{
    uint64_t id = reserved("600", "1 1h");

    advance(at_ns);
    set("off");
    ck_assert_int_eq(engine_next_wakeup(engine), at_ns + SECONDS(3600));
    ck_assert_int_eq(engine_no_show_ns(engine, id), ENGINE_FOREVER);
    advance(at_ns + SECONDS(1000));
    ck_assert_str_eq(kinds(), "");
    set("10");
    advance(at_ns + SECONDS(1001));
    is_at(id, PARTITION_EXPIRING, ARRIVAL_MISSED);
    advance(at_ns + SECONDS(1006) - 1);
    is_at(id, PARTITION_EXPIRING, ARRIVAL_MISSED); /* half of it is for the answer */
    set("off");
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(1006), id), 0);
    is_at(id, PARTITION_ACTIVE, ARRIVAL_NONE);
    engine_free(engine);
}
END_TEST

/* The warning before the end stays what it is. */
START_TEST(with_the_other_warning)
{
    uint64_t id = reserved("60", "1 1h warn=3590");
    struct ending_change none = {.set_warn = true};

    advance(at_ns + SECONDS(10));
    ck_assert_str_eq(kinds(), "sw");
    advance(at_ns + SECONDS(40));
    ck_assert_str_eq(kinds(), "i");
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(41), id), 0);
    is_at(id, PARTITION_EXPIRING, ARRIVAL_NONE); /* it was warned of its end */
    engine_free(engine);

    id = reserved("60", "1 1h warn=60");
    advance(at_ns);
    advance(at_ns + SECONDS(30));
    kinds();
    ck_assert_int_eq(engine_set_ending(engine, CALL(at_ns + SECONDS(31), &alice, &why), id, &none),
                     0);
    is_at(id, PARTITION_EXPIRING, ARRIVAL_MISSED);
    ck_assert_int_eq(
        engine_set_end(engine, CALL(at_ns + SECONDS(31), &alice, &why), id, SECONDS(7200)), 0);
    is_at(id, PARTITION_EXPIRING, ARRIVAL_MISSED);
    ck_assert_int_eq(engine_arrive(engine, at_ns + SECONDS(32), id), 0);
    is_at(id, PARTITION_ACTIVE, ARRIVAL_NONE);
    engine_free(engine);
}
END_TEST

/* Shorter than the time that is allowed: it just expires. */
START_TEST(short_ones_expire)
{
    reserved("3600", "1 60");
    advance(at_ns + SECONDS(7200));
    ck_assert_str_eq(kinds(), "sx");
    engine_free(engine);
}
END_TEST

/* After a restart, also a late one, the user has the time again: the tree was not there. */
START_TEST(restart)
{
    uint64_t id = reserved("60", "1 1h");

    advance(at_ns);
    advance(at_ns + SECONDS(30));
    struct partition kept = *engine_find(engine, id);
    ck_assert_uint_eq(kept.arrival, ARRIVAL_MISSED);
    engine_free(engine);
    start(80 * GIB);
    set("60");
    ck_assert_int_eq(engine_restore(engine, &kept), 0);
    advance(at_ns + SECONDS(1000));
    advance(at_ns + SECONDS(1030) - 1);
    ck_assert_str_eq(kinds(), ""); /* not warned again */
    advance(at_ns + SECONDS(1030));
    ck_assert_str_eq(kinds(), "n");
    engine_free(engine);

    kept.state = PARTITION_ACTIVE; /* a record that makes no sense */
    start(80 * GIB);
    ck_assert_int_eq(engine_restore(engine, &kept), -EINVAL);
    kept.arrival = ARRIVAL_AWAITED;
    set("60");
    ck_assert_int_eq(engine_restore(engine, &kept), 0);
    advance(at_ns + SECONDS(1000));
    ck_assert_int_eq(engine_no_show_ns(engine, id), at_ns + SECONDS(1060));
    advance(at_ns + SECONDS(1030));
    advance(at_ns + SECONDS(1060));
    ck_assert_str_eq(kinds(), "in");
    engine_free(engine);
}
END_TEST

/* A change that could not be stored is taken back, and made again. */
START_TEST(revert)
{
    uint64_t id = reserved("60", "1 1h warn=3590");

    advance(at_ns);
    kinds();
    advance(at_ns + SECONDS(30));
    advance(at_ns + SECONDS(60));
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    is_at(id, PARTITION_ACTIVE, ARRIVAL_AWAITED);
    engine_events_free(events);
    advance(at_ns + SECONDS(200));
    advance(at_ns + SECONDS(230));
    const char *again = kinds();
    ck_assert_msg(strcmp(again, "win") == 0 || strcmp(again, "iwn") == 0, "%s", again);
    ck_assert_ptr_null(engine_find(engine, id));
    engine_free(engine);
}
END_TEST

/* Many at one moment, in portions. */
START_TEST(many)
{
    start(80 * GIB);
    set("60");
    for (int i = 0; i < 1000; i++)
        reserve("1M 1h");
    advance(0);
    advance(at_ns);
    engine_events_free(engine_take_events(engine));
    for (int i = 0; i < 100 && engine_next_wakeup(engine) <= at_ns + SECONDS(30); i++)
        ck_assert_int_eq(engine_advance_some(engine, at_ns + SECONDS(30), 64), 0);
    for (int i = 0; i < 100 && engine_next_wakeup(engine) <= at_ns + SECONDS(60); i++)
        ck_assert_int_eq(engine_advance_some(engine, at_ns + SECONDS(60), 64), 0);
    ck_assert_uint_eq(engine_count(engine), 0);
    ck_assert_int_eq(engine_next_wakeup(engine), ENGINE_FOREVER);
    engine_free(engine);
}
END_TEST

int main(void)
{
    return check_main("arrival", NULL, NULL, warned_once_then_freed, use_keeps_it, who_is_awaited,
                      setting_changes, with_the_other_warning, short_ones_expire, restart, revert,
                      many);
}
