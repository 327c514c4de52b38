/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests that wait, on the engine and on the naive plan of plan_reference.c: after each
 * operation both have the same plan, and what was promised holds. Operations fail for lack of
 * memory now and then, batches are reverted, and the engine is restarted from its events, as the
 * store keeps them.
 *
 *   plan_model [OPERATIONS]   CHRONOS_SEED=N repeats a run, CHRONOS_TEST_LIGHT=1 is short,
 *                             CHRONOS_LONG=1 is long
 */
#include "model_check.h"
#include "plan_reference.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPERATIONS 300000
#define EPISODE    400
#define SECONDS(n) ((int64_t)(n)*NS_PER_SECOND)

/* -- failing allocations ------------------------------------------------------ */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
static int fail_at;
static bool failed;

static bool fails(void)
{
    bool now = fail_at > 0 && --fail_at == 0;

    failed = failed || now;
    return now;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static void maybe_fail(void)
{
    fail_at = rnd(16) == 0 ? (int)(1 + rnd(8)) : 0;
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
static struct plan plan, durable;
static struct engine_event *taken, **taken_end = &taken; /* since the last commit */
static int64_t now_ns;
static uint64_t hurry;
static uint64_t next_id, started, waited, refused, early, reordered, preempted;
static struct refusal why;
/* What each has seen, by id: the start shown last. */
static struct {
    uint64_t id;
    int64_t start_ns, promised_ns, end_ns, spared_ns;
    uint32_t state;
} seen[PLAN_PROMISES];
/* The partitions as the events say: what the store has. */
static struct plan stored, stored_durable;

static const struct caller root = {.admin = true, .root = true};

static void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    CHECK(at_ns != INT64_MAX, "a time that never comes");
    snprintf(text, size, "T%" PRId64, at_ns / NS_PER_SECOND);
}

static int order(void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return plan.usage[a % PLAN_ACCOUNTS] - plan.usage[b % PLAN_ACCOUNTS];
}

static int64_t limit(void *context, const struct partition *p, int64_t from_ns, int64_t before_ns,
                     int64_t duration_ns)
{
    int64_t every_ns = SECONDS(plan.every_s), at_ns = from_ns;

    (void)context, (void)duration_ns;
    if (p->uid % 2 && from_ns % every_ns != 0)
        at_ns += from_ns > 0 ? every_ns - from_ns % every_ns : -(from_ns % every_ns);
    return at_ns < before_ns ? at_ns : ENGINE_FOREVER;
}

/* -- comparing -------------------------------------------------------------------- */

static bool same(const struct partition *a, const struct partition *b)
{
    bool is_same = a->id == b->id && a->uid == b->uid && a->state == b->state &&
                   a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
                   a->share_count == b->share_count;

    for (uint32_t i = 0; is_same && i < a->share_count; i++)
        is_same = a->shares[i].device == b->shares[i].device &&
                  a->shares[i].memory_bytes == b->shares[i].memory_bytes;
    return is_same;
}

static bool same_waiting(const struct waiting *a, const struct waiting *b)
{
    return a->promised_ns == b->promised_ns && a->asked_ns == b->asked_ns &&
           a->give_up_ns == b->give_up_ns && a->priority == b->priority && a->fixed == b->fixed &&
           a->spared_ns == b->spared_ns && a->anywhere == b->anywhere &&
           (!a->anywhere || a->barred[0] == b->barred[0]) && a->amount.bytes == b->amount.bytes;
}

static void print(const char *who, const struct partition *p)
{
    printf("%s p%" PRIu64 " uid %u state %u [%" PRId64 ", %" PRId64 ")", who, p->id, p->uid,
           p->state, p->start_ns / NS_PER_SECOND, p->end_ns / NS_PER_SECOND);
    for (uint32_t i = 0; i < p->share_count; i++)
        printf(" gpu%u %" PRIu64, p->shares[i].device, p->shares[i].memory_bytes);
    printf("\n");
}

static void compare(void)
{
    const struct partition *p = NULL, *next = NULL;
    uint64_t waiting = 0;

    for (size_t i = 0; i < plan.count; i++) {
        const struct promise *promise = &plan.promises[i];

        p = engine_next(engine, p ? p->id : 0);
        if (!p || !same(p, &promise->p)) {
            print("engine", p ? p : &(struct partition){0});
            print("reference", &promise->p);
        }
        CHECK(p && same(p, &promise->p), "now %" PRId64, now_ns / NS_PER_SECOND);
        const struct waiting *w = engine_waiting(engine, p->id);
        CHECK(!w == (p->state != PARTITION_PENDING), "p%" PRIu64, p->id);
        CHECK(!w || same_waiting(w, &promise->w),
              "p%" PRIu64 ": promised %" PRId64 ", not %" PRId64, p->id,
              w->promised_ns / NS_PER_SECOND, promise->w.promised_ns / NS_PER_SECOND);
        waiting += w ? 1 : 0;
    }
    CHECK(!engine_next(engine, p ? p->id : 0), "one too many");
    CHECK(engine_waiting_count(engine) == waiting, "%" PRIu64, waiting);
    while ((p = next ? engine_next_waiting(engine, next->start_ns, next->id)
                     : engine_next_waiting(engine, INT64_MIN, 0))) {
        CHECK(p->state == PARTITION_PENDING && waiting-- > 0, "p%" PRIu64, p->id);
        CHECK(!next || next->start_ns < p->start_ns ||
                  (next->start_ns == p->start_ns && next->id < p->id),
              "p%" PRIu64, p->id);
        next = p;
    }
    CHECK(waiting == 0, "%" PRIu64 " are missing", waiting);
}

/* No start that was ever shown grows, what is fixed never moves, and nothing waits past it. */
static void check_promises(void)
{
    for (size_t i = 0; i < plan.count; i++) {
        const struct promise *promise = &plan.promises[i];
        size_t slot = promise->p.id % PLAN_PROMISES;
        bool waits = promise->p.state == PARTITION_PENDING;

        bool again = seen[slot].id == promise->p.id && /* it was preempted */
                     (seen[slot].spared_ns != promise->w.spared_ns ||
                      (seen[slot].state == PARTITION_ACTIVE &&
                       (waits || promise->p.start_ns > seen[slot].start_ns)));
        CHECK(!again || (plan.spare_s >= 0 && seen[slot].state == PARTITION_ACTIVE &&
                         promise->w.priority == PRIORITY_LOW &&
                         promise->p.end_ns - promise->p.start_ns == seen[slot].end_ns - now_ns),
              "p%" PRIu64, promise->p.id);
        if (seen[slot].id == promise->p.id && !again) {
            CHECK(promise->p.start_ns <= seen[slot].start_ns || plan.slack > 0, "p%" PRIu64,
                  promise->p.id);
            CHECK(promise->w.promised_ns <= seen[slot].promised_ns, "p%" PRIu64, promise->p.id);
            CHECK(!waits || !promise->w.fixed || promise->p.start_ns == seen[slot].start_ns,
                  "p%" PRIu64, promise->p.id);
        }
        seen[slot].id = promise->p.id;
        seen[slot].start_ns = promise->p.start_ns;
        seen[slot].promised_ns = promise->w.promised_ns;
        seen[slot].end_ns = promise->p.end_ns;
        seen[slot].state = promise->p.state;
        seen[slot].spared_ns = promise->w.spared_ns;
        CHECK(!waits || promise->p.start_ns <= promise->w.promised_ns, "p%" PRIu64, promise->p.id);
        CHECK(promise->p.start_ns <= now_ns || waits, "p%" PRIu64 " is early", promise->p.id);
        for (uint32_t k = 1; k < promise->p.share_count; k++)
            CHECK(promise->p.shares[k - 1].device < promise->p.shares[k].device, "p%" PRIu64,
                  promise->p.id);
    }
}

static void check_capacity(void)
{
    for (uint32_t device = 0; device < plan.device_count; device++) {
        for (size_t i = 0; i < plan.count; i++) {
            int64_t at_ns = plan.promises[i].p.start_ns;

            at_ns = at_ns < now_ns ? now_ns : at_ns;
            CHECK(plan_promised(&plan, device, at_ns, 0) <= plan.devices[device].memory_bytes,
                  "gpu%u at %" PRId64, device, at_ns / NS_PER_SECOND);
        }
    }
}

/* When all passes are done, nothing waits that could start now without moving anything. */
static void check_idle(void)
{
    struct share shares[SHARE_MAX];

    CHECK(engine_next_wakeup(engine) > now_ns, "work is left");
    CHECK(engine_plan_is_finished(engine), "work is left");
    for (size_t i = 0; i < plan.count; i++) {
        const struct promise *promise = &plan.promises[i];

        CHECK(promise->p.state != PARTITION_PENDING || promise->p.start_ns > now_ns,
              "p%" PRIu64 " is late", promise->p.id);
        CHECK(promise->p.state != PARTITION_PENDING || promise->w.fixed ||
                  promise->p.uid % 2 || /* their limit comes and goes with time */
                  !plan_fits(&plan, promise, now_ns, UINT32_MAX, shares),
              "p%" PRIu64 " could start now, %" PRId64, promise->p.id, now_ns / NS_PER_SECOND);
    }
}

/* -- events ------------------------------------------------------------------------ */

/* Write an event into what is stored. */
static void store(const struct engine_event *event)
{
    struct promise *promise =
        plan_find(&stored, event->before.id ? event->before.id : event->after.id);

    CHECK((event->kind == EVENT_CREATED) == !promise, "event %" PRIu64, event->seq);
    if (promise) {
        CHECK(same(&promise->p, &event->before), "event %" PRIu64, event->seq);
        CHECK(event->before.state != PARTITION_PENDING ||
                  same_waiting(&promise->w, &event->waiting_before),
              "event %" PRIu64, event->seq);
    } else {
        promise = &stored.promises[stored.count++];
    }
    if (event_kind_is_end(event->kind)) {
        size_t after = (size_t)(&stored.promises[--stored.count] - promise);

        CHECK(event->after.end_ns == event->at_ns, "event %" PRIu64, event->seq);
        memmove(promise, promise + 1, after * sizeof(*promise));
        return;
    }
    if (event->kind == EVENT_MOVED && plan.slack == 0)
        CHECK(event->after.start_ns < event->before.start_ns, "event %" PRIu64, event->seq);
    if (event->kind == EVENT_STARTED)
        CHECK(event->at_ns == event->after.start_ns && event->at_ns <= now_ns, "event %" PRIu64,
              event->seq);
    started += event->kind == EVENT_STARTED;
    promise->p = event->after;
    promise->w = event->waiting_after;
}

static void take_events(void)
{
    *taken_end = engine_take_events(engine);
    for (struct engine_event *event; (event = *taken_end); taken_end = &event->next)
        store(event);
    CHECK(stored.count == plan.count, "%zu, %zu", stored.count, plan.count);
}

static void forget_taken(void)
{
    engine_events_free(taken);
    taken = NULL;
    taken_end = &taken;
}

static void commit(void)
{
    take_events();
    forget_taken();
    durable = plan;
    stored_durable = stored;
}

static void advance(void)
{
    int r;

    plan_advance(&plan, now_ns);
    if (rnd(2)) {
        do {
            maybe_fail();
            ran_out(engine_advance_some(engine, now_ns, rnd(4)));
        } while (engine_next_wakeup(engine) <= now_ns);
    } else {
        do {
            maybe_fail();
            r = engine_advance(engine, now_ns);
        } while (ran_out(r));
    }
    check_idle();
}

static void revert(void)
{
    int64_t freed_ns[PLAN_DEVICES];
    int usage[PLAN_ACCOUNTS], r;
    bool due = plan.reorder_due;

    take_events();
    do {
        maybe_fail();
        r = engine_revert(engine, taken);
    } while (ran_out(r));
    CHECK(!r, "%d", r);
    memcpy(freed_ns, plan.freed_ns, sizeof(freed_ns));
    memcpy(usage, plan.usage, sizeof(usage));
    plan = durable;
    stored = stored_durable;
    memcpy(plan.freed_ns, freed_ns, sizeof(freed_ns));
    memcpy(plan.usage, usage, sizeof(usage));
    plan.reorder_due = due || taken;
    for (const struct engine_event *event = taken; event; event = event->next) {
        plan_mark(&plan, &event->before, INT64_MIN);
        plan_mark(&plan, &event->after, INT64_MIN);
    }
    forget_taken();
    memset(seen, 0, sizeof(seen));
}

/* One that waits and needs less may fit earlier, also on other devices. */
static void mark_itself(const struct promise *promise)
{
    plan_mark(&plan, &promise->p, promise->p.start_ns - 1);
    for (uint32_t i = 0; promise->w.anywhere && i < plan.device_count; i++)
        plan_mark(&plan, &(struct partition){.share_count = 1, .shares[0].device = i},
                  ENGINE_FOREVER - 1);
}

static void set(const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, value);
    CHECK(engine_restore_setting(engine, key, text) == 0, "%s", key);
}

