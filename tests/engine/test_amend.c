/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of what waits, and how much longer a lease can have: what is refused, and what is said.
 */
#include "core/engine/accounts.h"
#include "waiting_fixture.h"

static int set_devices(uint32_t uid, uint64_t id, const uint32_t *devices, uint32_t count)
{
    struct caller caller = {.uid = uid};

    return engine_set_devices(engine, CALL(0, &caller, &why), id, devices, count);
}

static void no_events(void)
{
    engine_events_free(engine_take_events(engine));
}

START_TEST(other_device)
{
    static const uint32_t second[] = {1}, both[] = {0, 1}, third[] = {2};

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    add_device(engine, 100 * GIB, true);
    uint64_t a = waits(0, 1000, 0, "1 100", 0), b = waits(0, 1001, 0, "0.5 50", 0);
    waits(0, 1002, 1, "1 110", 0);
    waits(0, 1003, 2, "1 20", 0);
    no_events();
    refused(set_devices(1001, a, second, 1), REFUSED_OWNER, "owned by uid 1000");
    refused(set_devices(1000, a, second, 1), REFUSED_BUSY, "has started");
    refused(set_devices(1001, b, both, 2), REFUSED_INVALID, "takes 1 devices at once, not 2");
    refused(set_devices(1001, b, second, 1), REFUSED_NO_SPACE,
            "p2 has no room there at its start, T100; a new request would start at T110.");
    starts(b, 100, PARTITION_PENDING);
    ck_assert_int_eq(set_devices(1001, b, third, 1), 0); /* keeps its place, then moves forward */
    starts(b, 100, PARTITION_PENDING);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    starts(b, 20, PARTITION_PENDING);
    ck_assert_uint_eq(engine_find(engine, b)->shares[0].device, 2);
    ck_assert_str_eq(kinds(), "dm");
    ck_assert_int_eq(set_devices(1001, b, NULL, 0), 0);
    ck_assert(engine_waiting(engine, b)->anywhere);
    ck_assert_int_eq(set_devices(1001, b, NULL, 0), 0);
    ck_assert_str_eq(kinds(), "d");
    release(0, a);
    starts(b, 0, PARTITION_ACTIVE);
    ck_assert_uint_eq(engine_find(engine, b)->shares[0].device, 0);
}
END_TEST

/* Others move into the room that it leaves. */
START_TEST(device_left_behind)
{
    static const uint32_t second[] = {1};

    start(100 * GIB);
    add_device(engine, 100 * GIB, true);
    waits(0, 1000, 0, "1 100", 0);
    uint64_t b = waits(0, 1001, 0, "1 50", 0), c = waits(0, 1002, 0, "1 50", 0);
    starts(c, 150, PARTITION_PENDING);
    ck_assert_int_eq(set_devices(1001, b, second, 1), 0);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    starts(b, 0, PARTITION_ACTIVE);
    starts(c, 100, PARTITION_PENDING);
}
END_TEST

START_TEST(other_class)
{
    const struct caller operator= {.uid = 7, .admin = true};

    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "1 100", 0), b = waits(0, 1000, 0, "1 50", 0);
    uint64_t c = waits(0, 1001, 0, "1 50", 0);
    no_events();
    refused(engine_set_priority(engine, CALL(0, &bob, &why), b, PRIORITY_LOW), REFUSED_OWNER, "");
    refused(engine_set_priority(engine, CALL(0, &alice, &why), b, PRIORITY_HIGH),
            REFUSED_PERMISSION, "only administrators can raise the priority of p2");
    refused(engine_set_priority(engine, CALL(0, &alice, &why), b, PRIORITIES), REFUSED_INVALID,
            "3 is not a priority");
    refused(engine_set_priority(engine, CALL(0, &alice, &why), a, PRIORITY_LOW), REFUSED_BUSY,
            "has started");
    ck_assert_int_eq(engine_set_priority(engine, CALL(0, &alice, &why), b, PRIORITY_LOW), 0);
    ck_assert_int_eq(engine_set_priority(engine, CALL(0, &operator, & why), c, PRIORITY_HIGH), 0);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    ck_assert_str_eq(kinds(), "pp");
    starts(b, 100, PARTITION_PENDING); /* no promise is hurt by it */
    release(SECONDS(10), a);
    starts(c, 10, PARTITION_ACTIVE);
    starts(b, 60, PARTITION_PENDING);
}
END_TEST

static void name_of(void *context, bool group, uint32_t id, char *text, size_t size)
{
    (void)context, (void)group;
    snprintf(text, size, "%s", id == 1001 ? "bob" : "x");
}

START_TEST(how_much_longer)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "0.6 600", 0);
    uint64_t b = waits(0, 1002, 0, "0.3 1320", 0);
    uint64_t c = waits(0, 1001, 0, "0.8 60", 0);
    starts(c, 1320, PARTITION_PENDING);
    no_events();
    refused(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(1321)), REFUSED_NO_SPACE,
            "p1 can have 12m more, until T1320, when p3 of uid 1001 starts.");
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(1320)), 0);
    no_events();
    engine_set_holder_name(engine, name_of, NULL);
    refused(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(1321)), REFUSED_NO_SPACE,
            "p1 can have no more time: p3 of bob starts at T1320.");
    refused(engine_set_end(engine, CALL(0, &(struct caller){.uid = 1002}, &why), b, SECONDS(1400)),
            REFUSED_NO_SPACE, "p2 can have no more time");
}
END_TEST

