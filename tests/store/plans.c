/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine that plans, and a store that keeps what it plans, as the daemon uses them: whatever
 * happens to requests that wait, what is loaded is what the engine had, after a restart, after a
 * batch that could not be stored, after a reboot, and after a kill -9 at any moment.
 *
 * SEED=n runs one sequence; CHRONOS_LONG runs many.
 */
#include "fixture.h"

#include "tests/check.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICES   3
#define GIB       (INT64_C(1) << 30)
#define STEPS     400
#define USERS     4
#define ITEMS_MAX 4096

static unsigned seed;
static const struct store_kind *kind;
static struct engine *engine;
static struct store_clock now; /* its now_ns is the time */
static struct refusal refusal;
static unsigned moved, started, gave_up, preempted, reverted;
/* What was stored last of each partition, and how often the store had been opened then. */
static struct {
    uint64_t digits;
    unsigned opened;
} kept_last[1 << 14];
static unsigned opened, preempted_later;

#define HOLDS(x) ck_assert_msg(x, "SEED=%u: %s", seed, #x)

static int64_t random_below(int64_t limit)
{
    return (int64_t)(((uint64_t)random() << 31 | (uint64_t)random()) % (uint64_t)limit);
}

static void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

/* -- the two sides ----------------------------------------------------------------------- */

static uint32_t device_of(const struct store_device *device)
{
    return (uint32_t)(device->key[3] - '0');
}

static int restore(void *context, const struct store_partition *stored)
{
    struct engine *into = context;
    struct partition p = stored->partition;
    for (uint32_t i = 0; i < p.share_count; i++)
        p.shares[i].device = device_of(stored->devices[i]);
    if (!stored->waiting)
        return engine_restore(into, &p);
    struct waiting waiting = *stored->waiting;
    for (size_t i = 0; i < stored->barred.count; i++)
        waiting_bar(&waiting, device_of(stored->barred.devices[i]));
    for (size_t i = 0; i < stored->preferred.count; i++)
        waiting_prefer(&waiting, device_of(stored->preferred.devices[i]));
    return engine_restore_waiting(into, &p, &waiting);
}

/* A new engine with what the store has. */
static struct engine *load(void)
{
    struct engine *loaded = NULL;
    struct store_counters counters;
    ck_assert_int_eq(engine_new(time_words, NULL, &loaded), 0);
    for (uint32_t i = 0; i < DEVICES; i++) {
        uint32_t index;
        ck_assert_int_eq(
            engine_add_device(loaded, &(struct engine_device){100 * GIB, true}, &index), 0);
    }
    struct store_sink sink = {.context = loaded, .partition = restore};
    ck_assert_msg(store_load(store, &now, &sink, &counters, &why) == 0, "%s", why.text);
    ck_assert_int_eq(engine_restore_setting(loaded, "config/preempt", "end"), 0);
    ck_assert_int_eq(engine_restore_setting(loaded, "config/preempt_min", "60"), 0);
    engine_restore_counters(loaded, counters.next_id, counters.next_seq);
    return loaded;
}

static void open_store(void)
{
    struct store_device devices[DEVICES];
    opened++;
    if (kind != &store_memory)
        store = store_close(store);
    if (!store)
        ck_assert_int_eq(kind->open(directory, false, &store, &why), 0);
    struct engine *loaded = load();
    engine = engine_free(engine);
    engine = loaded;
    devices_make(devices, DEVICES);
    ck_assert_int_eq(store_devices(store, devices, DEVICES, &why), 0);
}

/* What the store has is what the engine has. */
static void same_plan(void)
{
    struct engine *other = load();
    const struct partition *p;
    /* What is over is shown by neither. */
    HOLDS(engine_advance_some(engine, now.now_ns, 0) == 0);
    HOLDS(engine_advance_some(other, now.now_ns, 0) == 0);
    HOLDS(engine_count(other) == engine_count(engine));
    HOLDS(engine_waiting_count(other) == engine_waiting_count(engine));
    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id) {
        const struct partition *q = engine_find(other, p->id);
        HOLDS(q);
        same_partition(p, q);
        for (uint32_t i = 0; i < p->share_count; i++)
            HOLDS(p->shares[i].device == q->shares[i].device);
        const struct waiting *waits = engine_waiting(engine, p->id);
        HOLDS(!waits == !engine_waiting(other, p->id));
        if (!waits)
            continue;
        same_waiting(waits, engine_waiting(other, p->id));
        HOLDS(!memcmp(waits->preferred, engine_waiting(other, p->id)->preferred,
                      sizeof(waits->preferred)));
        HOLDS(waits->promised_ns >= p->start_ns);
    }
    engine_free(other);
}

/* A low lease that was loaded since can still be preempted, as what it was. */
static void note(const struct engine_event *event)
{
    size_t slot = event->after.id % ARRAY_COUNT(kept_last);
    if (event->kind == EVENT_PREEMPTED) {
        HOLDS(kept_last[slot].digits == event->waiting_before.amount.digits);
        preempted++;
        preempted_later += kept_last[slot].opened < opened;
    }
    kept_last[slot].digits = event->waiting_after.amount.digits;
    kept_last[slot].opened = opened;
}