static void start_engine(void)
{
    uint32_t index;

    CHECK(engine_new(time_words, NULL, &engine) == 0, "no engine");
    engine_set_rules(engine, &(struct engine_rules){order, limit, NULL, plan.forward_most});
    for (uint32_t i = 0; i < plan.device_count; i++)
        CHECK(engine_add_device(engine, &plan.devices[i], &index) == 0, "no device");
    set("config/promise_slack", plan.slack);
    set("config/reorder", plan.reorder_most);
    if (plan.spare_s >= 0) {
        set("config/preempt_min", plan.spare_s);
        CHECK(engine_restore_setting(engine, "config/preempt", "end") == 0, "no preemption");
    }
}

/* End the engine and begin again with what is stored. */
static void restart(void)
{
    commit();
    engine_free(engine);
    start_engine();
    for (uint32_t i = 0; i < plan.device_count; i++)
        plan.freed_ns[i] = ENGINE_FOREVER;
    for (size_t i = 0; i < stored.count; i++) {
        const struct promise *promise = &stored.promises[i];
        bool waits = promise->p.state == PARTITION_PENDING;

        CHECK((waiting_is_kept(&promise->w, promise->p.state)
                   ? engine_restore_waiting(engine, &promise->p, &promise->w)
                   : engine_restore(engine, &promise->p)) == 0,
              "p%" PRIu64, promise->p.id);
        if (waits) {
            plan.reorder_due = true;
            plan_mark(&plan, &promise->p, INT64_MIN);
            mark_itself(promise);
        }
    }
    engine_restore_counters(engine, next_id, 0);
}

