/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A property test of what clocks can do to partitions: an engine and a store as the daemon uses
 * them, on a machine whose wall clock is anywhere between 1970 and 2100, is set while it runs, and
 * is wrong after a reboot; which stops in order or crashes, with or without the daemon; and which
 * is suspended. The machine also counts the true time, which no part of the program sees.
 *
 * The first of ten thousand sequences find what all do; CHRONOS_LONG runs all, on a disk too.
 * SEED=n runs only one.
 */
#include "fixture.h"
#include "tests/check.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEQUENCES    10000
#define STEPS        24
#define DEVICE_BYTES 1000
#define RECORD_NS    (60 * S_NS) /* the daemon records the time this often */
#define YEAR_2100_NS (130 * 365 * DAY_NS)
#define GRANTS_MAX   (STEPS + 1)

/* -- the machine --------------------------------------------------------------- */

static struct {
    int64_t true_ns;    /* the true time */
    int64_t booted_ns;  /* true time of the boot */
    int64_t running_ns; /* how long it ran, over all boots; suspended counts */
    int64_t error_ns;   /* of the wall clock */
    unsigned boot;
    int64_t recorded_running_ns, recorded_true_ns, recorded_error_ns; /* at the last commit */
} machine;

static int64_t random_below(int64_t limit)
{
    return (int64_t)(((uint64_t)random() << 31 | (uint64_t)random()) % (uint64_t)limit);
}

static int64_t now_ns(void)
{
    return machine.true_ns - machine.booted_ns;
}

static struct store_clock clock_of_machine(void)
{
    struct store_clock clock = {.offset_ns = machine.booted_ns + machine.error_ns,
                                .now_ns = now_ns()};
    snprintf(clock.boot_id, sizeof(clock.boot_id), "boot %u", machine.boot);
    return clock;
}

/* Set the wall clock: right, a little wrong, wrong by a time zone, or anything. */
static void set_wall_clock(void)
{
    switch (random_below(5)) {
    case 0:
        machine.error_ns = 0;
        break;
    case 1:
        machine.error_ns += (random_below(401) - 200) * (S_NS / 100);
        break;
    case 2:
        machine.error_ns = (random_below(25) - 12) * HOUR_NS;
        break;
    case 3:
        machine.error_ns = random_below(YEAR_2100_NS) - machine.true_ns;
        break;
    default: /* 1970 and 2100 exactly */
        machine.error_ns = random_below(2) * YEAR_2100_NS - machine.true_ns;
        break;
    }
}

static void run_machine(int64_t ns)
{
    machine.true_ns += ns;
    machine.running_ns += ns;
}

/* -- what was promised ------------------------------------------------------------ */

struct grant {
    uint64_t id, bytes;
    int64_t granted_ns;                 /* how much time, since ... */
    int64_t running_ns, true_ns;        /* ... this moment */
    int64_t unrecorded_ns, believed_ns; /* time that crashes forgot; downtimes by the wall clock */
    bool exact; /* the wall clock never lied about a downtime: ends by the true time */
};
static struct grant grants[GRANTS_MAX];
static size_t grant_count;
static uint64_t last_id;
static unsigned seed, ended; /* of this sequence; partitions of all */

#define HOLDS(x) ck_assert_msg(x, "SEED=%u: %s", seed, #x)

static struct grant *grant_of(uint64_t id)
{
    for (size_t i = 0; i < grant_count; i++)
        if (grants[i].id == id)
            return &grants[i];
    ck_abort_msg("SEED=%u: p%d was never granted, or has ended", seed, (int)id);
    return NULL;
}

static void forget_grant(struct grant *grant)
{
    *grant = grants[--grant_count];
}

static void promise(struct grant *grant, int64_t left_ns)
{
    grant->granted_ns = left_ns;
    grant->running_ns = machine.running_ns;
    grant->true_ns = machine.true_ns;
    grant->unrecorded_ns = grant->believed_ns = 0;
    grant->exact = true;
}

/* Check the end that a partition has or had. */
static void check_end(const struct grant *grant, int64_t end_ns)
{
    int64_t left_ns = end_ns - now_ns();
    int64_t ran_ns = machine.running_ns - grant->running_ns;
    /* Never longer than granted, but for what a crash forgot. */
    HOLDS(ran_ns + left_ns <= grant->granted_ns + grant->unrecorded_ns);
    /* Never earlier, but for the time that the machine was off. */
    HOLDS(ran_ns + grant->believed_ns + left_ns >= grant->granted_ns);
    if (grant->exact)
        HOLDS(machine.true_ns - grant->true_ns + left_ns == grant->granted_ns);
}

/* -- the daemon --------------------------------------------------------------------- */

