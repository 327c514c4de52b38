/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on the engine and on the naive one of reference.c, side by side. After each
 * operation, every query must give the same answer. Small devices, few users and short lives make
 * collisions frequent.
 *
 *   model [OPERATIONS]     CHRONOS_SEED=N repeats a run, CHRONOS_TEST_LIGHT=1 is short,
 *                          CHRONOS_LONG=1 is long
 *
 * Memory runs short now and then (--wrap=calloc): then nothing may have changed.
 */
#include "core/engine/policy.h"
#include "model_check.h"
#include "reference.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPERATIONS 1000000
#define EPISODE    600 /* operations on one engine */
#define HOLDS      3

/* -- failing allocations ------------------------------------------------------ */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
static int fail_at;
static bool failed;

void *__wrap_calloc(size_t count, size_t size)
{
    if (fail_at > 0 && --fail_at == 0) {
        failed = true;
        return NULL;
    }
    return __real_calloc(count, size);
}

static void maybe_fail(void)
{
    fail_at = rnd(32) == 0 ? (int)(1 + rnd(4)) : 0;
}

/* Whether memory ran short; checks that the call reported exactly that. */
static bool ran_out(int r)
{
    bool was = failed;

    fail_at = 0;
    failed = false;
    CHECK(was == (r == -ENOMEM), "returned %d", r);
    return was;
}

/* -- state ---------------------------------------------------------------------- */

static struct engine *engine;
static struct reference reference;
static struct engine_event *pending, **pending_end = &pending; /* taken, but not durable yet */
static int64_t now_ns;
static bool strict; /* nothing was restored: never more than the device has */
static uint64_t counts[8], warnings;

static const struct caller callers[] = {
    {.uid = 0, .admin = true, .root = true, .pid = 1},
    {.uid = 500, .admin = true, .pid = 2},
    {.uid = 1000, .gid = 7, .pid = 3},
    {.uid = 1001, .pid = 4},
    {.uid = 1001, .by_mode = true},
    {.uid = 0, .ns = 70},
    {.uid = 0, .ns = 80, .by_mode = true},
    {.uid = 1000, .pid = 5},
};
#define CALLERS (sizeof(callers) / sizeof(callers[0]))

static const uint32_t uids[] = {0, 500, 1000, 1001, 1002};
#define UIDS (sizeof(uids) / sizeof(uids[0]))

static void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    CHECK(at_ns != INT64_MAX, "a time that never comes");
    snprintf(text, size, "T%" PRId64, at_ns);
}

static bool warnings_missing; /* some warnings that are due have not been given yet */

static bool same_partition(const struct partition *a, const struct partition *b)
{
    return a->id == b->id && a->shares[0].device == b->shares[0].device && a->uid == b->uid &&
           a->gid == b->gid && a->mode == b->mode && a->on_expiry == b->on_expiry &&
           a->grace_ns == b->grace_ns && a->warn.ns == b->warn.ns &&
           a->warn.signal == b->warn.signal && (warnings_missing || a->state == b->state) &&
           a->shares[0].memory_bytes == b->shares[0].memory_bytes && a->start_ns == b->start_ns &&
           a->end_ns == b->end_ns && a->created_wall_ns == b->created_wall_ns &&
           a->hold == b->hold && a->creator_ns == b->creator_ns &&
           a->creator_uid == b->creator_uid && a->creator_pid == b->creator_pid &&
           (warnings_missing || a->change_seq == b->change_seq) && strcmp(a->name, b->name) == 0;
}

static bool same_guests(const struct guests *a, const struct guests *b)
{
    uint32_t count = a ? a->count : 0;

    return count == b->count && (!count || !memcmp(a->uid, b->uid, count * sizeof(a->uid[0])));
}

/* -- comparing -------------------------------------------------------------------- */