/* -- operations ---------------------------------------------------------------------- */

static uint64_t any_id(void)
{
    return plan.count && rnd(16) ? plan.promises[rnd(plan.count)].p.id : rnd(next_id + 2);
}

static struct amount any_amount(void)
{
    if (rnd(3) == 0)
        return (struct amount){.bytes = 1 + rnd(110)};
    return (struct amount){
        .is_share = true, .digits = rnd(2) ? 1 + rnd(100) : 25 * (1 + rnd(4)), .scale = 100};
}

static void op_enqueue(void)
{
    static uint32_t devices[PLAN_DEVICES];
    struct request request = {.amount = any_amount(), .duration_ns = SECONDS(1 + rnd(12))};
    struct creation_terms terms = {.waits = rnd(8) > 0,
                                   .fixed = rnd(8) == 0,
                                   .start_ns = now_ns + SECONDS(rnd(12)),
                                   .give_up_ns = ENGINE_FOREVER,
                                   .priority = (uint32_t)rnd(PRIORITIES),
                                   .gpus = rnd(3) ? 0 : (uint32_t)(1 + rnd(3))};
    struct creation creation = {.request = &request,
                                .device =
                                    rnd(2) ? ENGINE_DEVICE_ANY : (uint32_t)rnd(plan.device_count),
                                .owner_uid = 1000 + (uint32_t)rnd(PLAN_ACCOUNTS)};
    struct caller caller = root;
    struct promise promise = {.p = {.id = next_id, .uid = creation.owner_uid}};
    bool good = true;
    uint64_t id = 0;
    int r;

    if (plan.count >= PLAN_PROMISES)
        return;
    if (!terms.fixed && rnd(4) == 0)
        terms.give_up_ns = now_ns + SECONDS(rnd(20));
    if (terms.gpus > 1 && rnd(2)) {
        for (uint32_t i = 0; i < PLAN_DEVICES; i++)
            devices[i] = (i + (uint32_t)(operation % 4)) % PLAN_DEVICES;
        terms.devices = devices;
    }
    bool barred[PLAN_DEVICES] = {false};
    uint64_t barred_bit = rnd(4) ? PLAN_DEVICES : rnd(plan.device_count);

    if (barred_bit < PLAN_DEVICES)
        barred[barred_bit] = true;
    caller.barred = barred;
    do {
        maybe_fail();
        r = engine_enqueue(engine, ENGINE_CALL(now_ns, 0, &caller, &why), &creation, &terms, &id);
    } while (ran_out(r));

    promise.p.share_count = terms.gpus > 1 ? terms.gpus : 1;
    promise.p.end_ns = request.duration_ns;
    promise.p.state = PARTITION_ACTIVE;
    promise.w = (struct waiting){
        .asked_ns = now_ns,
        .give_up_ns = terms.give_up_ns,
        .amount = request.amount,
        .priority = terms.priority,
        .fixed = terms.fixed,
        .anywhere = creation.device == ENGINE_DEVICE_ANY && !terms.devices,
        .barred = {barred_bit < plan.device_count && plan.devices[barred_bit].present
                       ? 1U << barred_bit
                       : 0,
                   0}};
    /* A device on which it amounts to nothing is ruled out for good. */
    for (uint32_t i = 0; i < plan.device_count; i++) {
        if (plan.devices[i].present && request.amount.is_share &&
            request.amount.digits * plan.devices[i].memory_bytes < 100)
            promise.w.barred[0] |= 1U << i;
    }
    for (uint32_t k = 0; good && !promise.w.anywhere && k < promise.p.share_count; k++) {
        struct share *share = &promise.p.shares[k];

        share->device = terms.devices ? devices[k] : creation.device;
        good = share->device < plan.device_count && (terms.devices || k == 0);
        if (good)
            share->memory_bytes =
                request.amount.is_share
                    ? request.amount.digits * plan.devices[share->device].memory_bytes / 100
                    : request.amount.bytes;
    }
    plan_passes(&plan, now_ns);
    int64_t from_ns = terms.fixed ? terms.start_ns : now_ns;
    good = good &&
           plan_earliest(&plan, &promise, from_ns,
                         terms.fixed || !terms.waits ? from_ns + 1 : ENGINE_FOREVER, UINT32_MAX);
    CHECK(good == !r, "%d: %s", r, why.message);
    if (!good) {
        refused++;
        CHECK(strlen(why.message) > 10, "no message");
        return;
    }
    CHECK(id == next_id, "%" PRIu64, id);
    next_id++;
    if (promise.p.start_ns > now_ns) {
        promise.p.state = PARTITION_PENDING;
        promise.w.promised_ns =
            promise.p.start_ns + (terms.fixed ? 0 : plan.slack * (promise.p.start_ns - now_ns));
        waited++;
    }
    if (plan.spare_s >= 0 && promise.w.priority == PRIORITY_HIGH && !terms.fixed &&
        promise.p.state == PARTITION_PENDING && terms.waits) {
        struct promise high = promise;

        if (plan_preempt(&plan, &high, now_ns, now_ns + SECONDS(plan.spare_s)))
            return;
    }
    plan.promises[plan.count++] = promise;
    plan.reorder_due = plan.reorder_due || promise.p.state == PARTITION_PENDING;
}