static const struct store_kind *kind;
static struct engine *engine;
static const struct caller alice = {.uid = 1000, .gid = 100, .pid = 7};
static struct refusal refusal;

static void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

/* Commit the events; an empty batch records the time. */
static void save(void)
{
    struct store_item items[4 * GRANTS_MAX];
    struct engine_event *events = engine_take_events(engine);
    struct store_batch batch = {
        .items = items, .clock = clock_of_machine(), .retention_ns = ENGINE_FOREVER, .mount_id = 1};
    for (struct engine_event *e = events; e; e = e->next) {
        ck_assert_uint_lt(batch.item_count, ARRAY_COUNT(items));
        items[batch.item_count++] = (struct store_item){.event = e, .line = "line"};
        if (e->kind == EVENT_EXPIRED) {
            HOLDS(e->at_ns <= now_ns());
            check_end(grant_of(e->after.id), e->at_ns);
            forget_grant(grant_of(e->after.id));
            ended++;
        }
    }
    ck_assert_msg(store_commit(store, &batch, &why) == 0, "%s", why.text);
    engine_events_free(events);
    machine.recorded_running_ns = machine.running_ns;
    machine.recorded_true_ns = machine.true_ns;
    machine.recorded_error_ns = machine.error_ns;
}

static void tick(void)
{
    ck_assert_int_eq(engine_advance(engine, now_ns()), 0);
    save();
}

static int restore(void *context, const struct store_partition *stored)
{
    struct partition copy = stored->partition;
    (void)context;
    copy.shares[0].device = 0;
    HOLDS(copy.start_ns <= now_ns());
    check_end(grant_of(copy.id), copy.end_ns);
    return engine_restore(engine, &copy);
}

static void start_daemon(void)
{
    static const struct store_device device = {"key", "name", DEVICE_BYTES};
    struct engine_device known = {DEVICE_BYTES, true};
    struct store_sink sink = {.partition = restore};
    struct store_counters counters;
    struct store_clock clock = clock_of_machine();
    uint32_t index;
    engine = engine_free(engine);
    ck_assert_int_eq(engine_new(time_words, NULL, &engine), 0);
    ck_assert_int_eq(engine_add_device(engine, &known, &index), 0);
    if (!store)
        ck_assert_int_eq(kind->open(directory, false, &store, &why), 0);
    ck_assert_msg(store_load(store, &clock, &sink, &counters, &why) == 0, "%s", why.text);
    engine_restore_counters(engine, counters.next_id, counters.next_seq);
    HOLDS(engine_count(engine) == grant_count); /* none is forgotten */
    ck_assert_int_eq(store_devices(store, &device, 1, &why), 0);
    tick();
}

static void stop_daemon(void)
{
    if (kind != &store_memory)
        store = store_close(store);
}

/* The daemon runs for a while, and records the time now and then. */
static void run_daemon(int64_t ns)
{
    int64_t since_record_ns = random_below(RECORD_NS);
    since_record_ns = since_record_ns < ns ? since_record_ns : ns;
    run_machine(ns - since_record_ns);
    tick();
    run_machine(since_record_ns);
    ck_assert_int_eq(engine_advance(engine, now_ns()), 0);
    if (engine_count(engine) == 0 || since_record_ns == 0 || random_below(2))
        save();
}

/* -- what happens -------------------------------------------------------------------- */

static int64_t some_time(void)
{
    static const int64_t limits_ns[] = {S_NS, 600 * S_NS, 3 * HOUR_NS, 3 * DAY_NS};
    return random_below(limits_ns[random_below(ARRAY_COUNT(limits_ns))]);
}

static void ask(void)
{
    struct request request = {.amount.bytes = 1 + (uint64_t)random_below(DEVICE_BYTES / 2),
                              .duration_ns = (1 + some_time() / S_NS) * S_NS};
    struct creation creation = {.request = &request, .owner_uid = alice.uid};
    uint64_t id = 0;
    if (engine_create(engine, ENGINE_CALL(now_ns(), 0, &alice, &refusal), &creation, &id))
        return;
    HOLDS(id > last_id); /* never again */
    last_id = id;
    struct grant *grant = &grants[grant_count++];
    *grant = (struct grant){.id = id, .bytes = request.amount.bytes};
    promise(grant, request.duration_ns);
    save();
}