static void compare_partitions(void)
{
    const struct partition *of_device[REFERENCE_DEVICES] = {0}, *all = NULL, *of_user;
    uint64_t per_device[REFERENCE_DEVICES] = {0};

    for (size_t i = 0; i < reference.now.count; i++) {
        const struct partition *p = &reference.now.live[i];
        const struct partition **last = &of_device[p->shares[0].device];

        all = engine_next(engine, all ? all->id : 0);
        CHECK(all && same_partition(all, p), "p%" PRIu64, p->id);
        CHECK(engine_find(engine, p->id) == all, "p%" PRIu64, p->id);
        CHECK(same_guests(engine_guests(engine, p->id), &reference.now.guests[i]),
              "guests of p%" PRIu64, p->id);
        *last = engine_next_on_device(engine, p->shares[0].device, *last ? (*last)->id : 0);
        CHECK(*last == all, "p%" PRIu64, p->id);
        of_user = engine_next_of_user(engine, p->uid, p->id - 1);
        CHECK(of_user == all, "p%" PRIu64, p->id);
        per_device[p->shares[0].device]++;
    }
    CHECK(!engine_next(engine, all ? all->id : 0), "one partition too many");
    CHECK(engine_count(engine) == reference.now.count, "%" PRIu64, engine_count(engine));
    for (uint32_t i = 0; i < reference.device_count; i++) {
        CHECK(!engine_next_on_device(engine, i, of_device[i] ? of_device[i]->id : 0), "gpu%u", i);
        CHECK(engine_device_partitions(engine, i) == per_device[i], "gpu%u", i);
    }
}

/* Which uids are one person's changes now and then. */
static uint32_t account_shift;

static uint32_t account_of(void *context, uint32_t uid)
{
    (void)context;
    return uid >> account_shift;
}

static void compare_users(void)
{
    uint64_t from_uid = 0;

    if (rnd(32) == 0) {
        account_shift = (uint32_t)rnd(12);
        engine_set_accounts(engine, account_of, NULL);
    }

    for (size_t u = 0; u < UIDS; u++) {
        const struct partition *p = NULL;
        uint32_t next = 0;
        uint64_t count = 0, of_account = 0, bytes = 0, held_count, held_bytes;

        for (size_t i = 0; i < reference.now.count; i++) {
            const struct partition *live = &reference.now.live[i];

            of_account += account_of(NULL, live->uid) == account_of(NULL, uids[u]);
            if (live->uid != uids[u])
                continue;
            count++;
            for (uint32_t share = 0; share < live->share_count; share++)
                bytes += live->shares[share].memory_bytes;
        }
        engine_user_holds(engine, uids[u], &held_count, &held_bytes);
        CHECK(held_count == count && held_bytes == bytes, "uid %u", uids[u]);
        CHECK(engine_account_holds(engine, uids[u]) == of_account, "uid %u", uids[u]);
        while ((p = engine_next_of_user(engine, uids[u], p ? p->id : 0)))
            count--;
        CHECK(count == 0, "uid %u", uids[u]);
        if (engine_next_of_user(engine, uids[u], 0)) {
            CHECK(engine_next_user(engine, from_uid, &next) && next == uids[u], "uid %u", uids[u]);
            from_uid = (uint64_t)next + 1;
        }
    }
}

static void compare_devices(void)
{
    for (uint32_t i = 0; i < reference.device_count; i++) {
        uint64_t promised = reference_promised(&reference, i, now_ns);
        uint64_t memory = reference.devices[i].memory_bytes;
        uint64_t available = promised < memory ? memory - promised : 0;

        if (!reference.devices[i].present)
            available = 0;
        CHECK(engine_promised(engine, i, now_ns) == promised, "gpu%u", i);
        CHECK(engine_available(engine, i, now_ns) == available, "gpu%u", i);
        if (strict)
            CHECK(reference_peak(&reference, i, now_ns, ENGINE_FOREVER, 0) <= memory, "gpu%u", i);
    }
    CHECK(engine_next_wakeup(engine) == reference_next_wakeup(&reference), "%" PRId64,
          engine_next_wakeup(engine));
}