/* A promise that operations reach. */
static struct promise *reach(uint64_t id)
{
    struct promise *promise = plan_find(&plan, id);

    return promise && promise->p.end_ns > now_ns ? promise : NULL;
}

static void op_release(void)
{
    uint64_t id = any_id();
    int r;

    do {
        maybe_fail();
        r = engine_release(engine, ENGINE_CALL(now_ns, 0, &root, &why), id);
    } while (ran_out(r));
    CHECK(!r == !!reach(id), "%d", r);
    if (!r)
        plan_end(&plan, reach(id), now_ns);
}

/* What gives memory back lets others move forward. */
static void mark_freed(const struct promise *promise, int64_t from_ns)
{
    plan.reorder_due = true;
    plan_mark(&plan, &promise->p, from_ns);
    if (promise->p.state == PARTITION_PENDING)
        mark_itself(promise);
}

/* Whether each share can have this many bytes over [from_ns, until_ns). */
static bool has_room(const struct partition *p, int64_t from_ns, int64_t until_ns, uint64_t bytes)
{
    for (uint32_t k = 0; k < p->share_count; k++) {
        uint64_t need = bytes ? bytes : p->shares[k].memory_bytes;

        for (int64_t at_ns = from_ns; at_ns < until_ns; at_ns += NS_PER_SECOND) {
            if (plan_promised(&plan, p->shares[k].device, at_ns, p->id) + need >
                plan.devices[p->shares[k].device].memory_bytes)
                return false;
        }
    }
    return true;
}

