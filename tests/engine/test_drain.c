/* SPDX-License-Identifier: Apache-2.0 */
/* config/drain: what it refuses, to whom, and what goes on. */
#include "fixture.h"

static void drain(const char *value)
{
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/drain", value), 0);
    engine_events_free(engine_take_events(engine));
}

/* One partition of alice, and a drained machine. */
static uint64_t drained(void)
{
    start(80 * GIB);
    uint64_t id = grant(engine, 0, &alice, 0, "0.5 3600 name=train");
    drain("on");
    return id;
}

START_TEST(nothing_new_is_granted)
{
    struct request request = parsed("0.1 60");
    uint64_t id = 77;

    drained();
    refused(ask(engine, 0, &alice, 0, "0.1 60", &why, &id), REFUSED_BUSY, "being drained");
    refused(ask(engine, 0, &bob, ENGINE_DEVICE_ANY, "0.1 60", &why, &id), REFUSED_BUSY,
            "config/drain to off");
    /* What a scheduler's hook asks for a user. */
    refused(engine_create(engine, CALL(0, &admin, &why),
                          &(struct creation){&request, 0, 1000, 1000, 0}, &id),
            REFUSED_BUSY, "being drained");
    ck_assert_uint_eq(id, 77);
    drain("off");
    grant(engine, 0, &bob, 0, "0.1 60");
    engine_free(engine);
}
END_TEST

START_TEST(nothing_grows)
{
    uint64_t id = drained();
    const struct caller by_mode = {.uid = 1001, .gid = 1001, .pid = 12, .by_mode = true};

    refused(engine_set_end(engine, CALL(0, &alice, &why), id, SECONDS(3601)), REFUSED_BUSY,
            "p1 cannot be extended. It runs on until T3600");
    refused(engine_set_end(engine, CALL(0, &by_mode, &why), id, SECONDS(3601)), REFUSED_BUSY,
            "cannot be extended");
    refused(engine_resize(engine, CALL(0, &alice, &why), id, 40 * GIB + 1), REFUSED_BUSY,
            "p1 cannot be made larger");
    engine_free(engine);
}
END_TEST

START_TEST(what_runs_runs_on)
{
    struct ending_change ending = {.set_warn = true, .warn = {.ns = SECONDS(60)}};
    uint64_t id = drained(), same = 0;

    ck_assert_int_eq(ask(engine, 0, &alice, 0, "0.5 60 name=train unique", &why, &same), 0);
    ck_assert_uint_eq(same, id); /* it is hers already */
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), id, SECONDS(3600)), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &alice, &why), id, 40 * GIB), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_rename(engine, CALL(0, &alice, &why), id, "late"), 0);
    ck_assert_int_eq(engine_set_ending(engine, CALL(0, &alice, &why), id, &ending), 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), id, SECONDS(3000)), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &alice, &why), id, GIB), 0);
    ck_assert_int_eq(engine_advance(engine, SECONDS(3000) - 1), 0);
    ck_assert_ptr_nonnull(engine_find(engine, id));
    ck_assert_int_eq(engine_release(engine, CALL(SECONDS(2999), &alice, &why), id), 0);
    engine_free(engine);
}
END_TEST

START_TEST(administrators_are_not_held_back)
{
    uint64_t id = drained();

    ck_assert_int_eq(engine_set_end(engine, CALL(0, &admin, &why), id, SECONDS(7200)), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &admin, &why), id, 60 * GIB), 0);
    grant(engine, 0, &admin, 0, "0.1 60"); /* to try the machine */
    engine_free(engine);
}
END_TEST

int main(void)
{
    return check_main("drain", NULL, NULL, nothing_new_is_granted, nothing_grows, what_runs_runs_on,
                      administrators_are_not_held_back);
}