static void compare_settings(void)
{
    const struct policy *policy = engine_policy(engine);

    CHECK(policy->min_duration_ns == reference.now.policy.min_ns, "min_duration");
    CHECK(policy->max_duration_ns == reference.now.policy.max_ns, "max_duration");
    CHECK(policy->max_fraction_ppm == reference.now.policy.max_ppm, "max_fraction");
    CHECK(policy->allowed_on_expiry == reference.now.policy.allowed_on_expiry, "allowed_on_expiry");
    CHECK(policy->max_grace_ns == reference.now.policy.max_grace_ns, "max_grace");
    CHECK(policy->default_warn.ns == reference.now.policy.default_warn_ns, "default_warn");
    for (size_t i = 0; i < REFERENCE_KEYS; i++) {
        const char *value = engine_setting(engine, reference_keys[i]);

        CHECK(strcmp(value ? value : "", reference.now.texts[i]) == 0, "%s", reference_keys[i]);
    }
}

/* Compare all steps of one device with a check of each moment at which a step could be. */
static void compare_steps(uint32_t device)
{
    int64_t at_ns = now_ns - 2 * NS_PER_SECOND, step_ns = 0;
    uint64_t value = reference_promised(&reference, device, at_ns), step = 0;

    for (;;) {
        int64_t next_ns = ENGINE_FOREVER;

        for (size_t i = 0; i < 2 * reference.now.count; i++) {
            const struct partition *p = &reference.now.live[i / 2];
            int64_t time_ns = i % 2 ? p->end_ns : p->start_ns;

            if (time_ns > at_ns && time_ns < next_ns &&
                reference_promised(&reference, device, time_ns) != value)
                next_ns = time_ns;
        }
        if (next_ns == ENGINE_FOREVER)
            break;
        value = reference_promised(&reference, device, next_ns);
        CHECK(engine_next_step(engine, device, at_ns, &step_ns, &step), "no step");
        CHECK(step_ns == next_ns && step == value, "%" PRId64 " %" PRIu64, step_ns, step);
        at_ns = next_ns;
    }
    CHECK(!engine_next_step(engine, device, at_ns, &step_ns, &step), "one step too many");
}

static void compare(void)
{
    uint32_t device = (uint32_t)rnd(reference.device_count);

    compare_partitions();
    compare_devices();
    compare_settings();
    if (operation % 4 == 0) {
        uint64_t bytes = 1 + rnd(reference.devices[device].memory_bytes + 2);
        int64_t duration_ns = (int64_t)(1 + rnd(8)) * NS_PER_SECOND;

        compare_users();
        compare_steps(device);
        CHECK(engine_earliest(engine, device, now_ns, bytes, duration_ns) ==
                  reference_earliest(&reference, device, now_ns, bytes, duration_ns),
              "gpu%u", device);
    }
}

/* -- events --------------------------------------------------------------------------- */

/* Check what holds for every warning, independent of the reference. */
static void check_warning(const struct engine_event *event)
{
    const struct partition *p = &event->after;

    CHECK(event->at_ns >= p->end_ns - p->warn.ns, "p%" PRIu64 " early", p->id);
    CHECK(event->at_ns < p->end_ns, "p%" PRIu64 " late", p->id);
    CHECK(event->before.state == PARTITION_ACTIVE && p->state == PARTITION_EXPIRING,
          "p%" PRIu64 " warned twice", p->id);
    CHECK(p->warn.ns > 0, "p%" PRIu64 " has no warning", p->id);
    warnings++;
}

static void take_events(void)
{
    struct engine_event *event;
    size_t i = 0;

    *pending_end = engine_take_events(engine);
    for (; (event = *pending_end); pending_end = &event->next, i++) {
        const struct engine_event *expected = &reference.events[i];

        CHECK(i < reference.event_count, "unexpected event of kind %d", event->kind);
        CHECK(event->seq == expected->seq, "%" PRIu64 ", %" PRIu64, event->seq, expected->seq);
        CHECK(event->kind == expected->kind, "%d, %d", event->kind, expected->kind);
        CHECK(event->at_ns == expected->at_ns, "%" PRId64, event->at_ns);
        CHECK(event->by_uid == expected->by_uid, "%u", event->by_uid);
        CHECK(same_partition(&event->before, &expected->before), "event %" PRIu64, event->seq);
        CHECK(same_partition(&event->after, &expected->after), "event %" PRIu64, event->seq);
        CHECK(event->guest == expected->guest, "%u", event->guest);
        CHECK(strcmp(event->key, expected->key) == 0, "%s", event->key);
        CHECK(strcmp(event->value, expected->value) == 0, "%s", event->value);
        CHECK(strcmp(event->old_value, expected->old_value) == 0, "%s", event->old_value);
        if (event->kind == EVENT_WARNED)
            check_warning(event);
    }
    CHECK(i == reference.event_count, "%zu of %zu events", i, reference.event_count);
    reference.event_count = 0;
}