/* Whether the limit of its owner allows more of it from now on, or from its start. */
static bool is_allowed(const struct partition *p, uint32_t uid)
{
    int64_t from_ns = p->start_ns > now_ns ? p->start_ns : now_ns;

    return uid % 2 == 0 || from_ns / NS_PER_SECOND % plan.every_s == 0;
}

/* What a refusal says about asking again has to be so. */
static void check_anew(const struct promise *wanted)
{
    const char *said = strstr(why.message, "a new request would start at T");
    struct promise again = *wanted;

    if (!said)
        return;
    again.p.id = 0;
    CHECK(plan_earliest(&plan, &again, again.w.fixed ? again.p.start_ns : now_ns, ENGINE_FOREVER,
                        UINT32_MAX),
          "%s", why.message);
    CHECK(strtoll(said + 30, NULL, 10) == again.p.start_ns / NS_PER_SECOND, "%s, not %" PRId64,
          why.message, again.p.start_ns / NS_PER_SECOND);
}

/* What a refusal says about how much longer it can last has to be so. */
static void check_longest(const struct partition *p)
{
    const char *more = strstr(why.message, " more, until T");
    int64_t until_ns = more ? SECONDS(strtoll(more + 14, NULL, 10)) : p->end_ns;

    if (!more && !strstr(why.message, "no more time"))
        return;
    CHECK(has_room(p, p->end_ns, until_ns, 0), "%s", why.message);
    CHECK(!has_room(p, p->end_ns, until_ns + SECONDS(1), 0), "%s", why.message);
}