static void change_one(void)
{
    if (grant_count == 0)
        return;
    struct grant *grant = &grants[random_below((int64_t)grant_count)];
    const struct call *call = ENGINE_CALL(now_ns(), 0, &alice, &refusal);
    uint64_t bytes = 1 + (uint64_t)random_below(DEVICE_BYTES / 2);
    int64_t left_ns = 1 + some_time();
    switch (random_below(3)) {
    case 0:
        if (engine_release(engine, call, grant->id) == 0)
            forget_grant(grant);
        break;
    case 1:
        if (engine_resize(engine, call, grant->id, bytes) == 0)
            grant->bytes = bytes;
        break;
    default:
        if (engine_set_end(engine, call, grant->id, now_ns() + left_ns) == 0)
            promise(grant, left_ns);
        break;
    }
    save();
}

static void reboot(void)
{
    int64_t unrecorded_ns = machine.running_ns - machine.recorded_running_ns;
    int64_t off_ns = 10 * S_NS + some_time();
    machine.true_ns += off_ns;
    if (random_below(3) == 0)
        set_wall_clock();
    machine.booted_ns = machine.true_ns;
    machine.boot++;
    run_machine(1 + random_below(100 * S_NS)); /* until the daemon starts */
    int64_t passed_ns = machine.true_ns - machine.recorded_true_ns;
    int64_t wall_ns = passed_ns + machine.error_ns - machine.recorded_error_ns;
    unrecorded_ns = machine.running_ns - machine.recorded_running_ns;
    for (size_t i = 0; i < grant_count; i++) {
        struct grant *grant = &grants[i];
        grant->unrecorded_ns += unrecorded_ns;
        if (wall_ns > 0)
            grant->believed_ns += wall_ns < STORE_DOWNTIME_MAX_NS ? wall_ns : STORE_DOWNTIME_MAX_NS;
        grant->exact = grant->exact && wall_ns == passed_ns && wall_ns <= STORE_DOWNTIME_MAX_NS;
    }
}

static void check_device(void)
{
    uint64_t promised = 0, at = 0;
    int64_t when_ns = now_ns();
    for (size_t i = 0; i < grant_count; i++)
        promised += grants[i].bytes;
    HOLDS(engine_promised(engine, 0, now_ns()) == promised); /* all have begun */
    HOLDS(promised <= DEVICE_BYTES);
    while (engine_next_step(engine, 0, when_ns, &when_ns, &at))
        HOLDS(at <= DEVICE_BYTES);
}

static void step(void)
{
    switch (random_below(8)) {
    case 0:
    case 1:
    case 2:
        ask();
        break;
    case 3:
        change_one();
        break;
    case 4:
        set_wall_clock();
        if (random_below(2))
            save();
        break;
    case 5: /* the daemon ends, in order or not, and another takes over */
        if (random_below(2))
            save();
        stop_daemon();
        run_machine(some_time());
        start_daemon();
        break;
    case 6: /* the machine, too */
        if (random_below(2))
            save();
        stop_daemon();
        if (random_below(4) == 0)
            run_machine(some_time());
        reboot();
        start_daemon();
        break;
    default:
        run_daemon(some_time());
        break;
    }
    tick();
    check_device();
}

static void sequence(void)
{
    srandom(seed);
    memset(&machine, 0, sizeof(machine));
    machine.true_ns = machine.booted_ns = 56 * 365 * DAY_NS;
    grant_count = 0;
    last_id = 0;
    set_wall_clock();
    start_daemon();
    for (int i = 0; i < STEPS; i++)
        step();
    run_machine(1000 * DAY_NS);
    tick();
    HOLDS(engine_count(engine) == 0); /* every one ended */
    HOLDS(grant_count == 0);
    engine = engine_free(engine);
    store = store_close(store);
    unlink(path_in(directory, STATE_FILE));
}

static void sequences(unsigned count)
{
    const char *only = getenv("SEED");
    unsigned first = only ? (unsigned)atoi(only) : 1;
    for (seed = first; seed < first + (only ? 1 : count); seed++)
        sequence();
    ck_assert(only || ended > 2 * count); /* it is a test of something */
}

START_TEST(in_memory)
{
    kind = &store_memory;
    sequences(getenv("CHRONOS_LONG") ? SEQUENCES : getenv("CHRONOS_TEST_LIGHT") ? 250 : 1000);
}
END_TEST

START_TEST(on_disk)
{
    kind = &store_sqlite;
    sequences(getenv("CHRONOS_LONG") ? SEQUENCES : 10);
}
END_TEST

int main(void)
{
    mallopt(M_TRIM_THRESHOLD, INT32_MAX); /* each sequence needs the same memory again */
    TCase *all = check_case("store-clocks", fixture_setup, fixture_teardown);
    tcase_set_timeout(all, (getenv("CHRONOS_LONG") ? 20 : 2) * CHECK_TIMEOUT_S);
    tcase_add_test(all, in_memory);
    tcase_add_test(all, on_disk);
    return check_run("store-clocks", all);
}