static void forget_pending(void)
{
    engine_events_free(pending);
    pending = NULL;
    pending_end = &pending;
}

static void commit(void)
{
    take_events();
    forget_pending();
    reference.durable = reference.now;
}

static void revert(void)
{
    int r;

    take_events();
    maybe_fail();
    while (ran_out(r = engine_revert(engine, pending)))
        compare();
    CHECK(!r, "%d", r);
    forget_pending();
    reference.now = reference.durable;
}

/* -- operations -------------------------------------------------------------------------- */

static struct refusal why;

/* Both agree, and a refusal has a message. */
static bool agree(int r, int expected)
{
    CHECK(r == expected, "%d instead of %d: %s", r, expected, why.message);
    counts[r]++;
    if (!r)
        return true;
    CHECK(memchr(why.message, 0, sizeof(why.message) - 1), "not terminated");
    CHECK(strlen(why.message) > 10 && !strchr(why.message, '\n'), "%s", why.message);
    if (r == REFUSED_NO_SPACE)
        CHECK(strncmp(why.message, "Not enough available memory: ", 29) == 0, "%s", why.message);
    if (r == REFUSED_PERMISSION || r == REFUSED_OWNER)
        CHECK(strncmp(why.message, "Permission denied: ", 19) == 0, "%s", why.message);
    return false;
}

/* Check the claim "... is free from T17000000000, when p3 ends". */
static void check_forecast(uint32_t device, const struct request *request)
{
    uint64_t memory = reference.devices[device].memory_bytes;
    uint64_t bytes = request->amount.is_share
                         ? request->amount.digits * memory / request->amount.scale
                         : request->amount.bytes;
    int64_t at_ns = reference_earliest(&reference, device, now_ns, bytes, request->duration_ns);
    const char *from = strstr(why.message, " is free from T"), *when;
    char *end;

    CHECK(!from == (at_ns == ENGINE_FOREVER), "%s", why.message);
    if (!from)
        return;
    CHECK(strtoll(from + 15, &end, 10) == at_ns, "%s, not %" PRId64, why.message, at_ns);
    when = strstr(end, ", when p");
    CHECK(when == end, "%s", why.message);
    CHECK(reference_find(&reference, strtoull(when + 8, &end, 10))->end_ns == at_ns, "%s",
          why.message);
}

static const struct caller *any_caller(void)
{
    return &callers[rnd(CALLERS)];
}

/* Mostly a live id, sometimes one that has ended or never existed. */
static uint64_t any_id(void)
{
    if (reference.now.count == 0 || rnd(16) == 0)
        return rnd(reference.next_id + 2);
    return reference.now.live[rnd(reference.now.count)].id;
}

static int64_t any_duration(void)
{
    int64_t ns = (int64_t)(1 + rnd(12)) * NS_PER_SECOND;

    return rnd(4) ? ns : ns - 1 + (int64_t)rnd(3);
}

static struct ending_change any_ending(void)
{
    struct ending_change change = {
        .set_on_expiry = rnd(3) == 0, .set_grace = rnd(3) == 0, .set_warn = rnd(2)};

    if (change.set_on_expiry)
        change.on_expiry = rnd(32) ? (uint32_t)rnd(3) : 3;
    if (change.set_grace)
        change.grace_ns = rnd(32) ? (int64_t)rnd(14) * NS_PER_SECOND : -1;
    if (change.set_warn) {
        change.warn.ns = rnd(4) ? any_duration() : 0;
        change.warn.signal = rnd(2) ? SIGUSR1 : 0;
    }
    return change;
}

static struct request any_request(void)
{
    struct request request = {.duration_ns = any_duration()};