static void op_set_end(void)
{
    uint64_t id = any_id();
    struct promise *promise;
    int64_t end_ns = now_ns + SECONDS(1 + rnd(16));
    int r;

    if (plan_find(&plan, id) && rnd(2))
        end_ns = plan_find(&plan, id)->p.end_ns + SECONDS(rnd(3)) - SECONDS(1);
    do {
        maybe_fail();
        r = engine_set_end(engine, ENGINE_CALL(now_ns, 0, &root, &why), id, end_ns);
    } while (ran_out(r));
    if (reach(id))
        plan_passes(&plan, now_ns);
    promise = reach(id);
    bool good = promise && end_ns > now_ns && end_ns > promise->p.start_ns &&
                has_room(&promise->p, promise->p.end_ns, end_ns, 0) &&
                (end_ns <= promise->p.end_ns || is_allowed(&promise->p, promise->p.uid));
    CHECK(good == !r, "%d: %s", r, why.message);
    if (!good && promise && r == REFUSED_NO_SPACE) {
        struct promise wanted = *promise;

        wanted.p.end_ns = end_ns;
        check_anew(&wanted);
        check_longest(&promise->p);
    }
    if (!good)
        return;
    bool frees = end_ns < promise->p.end_ns;
    promise->p.end_ns = end_ns;
    if (frees)
        mark_freed(promise, end_ns);
}

static void op_resize(void)
{
    uint64_t id = any_id(), bytes = 1 + rnd(100);
    struct promise *promise;
    bool changes = false, frees = false, grows = false, more = false;
    int r;

    do {
        maybe_fail();
        r = engine_resize(engine, ENGINE_CALL(now_ns, 0, &root, &why), id, bytes);
    } while (ran_out(r));
    if (reach(id))
        plan_passes(&plan, now_ns);
    promise = reach(id);
    for (uint32_t k = 0; promise && k < promise->p.share_count; k++) {
        const struct share *share = &promise->p.shares[k];
        struct partition one = {.id = id, .share_count = 1, .shares = {*share}};
        int64_t from_ns = promise->p.start_ns > now_ns ? promise->p.start_ns : now_ns;

        changes = changes || share->memory_bytes != bytes;
        frees = frees || share->memory_bytes > bytes;
        more = more || share->memory_bytes < bytes;
        grows = grows ||
                (share->memory_bytes < bytes && !has_room(&one, from_ns, promise->p.end_ns, bytes));
    }
    bool good = promise && !grows && (!more || is_allowed(&promise->p, promise->p.uid));
    CHECK(good == !r, "%d: %s", r, why.message);
    if (!good && promise && r == REFUSED_NO_SPACE) {
        struct promise wanted = *promise;

        for (uint32_t k = 0; k < wanted.p.share_count; k++)
            wanted.p.shares[k].memory_bytes = bytes;
        if (wanted.p.shares[0].memory_bytes != promise->p.shares[0].memory_bytes)
            wanted.w.amount = (struct amount){.bytes = bytes};
        check_anew(&wanted);
    }
    if (!good || !changes)
        return;
    for (uint32_t k = 0; k < promise->p.share_count; k++)
        promise->p.shares[k].memory_bytes = bytes;
    if (waiting_is_kept(&promise->w, promise->p.state))
        promise->w.amount = (struct amount){.bytes = bytes};
    if (frees || promise->p.state == PARTITION_PENDING)
        mark_freed(promise, now_ns);
}

static void op_hand_over(void)
{
    uint64_t id = any_id();
    struct promise *promise = reach(id);
    uint32_t uid = 1000 + (uint32_t)rnd(PLAN_ACCOUNTS);
    int r;

    do {
        maybe_fail();
        r = engine_hand_over(engine, ENGINE_CALL(now_ns, 0, &root, &why), id, uid, 0, 0755);
    } while (ran_out(r));
    bool good = promise && (promise->p.uid == uid || is_allowed(&promise->p, uid));
    CHECK(good == !r, "%d: %s", r, why.message);
    if (!good)
        return;
    if (promise->p.uid != uid && promise->p.state == PARTITION_PENDING)
        mark_itself(promise);
    if (promise->p.state == PARTITION_PENDING && promise->p.uid != uid)
        plan.reorder_due = true;
    promise->p.uid = uid;
}