/* A share is that of each device, also of one that it moves to. */
START_TEST(other_share_of_each)
{
    start(100 * GIB);
    add_device(engine, 40 * GIB, true);
    uint64_t a = waits(0, 1000, ENGINE_DEVICE_ANY, "0.5 100", 2);
    uint64_t b = waits(0, 1001, 0, "1 100", 0), c = waits(0, 1001, ENGINE_DEVICE_ANY, "0.6 50", 0);
    const struct amount quarter = {.is_share = true, .digits = 25, .scale = 100};
    const struct amount whole = {.is_share = true, .digits = 1, .scale = 1};
    const struct partition *p = engine_find(engine, a);
    ck_assert_int_eq(engine_resize_to(engine, CALL(0, &alice, &why), a, &quarter), 0);
    ck_assert_uint_eq(p->shares[0].memory_bytes + p->shares[1].memory_bytes, 35 * GIB);
    ck_assert_uint_eq(p->shares[p->shares[0].device ? 0 : 1].memory_bytes, 10 * GIB);
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    no_events();
    refused(engine_resize_to(engine, CALL(0, &alice, &why), a, &whole), REFUSED_NO_SPACE,
            "1.00 of");
    ck_assert_int_eq(engine_advance(engine, 0), 0);
    starts(c, 0, PARTITION_ACTIVE);
    uint64_t d = waits(0, 1001, ENGINE_DEVICE_ANY, "0.9 500", 0);
    starts(d, 100, PARTITION_PENDING);
    ck_assert_int_eq(engine_resize_to(engine, CALL(0, &bob, &why), d, &whole), 0);
    p = engine_find(engine, d);
    ck_assert_uint_eq(p->shares[0].memory_bytes, p->shares[0].device ? 40 * GIB : 100 * GIB);
    ck_assert(engine_waiting(engine, d)->amount.is_share);
    release(SECONDS(60), b);
}
END_TEST

/* Two extend into the same room. */
START_TEST(one_of_two_extensions)
{
    start(100 * GIB);
    uint64_t a = waits(0, 1000, 0, "0.4 100", 0), b = waits(0, 1001, 0, "0.4 100", 0);
    waits(0, 1002, 0, "0.6 100", 0);
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &alice, &why), a, SECONDS(150)), 0);
    no_events();
    refused(engine_set_end(engine, CALL(0, &bob, &why), b, SECONDS(150)), REFUSED_NO_SPACE,
            "p2 can have no more time: p3 of uid 1002 starts at T100.");
}
END_TEST

START_TEST(larger_while_it_waits)
{
    start(100 * GIB);
    waits(0, 1000, 0, "0.6 100", 0);
    uint64_t b = waits(0, 1001, 0, "0.6 100", 0);
    waits(0, 1002, 0, "0.3 300", 0);
    no_events();
    refused(engine_resize(engine, CALL(0, &bob, &why), b, 71 * GIB), REFUSED_NO_SPACE,
            "at most 0.70 (70 GiB) until its end; a new request would start at T300.");
    ck_assert_int_eq(engine_resize(engine, CALL(0, &bob, &why), b, 70 * GIB), 0);
    starts(b, 100, PARTITION_PENDING);
}
END_TEST

/* uid 1001 can have nothing before T500, and never more than 50 GiB. */
static int64_t limit(void *context, const struct partition *p, int64_t from_ns, int64_t before_ns,
                     int64_t duration_ns)
{
    (void)context, (void)before_ns, (void)duration_ns;
    if (p->uid != 1001)
        return from_ns;
    if (p->shares[0].memory_bytes > 50 * GIB)
        return ENGINE_FOREVER;
    return from_ns < SECONDS(500) ? SECONDS(500) : from_ns;
}

START_TEST(limits_of_the_owner)
{
    start(100 * GIB);
    engine_set_rules(engine, &(struct engine_rules){.limit = limit, .forward = 100});
    uint64_t a = waits(0, 1000, 0, "1 100", 0), b = waits(0, 1000, 0, "0.5 100", 0);
    uint64_t c = waits(0, 1000, 0, "1 400", 0), d = waits(0, 1000, 0, "0.5 100", 0);
    starts(b, 100, PARTITION_PENDING);
    starts(d, 100, PARTITION_PENDING);
    starts(c, 200, PARTITION_PENDING);
    uint64_t e = waits(0, 1000, 0, "0.5 100", 0);
    starts(e, 600, PARTITION_PENDING);
    no_events();
    refused(engine_hand_over(engine, CALL(0, &admin, &why), b, 1001, 0, 0), REFUSED_QUOTA,
            "does not allow that now; it would from T500.");
    refused(engine_hand_over(engine, CALL(0, &admin, &why), c, 1001, 0, 0), REFUSED_QUOTA,
            "never allows that");
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &admin, &why), e, 1001, 0, 0), 0);
    no_events();
    refused(engine_resize(engine, CALL(0, &bob, &why), e, 60 * GIB), REFUSED_QUOTA, "never");
    ck_assert_int_eq(engine_set_end(engine, CALL(0, &bob, &why), e, SECONDS(900)), 0);
    ck_assert_int_eq(engine_resize(engine, CALL(0, &bob, &why), e, 40 * GIB), 0);
    release(0, a);
    release(SECONDS(450), c);
    starts(e, 500, PARTITION_PENDING); /* there is room before */
    ck_assert_int_eq(engine_advance(engine, SECONDS(500)), 0);
    starts(e, 500, PARTITION_ACTIVE);
}
END_TEST

static void stop(void)
{
    engine = engine_free(engine);
}

int main(void)
{
    return check_main("amend", NULL, stop, other_device, device_left_behind, other_class,
                      how_much_longer, other_share_of_each, one_of_two_extensions,
                      larger_while_it_waits, limits_of_the_owner);
}