    if (rnd(2))
        request.ending = any_ending();
    request.amount = (struct amount){.scale = 1, .bytes = 1 + rnd(rnd(2) ? 40 : 400)};
    if (rnd(2))
        request.amount =
            (struct amount){.is_share = true, .digits = 1 + rnd(rnd(3) ? 30 : 100), .scale = 100};
    request.hold = rnd(4) == 0;
    if (rnd(4) == 0)
        memcpy(request.name, "label", sizeof("label"));
    return request;
}

static void op_create(void)
{
    const struct caller *caller = any_caller();
    struct request request = any_request();
    uint32_t device =
        rnd(4) ? (uint32_t)rnd(reference.device_count + (rnd(8) == 0)) : ENGINE_DEVICE_ANY;
    uint32_t uid = rnd(4) ? caller->uid : uids[rnd(UIDS)];
    uint64_t hold = rnd(HOLDS + 1), id = 0, expected_id = 0;

    if (reference.now.count >= REFERENCE_PARTITIONS)
        return;
    maybe_fail();
    int r = engine_create(engine, ENGINE_CALL(now_ns, now_ns / 2, caller, &why),
                          &(struct creation){&request, device, uid, 3, hold}, &id);
    if (ran_out(r))
        return;
    if (!agree(r, reference_create(&reference, now_ns, now_ns / 2, caller, device, &request, uid, 3,
                                   hold, &expected_id)) &&
        r == REFUSED_NO_SPACE && device != ENGINE_DEVICE_ANY)
        check_forecast(device, &request);
    CHECK(id == expected_id, "%" PRIu64 ", %" PRIu64, id, expected_id);
}

static void op_release(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();

    maybe_fail();
    int r = engine_release(engine, ENGINE_CALL(now_ns, 0, caller, &why), id);
    if (!ran_out(r))
        agree(r, reference_release(&reference, now_ns, caller, id));
}

static void op_close_hold(void)
{
    uint64_t hold = rnd(HOLDS + 1);

    maybe_fail();
    int r = engine_close_hold(engine, now_ns, hold);
    if (ran_out(r))
        return;
    CHECK(!r, "%d", r);
    reference_close_hold(&reference, now_ns, hold);
}

static void op_resize(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();
    const struct partition *p = engine_find(engine, id);
    uint64_t bytes = p && rnd(2) ? p->shares[0].memory_bytes + rnd(5) - 2 : rnd(100);

    if (bytes > 10000)
        bytes = 0;
    maybe_fail();
    int r = engine_resize(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, bytes);
    if (!ran_out(r))
        agree(r, reference_resize(&reference, now_ns, caller, id, bytes));
}

static void op_set_end(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();
    const struct partition *p = engine_find(engine, id);
    int64_t end_ns = p && rnd(4) == 0 ? p->end_ns - 1 + (int64_t)rnd(3) : now_ns + any_duration();

    if (rnd(16) == 0)
        end_ns = now_ns - (int64_t)rnd(2);
    maybe_fail();
    int r = engine_set_end(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, end_ns);
    if (!ran_out(r))
        agree(r, reference_set_end(&reference, now_ns, caller, id, end_ns));
}

static void op_ending(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();
    struct ending_change change = any_ending();

    maybe_fail();
    int r = engine_set_ending(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, &change);
    if (!ran_out(r))
        agree(r, reference_set_ending(&reference, now_ns, caller, id, &change));
}

/* About a live partition, one that ended, or none. */
static void op_note(void)
{
    static const char *const words[] = {"killed", "unmanaged", "sig-9"};
    const char *word = words[rnd(3)], *details = rnd(2) ? "pid=1 bytes=2" : "";
    uint64_t id = rnd(4) ? any_id() : 0;
    struct partition about = {.id = id, .uid = 1002, .change_seq = 1};

    CHECK(engine_note(engine, now_ns, &about, 0, rnd(2) ? "" : "no word", details) == -EINVAL, "%s",
          word);
    CHECK(engine_note(engine, now_ns, &about, 0, word, "two\nlines") == -EINVAL, "%s", word);
    if (rnd(2) && engine_find(engine, id))
        about = *engine_find(engine, id);
    maybe_fail();
    int r = engine_note(engine, now_ns, &about, 500, word, details);
    if (ran_out(r))
        return;
    CHECK(!r, "%d", r);
    reference_note(&reference, now_ns, &about, 500, word, details);
}