/* Store the events, or fail to. */
static void save(bool fails)
{
    static char line[] = "line";
    static struct store_item items[ITEMS_MAX];
    struct engine_event *events = engine_take_events(engine);
    struct store_batch batch = {
        .items = items, .clock = now, .retention_ns = ENGINE_FOREVER, .mount_id = 1};
    for (struct engine_event *e = events; e; e = e->next) {
        HOLDS(batch.item_count < ITEMS_MAX);
        items[batch.item_count++] =
            (struct store_item){.event = e, .line = e->kind == EVENT_MOVED ? NULL : line};
        moved += e->kind == EVENT_MOVED && !fails;
        started += e->kind == EVENT_STARTED && !fails;
        gave_up += e->kind == EVENT_GAVE_UP && !fails;
    }
    for (struct engine_event *e = fails ? NULL : events; e; e = e->next)
        note(e);
    if (fails && events) {
        HOLDS(engine_revert(engine, events) == 0);
        reverted++;
    } else if (!fails) {
        ck_assert_msg(store_commit(store, &batch, &why) == 0, "SEED=%u: %s", seed, why.text);
    }
    engine_events_free(events);
}

/* -- what happens --------------------------------------------------------------------------- */

static void ask(void)
{
    struct caller caller = {.uid = 1000 + (uint32_t)random_below(USERS)};
    bool barred[DEVICES] = {false};
    barred[random_below(DEVICES)] = random_below(4) == 0;
    struct request request = {.amount = {true, 1 + (uint64_t)random_below(4), 4, 0},
                              .duration_ns = (1 + random_below(2000)) * S_NS,
                              .spread = random_below(4) == 0,
                              .prefer = {.count = random_below(2) != 0, .device = {1}}};
    struct creation creation = {.request = &request,
                                .device = random_below(2) ? ENGINE_DEVICE_ANY
                                                          : (uint32_t)random_below(DEVICES),
                                .owner_uid = caller.uid,
                                .owner_gid = caller.uid};
    struct creation_terms terms = {.waits = true,
                                   .fixed = random_below(5) == 0,
                                   .start_ns = now.now_ns + random_below(5000) * S_NS,
                                   .give_up_ns = random_below(3) == 0
                                                     ? now.now_ns + random_below(3000) * S_NS
                                                     : ENGINE_FOREVER,
                                   .priority = (uint32_t)random_below(PRIORITIES)};
    if (creation.device == ENGINE_DEVICE_ANY)
        terms.gpus = 1 + (uint32_t)random_below(DEVICES);
    caller.barred = barred;
    uint64_t id;
    engine_enqueue(engine, ENGINE_CALL(now.now_ns, now.now_ns + now.offset_ns, &caller, &refusal),
                   &creation, &terms, &id);
}

static const struct partition *some_partition(void)
{
    const struct partition *p = engine_next(engine, 0);
    for (int64_t i = random_below(1 + (int64_t)engine_count(engine)); p && i > 0; i--)
        p = engine_next(engine, p->id) ? engine_next(engine, p->id) : p;
    return p;
}

static void change_one(void)
{
    const struct partition *p = some_partition();
    if (!p)
        return;
    struct caller caller = {.uid = p->uid, .by_mode = true};
    const struct call *call =
        ENGINE_CALL(now.now_ns, now.now_ns + now.offset_ns, &caller, &refusal);
    switch (random_below(4)) {
    case 0:
        engine_release(engine, call, p->id);
        break;
    case 3:
        caller.admin = true;
        engine_set_priority(engine, call, p->id, (uint32_t)random_below(PRIORITIES));
        break;
    case 1:
        engine_resize(engine, call, p->id, (uint64_t)((1 + random_below(100)) * GIB));
        break;
    default:
        engine_set_end(engine, call, p->id, p->end_ns + (random_below(2000) - 1000) * S_NS);
        break;
    }
}

static void pass_time(void)
{
    now.now_ns += random_below(500) * S_NS;
    HOLDS(engine_advance_some(engine, now.now_ns, 1 + (size_t)random_below(40)) == 0);
}

/* The wall clock is set, and appointments with it. */
static void set_clock(void)
{
    now.offset_ns += (random_below(7201) - 3600) * S_NS;
    HOLDS(engine_keep_appointments(engine, now.now_ns, now.now_ns + now.offset_ns) == 0);
}

/* The next boot, with the time that the wall clock says. */
static void reboot(void)
{
    int64_t off_ns = random_below(1000) * S_NS, wall_ns = now.now_ns + now.offset_ns + off_ns;
    save(false);
    snprintf(now.boot_id, sizeof(now.boot_id), "boot %ld", random());
    now.now_ns = 1 + random_below(100 * S_NS);
    now.offset_ns = wall_ns - now.now_ns;
    open_store();
    save(false); /* writes what the new clock says */
}