/* Take these devices (NULL: any but the barred ones) into a promise. False: it cannot. */
static bool take_devices(struct promise *promise, const uint32_t *devices, uint32_t count,
                         const bool *barred)
{
    uint32_t allowed = 0;
    bool keeps = true;

    promise->w.anywhere = !devices;
    promise->w.barred[0] = 0;
    for (uint32_t i = 0; !devices && i < plan.device_count; i++) {
        const struct amount *amount = &promise->w.amount;

        if (!plan.devices[i].present)
            continue;
        if (barred[i] ||
            (amount->is_share && amount->digits * plan.devices[i].memory_bytes < amount->scale))
            promise->w.barred[0] |= 1U << i;
        else
            allowed++;
    }
    if (devices && count != promise->p.share_count)
        return false;
    if (!devices && allowed < promise->p.share_count)
        return false;
    for (uint32_t k = 0; k < promise->p.share_count; k++) {
        struct share *share = &promise->p.shares[k];

        if (!devices) {
            keeps = keeps && !(promise->w.barred[0] >> share->device & 1);
            continue;
        }
        if (devices[k] >= plan.device_count || (k > 0 && devices[k] == devices[k - 1]))
            return false;
        uint64_t memory = plan.devices[devices[k]].memory_bytes;
        *share = (struct share){.device = devices[k]};
        share->memory_bytes = promise->w.amount.is_share
                                  ? promise->w.amount.digits * memory / promise->w.amount.scale
                                  : promise->w.amount.bytes;
    }
    return (!devices && keeps) ||
           plan_earliest(&plan, promise, promise->p.start_ns, promise->p.start_ns + 1, UINT32_MAX);
}

static void op_set_devices(void)
{
    uint32_t devices[PLAN_DEVICES], count = (uint32_t)(1 + rnd(3)), first = (uint32_t)rnd(3);
    uint64_t id = any_id(), barred_bit = rnd(2) ? PLAN_DEVICES : rnd(plan.device_count);
    bool barred[PLAN_DEVICES] = {false}, any = rnd(2);
    struct caller caller = root;
    struct promise *promise = plan_find(&plan, id);
    int r;

    if (promise && rnd(8))
        count = promise->p.share_count;
    for (uint32_t i = 0; i < count; i++)
        devices[i] = first + i + (rnd(2) && i == count - 1);
    if (barred_bit < PLAN_DEVICES)
        barred[barred_bit] = true;
    caller.barred = barred;
    do {
        maybe_fail();
        r = engine_set_devices(engine, ENGINE_CALL(now_ns, 0, &caller, &why), id,
                               any ? NULL : devices, count);
    } while (ran_out(r));
    if (reach(id))
        plan_passes(&plan, now_ns);
    promise = reach(id);
    if (!promise || promise->p.state != PARTITION_PENDING) {
        CHECK(r == (promise ? REFUSED_BUSY : REFUSED_GONE), "%d", r);
        return;
    }
    struct promise wanted = *promise, was = *promise;
    bool good = take_devices(&wanted, any ? NULL : devices, count, barred);
    CHECK(good == !r, "%d: %s", r, why.message);
    if (r == REFUSED_NO_SPACE)
        check_anew(&wanted);
    if (!good || (same(&wanted.p, &was.p) && same_waiting(&wanted.w, &was.w)))
        return;
    *promise = wanted;
    plan.reorder_due = true;
    plan_mark(&plan, &was.p, was.p.start_ns);
    mark_itself(promise);
}

/* One that waits takes the room of low ones as if it came now, and starts with the next step. */
static void raise_to_high(struct promise *promise)
{
    struct promise high = *promise;
    const struct partition was = promise->p;

    promise->p.share_count = 0; /* not there */
    if (!plan_preempt(&plan, &high, now_ns, now_ns + SECONDS(plan.spare_s))) {
        plan_find(&plan, was.id)->p = was;
        return;
    }
    plan.count--; /* not a second one */
    high.p.state = PARTITION_PENDING;
    high.w.promised_ns = plan.slack > 0 ? high.w.promised_ns : now_ns;
    promise = plan_find(&plan, was.id);
    *promise = high;
    plan_mark(&plan, &was, was.start_ns);
}