static void op_rename(void)
{
    static const char *const names[] = {"", "a", "b-2", "label", "not good"};
    const struct caller *caller = any_caller();
    uint64_t id = any_id(), name = rnd(5);

    maybe_fail();
    int r = engine_rename(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, names[name]);
    if (!ran_out(r))
        agree(r, reference_rename(&reference, now_ns, caller, id, names[name], name < 4));
}

static void op_hand_over(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();
    const struct partition *p = engine_find(engine, id);
    uint32_t uid = p && rnd(2) ? p->uid : uids[rnd(UIDS)];
    uint32_t gid = (uint32_t)rnd(3), mode = rnd(2) ? 0755 : 0775;

    maybe_fail();
    int r = engine_hand_over(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, uid, gid, mode);
    if (!ran_out(r))
        agree(r, reference_hand_over(&reference, now_ns, caller, id, uid, gid, mode));
}

/* A few come and go at a time, now and then so many that there is no room for more. */
static void op_share(void)
{
    const struct caller *caller = any_caller();
    uint64_t id = any_id();
    uint32_t most = rnd(2) ? 4 : GUESTS_MAX;
    struct guests wanted = {0};

    for (uint32_t uid = 1001; uid < 1001 + GUESTS_MAX && wanted.count < most; uid++) {
        if (most == GUESTS_MAX || rnd(4) == 0)
            wanted.uid[wanted.count++] = uid;
    }
    maybe_fail();
    int r = engine_share(engine, ENGINE_CALL(now_ns, 0, caller, &why), id, &wanted);
    if (!ran_out(r))
        agree(r, reference_share(&reference, now_ns, caller, id, &wanted, account_shift));
}

static const struct {
    size_t key;
    const char *value, *stored;
    uint64_t number; /* seconds or millionths; 0 does not parse */
} settings[] = {
    {TEXT_MIN_DURATION, "default", "", 1},
    {TEXT_MIN_DURATION, "1", "1", 1},
    {TEXT_MIN_DURATION, "3s", "3", 3},
    {TEXT_MIN_DURATION, "5", "5", 5},
    {TEXT_MIN_DURATION, "max", "", 0},
    {TEXT_MAX_DURATION, "default", "", 1000000},
    {TEXT_MAX_DURATION, "max", "max", 1000000},
    {TEXT_MAX_DURATION, "10", "10", 10},
    {TEXT_MAX_DURATION, "4", "4", 4},
    {TEXT_MAX_DURATION, "-4", "", 0},
    {TEXT_MAX_FRACTION, "default", "", 1000000},
    {TEXT_MAX_FRACTION, "1", "1", 1000000},
    {TEXT_MAX_FRACTION, "50%", "0.5", 500000},
    {TEXT_MAX_FRACTION, "0.25", "0.25", 250000},
    {TEXT_MAX_FRACTION, "5G", "", 0},
    {TEXT_ALLOWED, "default", "", 7},
    {TEXT_ALLOWED, "kill none", "none kill", 5},
    {TEXT_ALLOWED, "term", "term", 2},
    {TEXT_ALLOWED, "never", "", 0},
    {TEXT_MAX_GRACE, "default", "", 300},
    {TEXT_MAX_GRACE, "5s", "5", 5},
    {TEXT_MAX_GRACE, "max", "max", 1000000},
    {TEXT_MAX_GRACE, "-", "", 0},
    {TEXT_DEFAULT_WARN, "3", "3", 3},
    {TEXT_DEFAULT_WARN, "1h:QUIET", "", 0},
    {TEXT_FREE, "", "", 1},
    {TEXT_FREE, "some text", "some text", 1},
    {TEXT_FREE, "other", "other", 1},
};