static void step(void)
{
    for (int64_t changes = 1 + random_below(4); changes > 0; changes--) {
        int64_t dice = random_below(20);
        if (dice < 9)
            ask();
        else if (dice < 13)
            change_one();
        else if (dice < 19)
            pass_time();
        else
            set_clock();
    }
    save(random_below(5) == 0);
    if (random_below(8) == 0)
        same_plan();
    if (random_below(20) == 0)
        open_store(); /* a worker dies */
    if (random_below(60) == 0)
        reboot();
}

static void sequence(void)
{
    srandom(seed);
    now = (struct store_clock){"boot 0", 1000 * DAY_NS, S_NS};
    open_store();
    for (int i = 0; i < STEPS; i++)
        step();
    same_plan();
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
    /* It is a test of something. */
    ck_assert(only || (moved > count && started > count && gave_up > count && preempted > count &&
                       preempted_later > 0 && reverted > count));
}

START_TEST(in_memory)
{
    kind = &store_memory;
    sequences(getenv("CHRONOS_LONG") ? 1000 : getenv("CHRONOS_TEST_LIGHT") ? 2 : 12);
}
END_TEST

START_TEST(on_disk)
{
    kind = &store_sqlite;
    sequences(getenv("CHRONOS_LONG") ? 100 : getenv("CHRONOS_TEST_LIGHT") ? 1 : 4);
}
END_TEST

/* -- kill -9 --------------------------------------------------------------------------------- */

/* What a user was told: a start and its promise. */
struct told {
    uint64_t id;
    int64_t promised_ns, end_ns;
    bool over;
};

/* Tell about all that was stored: live ones, and one record for the end of the list. */
static void tell(int fd)
{
    const struct partition *p;
    for (uint64_t id = 0; (p = engine_next(engine, id)); id = p->id) {
        const struct waiting *waits = engine_waiting(engine, p->id);
        struct told told = {p->id, waits ? waits->promised_ns : p->start_ns, p->end_ns, false};
        if (write(fd, &told, sizeof(told)) != sizeof(told))
            _exit(1);
    }
    struct told last = {.over = true, .promised_ns = now.now_ns};
    if (write(fd, &last, sizeof(last)) != sizeof(last))
        _exit(1);
}

static _Noreturn void live(int fd)
{
    srandom(seed);
    for (;;) {
        for (int64_t changes = 1 + random_below(4); changes > 0; changes--) {
            if (random_below(3))
                ask();
            else if (random_below(2))
                change_one();
            else
                pass_time();
        }
        save(false);
        tell(fd); /* the answers, after the batch */
    }
}

/* Read the last complete list that was told; the batch after it may be stored as well. */
static size_t read_told(int fd, struct told *last, size_t capacity)
{
    static struct told list[1024];
    size_t count = 0, found = 0;
    struct told one;
    while (read(fd, &one, sizeof(one)) == sizeof(one)) {
        if (one.over) {
            memcpy(last, list, count * sizeof(*last));
            found = count;
            now.now_ns = one.promised_ns;
            count = 0;
        } else if (count < capacity) {
            list[count++] = one;
        }
    }
    return found;
}

/* Nothing is promised twice, now or ever. */
static void nothing_twice(void)
{
    for (uint32_t device = 0; device < DEVICES; device++) {
        int64_t at_ns = now.now_ns;
        uint64_t promised = engine_promised(engine, device, at_ns);
        do
            HOLDS(promised <= (uint64_t)(100 * GIB));
        while (engine_next_step(engine, device, at_ns, &at_ns, &promised));
    }
}

START_TEST(killed_at_any_moment)
{
    static struct told told[1024];
    kind = &store_sqlite;
    now = (struct store_clock){"boot 0", 1000 * DAY_NS, S_NS};
    int rounds = getenv("CHRONOS_TEST_LIGHT") ? 3 : 25;
    for (seed = 1; seed <= (unsigned)rounds; seed++) {
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        open_store();
        store = store_close(store);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            open_store();
            live(fds[1]);
        }
        close(fds[1]);
        usleep(1000 * (2 + (useconds_t)random_below(30)));
        kill(child, SIGKILL);
        size_t count = read_told(fds[0], told, ARRAY_COUNT(told));
        waitpid(child, NULL, 0);
        close(fds[0]);
        open_store();
        nothing_twice();
        for (size_t i = 0; i < count; i++) {
            const struct partition *p = engine_find(engine, told[i].id);
            const struct waiting *waits = p ? engine_waiting(engine, p->id) : NULL;
            /* It may have been released since, or preempted. */
            HOLDS(!p || p->start_ns <= told[i].promised_ns || (waits && waits->spared_ns > 0));
        }
        same_plan();
    }
    engine = engine_free(engine);
}
END_TEST

static void teardown(void)
{
    engine = engine_free(engine);
    fixture_teardown();
}

int main(void)
{
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    TCase *all = check_case("store-plans", fixture_setup, teardown);
    tcase_set_timeout(all, (getenv("CHRONOS_LONG") ? 20 : 2) * CHECK_TIMEOUT_S);
    tcase_add_test(all, in_memory);
    tcase_add_test(all, on_disk);
    tcase_add_test(all, killed_at_any_moment);
    return check_run("store-plans", all);
}