static void op_set_priority(void)
{
    uint64_t id = any_id();
    uint32_t priority = (uint32_t)rnd(PRIORITIES);
    struct promise *promise = reach(id);
    struct caller caller = root;
    int r;

    if (promise && rnd(2))
        caller = (struct caller){.uid = promise->p.uid};
    do {
        maybe_fail();
        r = engine_set_priority(engine, ENGINE_CALL(now_ns, 0, &caller, &why), id, priority);
    } while (ran_out(r));
    if (!promise || promise->p.state != PARTITION_PENDING) {
        CHECK(r == (promise ? REFUSED_BUSY : REFUSED_GONE), "%d", r);
        return;
    }
    bool good = priority <= promise->w.priority || caller.admin;
    CHECK(good == !r, "%d: %s", r, why.message);
    if (!good || priority == promise->w.priority)
        return;
    if (priority == PRIORITY_HIGH && plan.spare_s >= 0)
        plan_passes(&plan, now_ns);
    promise = reach(id);
    promise->w.priority = priority;
    plan.reorder_due = true;
    if (priority == PRIORITY_HIGH && plan.spare_s >= 0 && !promise->w.fixed &&
        promise->p.state == PARTITION_PENDING)
        raise_to_high(promise);
}

static void op_usage(void)
{
    plan.usage[rnd(PLAN_ACCOUNTS)] = (int)rnd(3);
}

/* Time passes slowly in some episodes, so that many wait. */
static void op_tick(void)
{
    int64_t next_ns = engine_next_wakeup(engine);

    if (rnd(hurry))
        return;
    if (next_ns > now_ns && next_ns < now_ns + SECONDS(100) && rnd(2))
        now_ns = next_ns;
    else
        now_ns += SECONDS(rnd(rnd(8) ? 3 : 30));
    advance();
}

static const struct {
    const char *name;
    void (*run)(void);
    unsigned weight;
} operations[] = {
    {"enqueue", op_enqueue, 38}, {"release", op_release, 9},     {"set_end", op_set_end, 9},
    {"resize", op_resize, 7},    {"devices", op_set_devices, 6}, {"priority", op_set_priority, 3},
    {"tick", op_tick, 16},       {"hand_over", op_hand_over, 3}, {"usage", op_usage, 3},
    {"commit", commit, 3},       {"revert", revert, 2},          {"restart", restart, 1},
};

static void one_operation(void)
{
    uint64_t at = rnd(100);
    size_t i = 0;

    while (at >= operations[i].weight)
        at -= operations[i++].weight;
    operation_name = operations[i].name;
    operations[i].run();
    if (rnd(4)) {
        advance();
        take_events();
    }
    compare();
    check_promises();
    check_capacity();
}

static void episode(uint64_t total)
{
    static const uint64_t sizes[] = {100, 100, 50, 200};

    memset(&plan, 0, sizeof(plan));
    memset(&stored, 0, sizeof(stored));
    memset(seen, 0, sizeof(seen));
    next_id = 1;
    now_ns = SECONDS(rnd(1000)) - SECONDS(100);
    plan.device_count = 1 + (uint32_t)rnd(PLAN_DEVICES);
    plan.forward_most = rnd(2) ? 100 : 1 + (uint32_t)rnd(3);
    hurry = 1 + rnd(4);
    plan.slack = rnd(2) ? 0 : (int64_t)(1 + rnd(3));
    plan.spare_s = rnd(2) ? -1 : (int64_t)rnd(20);
    plan.reorder_most = rnd(2) ? 50 : 1 + (uint32_t)rnd(6);
    plan.every_s = 1 + (int64_t)rnd(4);
    for (uint32_t i = 0; i < PLAN_DEVICES; i++) {
        plan.devices[i] = (struct engine_device){sizes[rnd(2) ? 0 : rnd(4)], i == 0 || rnd(8) > 0};
        plan.freed_ns[i] = ENGINE_FOREVER;
    }
    start_engine();
    durable = plan;
    stored_durable = stored;
    for (uint64_t i = 0; i < EPISODE && operation < total; i++, operation++)
        one_operation();
    early += plan.moves;
    reordered += plan.reorders;
    preempted += plan.preempted;
    forget_taken();
    engine = engine_free(engine);
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("CHRONOS_SEED");
    uint64_t total = getenv("CHRONOS_TEST_LIGHT") ? OPERATIONS / 6
                     : getenv("CHRONOS_LONG")     ? OPERATIONS * 700
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
    while (operation < total)
        episode(total);
    printf("waited %" PRIu64 ", moved %" PRIu64 ", reordered %" PRIu64 ", preempted %" PRIu64
           ", started %" PRIu64 ", refused %" PRIu64 "\n",
           waited, early, reordered, preempted, started, refused);
    return EXIT_SUCCESS;
}