static void op_set(void)
{
    size_t i = rnd(sizeof(settings) / sizeof(settings[0]));
    struct reference_policy policy = reference.now.policy;
    int64_t limit_ns =
        settings[i].number == 1000000 ? INT64_MAX : (int64_t)settings[i].number * NS_PER_SECOND;

    if (settings[i].key == TEXT_MIN_DURATION)
        policy.min_ns = limit_ns;
    else if (settings[i].key == TEXT_MAX_DURATION)
        policy.max_ns = limit_ns;
    else if (settings[i].key == TEXT_MAX_FRACTION)
        policy.max_ppm = settings[i].number;
    else if (settings[i].key == TEXT_ALLOWED)
        policy.allowed_on_expiry = (uint32_t)settings[i].number;
    else if (settings[i].key == TEXT_MAX_GRACE)
        policy.max_grace_ns = limit_ns;
    else if (settings[i].key == TEXT_DEFAULT_WARN)
        policy.default_warn_ns = limit_ns;
    bool good = settings[i].number && policy.min_ns <= policy.max_ns;
    maybe_fail();
    int r = engine_set(engine, ENGINE_CALL(now_ns, 0, &callers[0], &why),
                       reference_keys[settings[i].key], settings[i].value);
    if (!ran_out(r) && agree(r, good ? 0 : REFUSED_INVALID))
        reference_set(&reference, now_ns, &callers[0], settings[i].key, settings[i].stored,
                      &policy);
}

/* End what is due a few at a time: partitions that are over and not ended yet are not shown. */
static void advance_in_portions(void)
{
    reference_advance(&reference, now_ns);
    do {
        CHECK(engine_advance_some(engine, now_ns, rnd(3)) == 0, "advance");
        warnings_missing = engine_next_wakeup(engine) <= now_ns;
        compare_partitions();
        compare_users();
    } while (warnings_missing);
}

/* Move time on, often exactly to a moment at which something happens. */
static void op_tick(void)
{
    int64_t next_ns = engine_next_wakeup(engine);

    if (next_ns != ENGINE_FOREVER && next_ns > now_ns && rnd(2))
        now_ns = next_ns - 1 + (int64_t)rnd(3);
    else
        now_ns += (int64_t)rnd(3) * NS_PER_SECOND / 2;
    if (rnd(4) == 0)
        return; /* and the engine was not advanced */
    if (rnd(2)) {
        advance_in_portions();
        return;
    }
    maybe_fail();
    int r = engine_advance(engine, now_ns);
    if (ran_out(r))
        return;
    CHECK(!r, "%d", r);
    reference_advance(&reference, now_ns);
    CHECK(engine_next_wakeup(engine) > now_ns, "wakeup in the past");
}

static const struct {
    const char *name;
    void (*run)(void);
    unsigned weight;
} operations[] = {
    {"create", op_create, 25}, {"release", op_release, 7},
    {"resize", op_resize, 9},  {"set_end", op_set_end, 12},
    {"rename", op_rename, 3},  {"hand_over", op_hand_over, 3},
    {"share", op_share, 5},    {"close_hold", op_close_hold, 2},
    {"set", op_set, 4},        {"tick", op_tick, 12},
    {"ending", op_ending, 8},  {"note", op_note, 3},
    {"take", take_events, 3},  {"commit", commit, 2},
    {"revert", revert, 2},
};

static void one_operation(void)
{
    uint64_t at = rnd(100);
    size_t i = 0;

    while (at >= operations[i].weight)
        at -= operations[i++].weight;
    operation_name = operations[i].name;
    operations[i].run();
    if (reference.event_count > REFERENCE_EVENTS / 2)
        take_events();
    compare();
}

/* -- episodes ------------------------------------------------------------------------------ */

static void restore_one(void)
{
    struct partition p = {
        .id = reference.next_id + rnd(3), .uid = uids[rnd(UIDS)], .mode = 0755, .share_count = 1};

    p.shares[0].device = (uint32_t)rnd(reference.device_count);
    p.shares[0].memory_bytes = 1 + rnd(reference.devices[p.shares[0].device].memory_bytes / 2);
    p.start_ns = now_ns + ((int64_t)rnd(30) - 10) * NS_PER_SECOND;
    p.end_ns = p.start_ns + any_duration();
    p.change_seq = rnd(40);
    p.hold = rnd(3);
    p.on_expiry = (uint32_t)rnd(3);
    p.grace_ns = (int64_t)rnd(3) * NS_PER_SECOND;
    p.warn.ns = rnd(2) ? any_duration() : 0;
    p.state = p.warn.ns > 0 && rnd(2) ? PARTITION_EXPIRING : PARTITION_ACTIVE;
    CHECK(engine_restore(engine, &p) == 0, "p%" PRIu64, p.id);
    CHECK(engine_restore(engine, &p) == -EINVAL, "p%" PRIu64 " twice", p.id);
    if (rnd(2)) {
        CHECK(engine_restore_guest(engine, p.id, 1002) == 0, "p%" PRIu64, p.id);
        CHECK(engine_restore_guest(engine, p.id, 1002) == -EINVAL, "p%" PRIu64, p.id);
        CHECK(engine_restore_guest(engine, p.id + 1, 1002) == -EINVAL, "p%" PRIu64, p.id);
        reference.now.guests[reference.now.count] = (struct guests){1, {1002}};
    }
    reference.now.live[reference.now.count++] = p;
    reference.next_id = p.id + 1;
    if (p.change_seq >= reference.next_seq)
        reference.next_seq = p.change_seq + 1;
}

static void begin(void)
{
    static const uint64_t sizes[] = {10, 97, 100, 255, 1000};
    uint32_t index;

    now_ns = (int64_t)rnd(1000) * NS_PER_SECOND - 100 * NS_PER_SECOND;
    CHECK(engine_new(time_words, NULL, &engine) == 0, "no engine");
    engine_set_accounts(engine, account_of, NULL);
    memset(&reference, 0, sizeof(reference));
    reference.next_id = reference.next_seq = 1;
    reference.now.policy =
        (struct reference_policy){NS_PER_SECOND, INT64_MAX, 1000000, 7, 300 * NS_PER_SECOND, 0};
    reference.device_count = 1 + (uint32_t)rnd(REFERENCE_DEVICES);
    for (uint32_t i = 0; i < reference.device_count; i++) {
        reference.devices[i] = (struct engine_device){sizes[rnd(5)], i == 0 || rnd(8) > 0};
        CHECK(engine_add_device(engine, &reference.devices[i], &index) == 0, "no device");
        CHECK(index == i, "%u", index);
    }
    strict = rnd(2);
    for (size_t i = strict ? 0 : 1 + rnd(8); i > 0; i--)
        restore_one();
    reference.durable = reference.now;
    compare();
}

static void finish(void)
{
    operation_name = "finish";
    now_ns = ENGINE_FOREVER - 1;
    CHECK(engine_advance(engine, now_ns) == 0, "advance");
    reference_advance(&reference, now_ns);
    CHECK(engine_count(engine) == 0, "%" PRIu64 " partitions never end", engine_count(engine));
    if (rnd(2))
        commit();
    forget_pending();
    engine = engine_free(engine);
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("CHRONOS_SEED");
    uint64_t total = getenv("CHRONOS_TEST_LIGHT") ? OPERATIONS / 20
                     : getenv("CHRONOS_LONG")     ? OPERATIONS * 200
                                                  : OPERATIONS;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = wanted ? strtoull(wanted, NULL, 10)
                  : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec;
    if (argc > 1)
        total = strtoull(argv[1], NULL, 10);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    printf("seed %" PRIu64 ", %" PRIu64 " operations\n", seed, total);
    fflush(stdout);
    while (operation < total) {
        begin();
        for (uint64_t i = 0; i < EPISODE && operation < total; i++, operation++)
            one_operation();
        finish();
    }
    printf("granted %" PRIu64 ", warned %" PRIu64 ", refused: invalid %" PRIu64
           ", no space %" PRIu64 ", quota %" PRIu64 ", permission %" PRIu64 ", busy %" PRIu64
           ", gone %" PRIu64 "\n",
           counts[0], warnings, counts[REFUSED_INVALID], counts[REFUSED_NO_SPACE],
           counts[REFUSED_QUOTA], counts[REFUSED_PERMISSION] + counts[REFUSED_OWNER],
           counts[REFUSED_BUSY], counts[REFUSED_GONE]);
    return EXIT_SUCCESS;
}
