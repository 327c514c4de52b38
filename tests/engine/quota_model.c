/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations by users with quotas, and a naive account of them: a list of what is promised
 * and of what was used, added up again after each operation. Nothing that an ordinary user does
 * exceeds a quota, and what the engine says of hours and usage is what the list says, to the unit;
 * also after reverts, and after restarts from the records as the store keeps them.
 *
 *   quota_model [OPERATIONS]   CHRONOS_SEED=N repeats a run, CHRONOS_TEST_LIGHT=1 is short,
 *                              CHRONOS_LONG=1 is long
 */
#include "core/engine/accounts.h"
#include "core/engine/engine.h"
#include "model_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPERATIONS 60000
#define EPISODE    300
#define DEVICES    3
#define USERS      6 /* 0 and 1 are one account */
#define GROUPS     3 /* gids 1 and 2; 0: none */
#define MEMORY     1000000
#define PROMISES   512
#define SEGMENTS   4096
#define SECONDS(n) ((int64_t)(n)*NS_PER_SECOND)
#define DAY        20 /* seconds */

/* -- state -------------------------------------------------------------------------- */

/* An amount over a time, that an account and a group have. */
struct segment {
    uint32_t account, group;
    uint64_t ppm;
    int64_t from_ns, until_ns;
};

/* What the store has: partitions, what was used of those that are over or were changed, and the
 * engine's records of usage. */
struct books {
    struct {
        struct partition p;
        struct waiting w;
        int64_t since_ns; /* with this size and owner */
    } promises[PROMISES];
    size_t count;
    struct segment segments[SEGMENTS];
    size_t segment_count;
    struct usage_record records[USERS + GROUPS];
    size_t record_count;
};

static struct engine *engine;
static struct books books, durable;
static struct engine_event *taken, **taken_end = &taken;
static int64_t now_ns;
static uint64_t next_id, refused, granted, moved, dropped;
static struct refusal why;
static int64_t half_life_ns;
static uint64_t fraction[USERS], day_limit[USERS], week_limit[USERS], pending_limit[USERS];
static uint64_t group_fraction[GROUPS], group_day[GROUPS];
static int64_t day_bounds[8], week_bounds[3];
static struct quota_calendar calendar;

static void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    CHECK(at_ns != INT64_MAX, "a time that never comes");
    snprintf(text, size, "T%" PRId64, at_ns / NS_PER_SECOND);
}

static uint32_t account_of(void *context, uint32_t uid)
{
    (void)context;
    return uid == 1 ? 0 : uid;
}

static uint64_t ppm_of(const struct partition *p)
{
    uint64_t ppm = 0;

    for (uint32_t i = 0; i < p->share_count; i++)
        ppm += p->shares[i].memory_bytes; /* a device has a million bytes */
    return ppm;
}

/* -- events: what the store would keep ------------------------------------------------ */

static void add_segment(const struct partition *p, int64_t from_ns, int64_t until_ns)
{
    if (p->state == PARTITION_PENDING || until_ns <= from_ns)
        return;
    CHECK(books.segment_count < SEGMENTS, "too many segments");
    books.segments[books.segment_count++] =
        (struct segment){account_of(NULL, p->uid), p->quota_group, ppm_of(p), from_ns, until_ns};
}

static void keep_record(const struct usage_record *record)
{
    size_t at = 0;

    while (at < books.record_count &&
           (books.records[at].group != record->group || books.records[at].id != record->id))
        at++;
    books.record_count += at == books.record_count;
    books.records[at] = *record;
}

static size_t find(uint64_t id)
{
    size_t at = 0;

    while (at < books.count && books.promises[at].p.id != id)
        at++;
    return at;
}

/* A record was dropped: what is over does not count any more, because hardly any of it was left. */
static void drop(const struct usage_record *record, int64_t at_ns)
{
    int64_t second_ns = at_ns > SECONDS(1) ? at_ns - SECONDS(1) : 0;
    wide sum = 0;

    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;

        CHECK(record->group ? p->quota_group != record->id : account_of(NULL, p->uid) != record->id,
              "%u holds something", record->id);
    }
    for (size_t i = 0; i < books.segment_count; i++) {
        struct segment *s = &books.segments[i];
        uint32_t *whose = record->group ? &s->group : &s->account;

        if (*whose != record->id)
            continue;
        sum += (wide)s->ppm * (wide)(fairshare_f(half_life_ns, s->until_ns) -
                                     fairshare_f(half_life_ns, s->from_ns));
        *whose = record->group ? 0 : UINT32_MAX;
        dropped++;
    }
    CHECK(record->group || sum < 1000000 * (wide)(fairshare_f(half_life_ns, at_ns) -
                                                  fairshare_f(half_life_ns, second_ns)),
          "%u has used more", record->id);
}

static void store(const struct engine_event *event)
{
    size_t at = find(event->after.id);

    for (uint32_t i = 0; i < event->usage_count; i++) {
        keep_record(&event->usage[i].after);
        if (!usage_record_is_set(&event->usage[i].after) &&
            usage_record_is_set(&event->usage[i].before))
            drop(&event->usage[i].after, event->at_ns);
    }
    if (event->kind == EVENT_SETTING)
        return;
    if (event->kind == EVENT_CREATED) {
        CHECK(books.count < PROMISES, "too many");
        books.promises[books.count++].since_ns = event->after.start_ns;
        granted++;
    } else if (event_kind_is_end(event->kind)) {
        add_segment(&event->before, books.promises[at].since_ns, event->at_ns);
        books.promises[at] = books.promises[--books.count];
        return;
    } else if (event->kind == EVENT_RESIZED || event->kind == EVENT_HANDED) {
        add_segment(&event->before, books.promises[at].since_ns, event->at_ns);
        if (event->at_ns > books.promises[at].since_ns)
            books.promises[at].since_ns = event->at_ns;
    } else if (event->kind == EVENT_MOVED) {
        books.promises[at].since_ns = event->after.start_ns;
        moved++;
    }
    books.promises[at].p = event->after;
    books.promises[at].w = event->waiting_after;
}

static void take_events(void)
{
    *taken_end = engine_take_events(engine);
    for (struct engine_event *event; (event = *taken_end); taken_end = &event->next)
        store(event);
}

static void commit(void)
{
    engine_events_free(taken);
    taken = NULL;
    taken_end = &taken;
    durable = books;
}

/* -- the naive account ------------------------------------------------------------------ */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_of(uint32_t account, uint32_t group, bool of_group, uint32_t id)
{
    return of_group ? group == id : account == id;
}

/* ppm x ns of a holder within a time, promises included. */
static wide hours(bool of_group, uint32_t id, int64_t from_ns, int64_t until_ns)
{
    wide sum = 0;

    for (size_t i = 0; i < books.segment_count; i++) {
        const struct segment *s = &books.segments[i];
        int64_t time_ns = earlier(s->until_ns, until_ns) - later(s->from_ns, from_ns);

        if (is_of(s->account, s->group, of_group, id) && time_ns > 0)
            sum += (wide)s->ppm * time_ns;
    }
    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;
        int64_t time_ns = earlier(p->end_ns, until_ns) - later(books.promises[i].since_ns, from_ns);

        if (is_of(account_of(NULL, p->uid), p->quota_group, of_group, id) && time_ns > 0)
            sum += (wide)ppm_of(p) * time_ns;
    }
    return sum;
}

static uint64_t held(bool of_group, uint32_t id, int64_t at_ns)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;

        if (is_of(account_of(NULL, p->uid), p->quota_group, of_group, id) &&
            books.promises[i].since_ns <= at_ns && at_ns < p->end_ns)
            sum += ppm_of(p);
    }
    return sum;
}

static bool waits_for(size_t at, uint32_t account)
{
    const struct partition *p = &books.promises[at].p;

    return account_of(NULL, p->uid) == account && p->state == PARTITION_PENDING;
}

/* How many requests of an account wait: of a series, the first in the books counts. */
static uint32_t waiting(uint32_t account)
{
    uint32_t count = 0;

    for (size_t i = 0; i < books.count; i++) {
        uint64_t series = books.promises[i].p.series;
        size_t earlier_at = series ? 0 : i;

        while (earlier_at < i &&
               !(books.promises[earlier_at].p.series == series && waits_for(earlier_at, account)))
            earlier_at++;
        count += waits_for(i, account) && earlier_at == i;
    }
    return count;
}

/* Usage by its definition, within the first epoch. */
static uwide usage(uint32_t account)
{
    wide sum = 0;

    for (size_t i = 0; i < books.segment_count; i++) {
        const struct segment *s = &books.segments[i];

        if (s->account == account)
            sum += (wide)s->ppm * (wide)(fairshare_f(half_life_ns, s->until_ns) -
                                         fairshare_f(half_life_ns, s->from_ns));
    }
    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;

        if (account_of(NULL, p->uid) == account && p->state != PARTITION_PENDING)
            sum += (wide)ppm_of(p) * (wide)(fairshare_f(half_life_ns, now_ns) -
                                            fairshare_f(half_life_ns, books.promises[i].since_ns));
    }
    return (uwide)sum;
}

static void check_windows(bool of_group, uint32_t id, const struct windows *windows, uint64_t limit)
{
    for (struct window w = windows_at(windows, now_ns); w.start_ns < now_ns + SECONDS(40 * DAY);
         w = windows_after(windows, w, 1)) {
        wide used = hours(of_group, id, w.start_ns, w.end_ns);

        CHECK(limit == QUOTA_UNLIMITED || used <= (wide)limit * NS_PER_SECOND,
              "%s %u has %" PRIu64 " of %" PRIu64 " in the window from %" PRId64,
              of_group ? "group" : "user", id, (uint64_t)(used / NS_PER_SECOND), limit,
              w.start_ns / NS_PER_SECOND);
    }
}

static void check_fraction(bool of_group, uint32_t id, uint64_t limit)
{
    for (size_t i = 0; i < books.count; i++) {
        int64_t at_ns = later(now_ns, books.promises[i].since_ns);

        CHECK(limit == QUOTA_UNLIMITED || held(of_group, id, at_ns) <= limit,
              "%s %u has %" PRIu64 " of %" PRIu64, of_group ? "group" : "user", id,
              held(of_group, id, at_ns), limit);
    }
}

static uint64_t rounded_up(wide ppm_ns)
{
    return (uint64_t)((ppm_ns + NS_PER_SECOND - 1) / NS_PER_SECOND);
}

static void check_told(bool of_group, uint32_t id)
{
    struct engine_use use = engine_use(engine, of_group ? HOLDER_GROUP : HOLDER_USER, id, now_ns);
    struct window day = windows_at(&calendar.day, now_ns);
    struct window week = windows_at(&calendar.week, now_ns);

    CHECK(use.day_end_ns == day.end_ns && use.week_end_ns == week.end_ns, "the calendar");
    CHECK(use.held_ppm == held(of_group, id, now_ns), "holds %" PRIu64 ", shown are %" PRIu64,
          held(of_group, id, now_ns), use.held_ppm);
    CHECK(use.day_ppm_s == rounded_up(hours(of_group, id, day.start_ns, day.end_ns)),
          "%s %u: %" PRIu64 " today, shown are %" PRIu64, of_group ? "group" : "user", id,
          rounded_up(hours(of_group, id, day.start_ns, day.end_ns)), use.day_ppm_s);
    CHECK(use.week_ppm_s == rounded_up(hours(of_group, id, week.start_ns, week.end_ns)),
          "%s %u: %" PRIu64 " this week, shown are %" PRIu64, of_group ? "group" : "user", id,
          rounded_up(hours(of_group, id, week.start_ns, week.end_ns)), use.week_ppm_s);
    if (of_group)
        return;
    CHECK(use.waiting == waiting(id), "%u wait, shown are %u", waiting(id), use.waiting);
    CHECK(use.usage == usage(id), "user %u at %" PRId64 ": usage differs by %" PRId64, id,
          now_ns / NS_PER_SECOND, (int64_t)((wide)use.usage - (wide)usage(id)));
}

static bool has_room(uint32_t device, const struct partition *own, int64_t until_ns)
{
    for (size_t i = 0; i <= books.count; i++) {
        int64_t at_ns = i < books.count ? books.promises[i].p.start_ns : now_ns;
        uint64_t promised = own->shares[0].memory_bytes;

        at_ns = later(at_ns, now_ns);
        for (size_t j = 0; j < books.count; j++) {
            const struct partition *p = &books.promises[j].p;

            for (uint32_t k = 0; k < p->share_count && p->id != own->id; k++)
                if (p->shares[k].device == device && p->start_ns <= at_ns && at_ns < p->end_ns)
                    promised += p->shares[k].memory_bytes;
        }
        if (at_ns < until_ns && promised > MEMORY)
            return false;
    }
    return true;
}

/* Whether a holder has room for `p` from now on, if `p` is not where it is planned. */
static bool has_quota(bool of_group, uint32_t id, const struct partition *p, uint64_t most,
                      uint64_t most_day, uint64_t most_week)
{
    const uint64_t limits[] = {most_day, most_week};
    const struct windows *windows[] = {&calendar.day, &calendar.week};
    int64_t until_ns = now_ns + (p->end_ns - p->start_ns);
    uint64_t ppm = ppm_of(p);

    for (size_t i = 0; i <= books.count && most != QUOTA_UNLIMITED; i++) {
        int64_t at_ns = later(i < books.count ? books.promises[i].p.start_ns : now_ns, now_ns);
        uint64_t others = held(of_group, id, at_ns);

        others -= p->start_ns <= at_ns && at_ns < p->end_ns ? ppm : 0;
        if (at_ns < until_ns && others + ppm > most)
            return false;
    }
    for (int kind = 0; kind < 2; kind++) {
        for (struct window w = windows_at(windows[kind], now_ns);
             limits[kind] != QUOTA_UNLIMITED && w.start_ns < until_ns;
             w = windows_after(windows[kind], w, 1)) {
            int64_t now_there_ns = earlier(until_ns, w.end_ns) - later(now_ns, w.start_ns);
            int64_t then_there_ns = earlier(p->end_ns, w.end_ns) - later(p->start_ns, w.start_ns);
            wide sum = hours(of_group, id, w.start_ns, w.end_ns) + (wide)ppm * now_there_ns -
                       (wide)ppm * (then_there_ns > 0 ? then_there_ns : 0);

            if (sum > (wide)limits[kind] * NS_PER_SECOND)
                return false;
        }
    }
    return true;
}

/* Nothing waits that could start now without moving anything. Hours of quotas that were freed count
 * as well as memory. */
static void check_idle(void)
{
    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;
        uint32_t user = account_of(NULL, p->uid), group = p->quota_group;

        if (p->state != PARTITION_PENDING || books.promises[i].w.fixed || p->share_count > 1)
            continue;
        for (uint32_t device = 0; device < DEVICES; device++) {
            bool may = books.promises[i].w.anywhere || device == p->shares[0].device;

            CHECK(
                !may || !has_room(device, p, now_ns + (p->end_ns - p->start_ns)) ||
                    !has_quota(false, user, p, fraction[user], day_limit[user], week_limit[user]) ||
                    (group > 0 && !has_quota(true, group, p, group_fraction[group],
                                             group_day[group], QUOTA_UNLIMITED)),
                "p%" PRIu64 " of %u could start now on gpu%u", p->id, user, device);
        }
    }
}

static void check_all(void)
{
    for (uint32_t user = 0; user < USERS; user++) {
        if (user == 1)
            continue;
        check_fraction(false, user, fraction[user]);
        check_windows(false, user, &calendar.day, day_limit[user]);
        check_windows(false, user, &calendar.week, week_limit[user]);
        check_told(false, user);
        CHECK(waiting(user) <= pending_limit[user], "%u wait", waiting(user));
    }
    for (uint32_t group = 1; group < GROUPS; group++) {
        check_fraction(true, group, group_fraction[group]);
        check_windows(true, group, &calendar.day, group_day[group]);
        check_told(true, group);
    }
}

/* -- operations ---------------------------------------------------------------------------- */

static const struct caller root = {.admin = true, .root = true};

static void set(enum holder_kind kind, uint32_t id, enum quota_key limit, uint64_t value,
                uint64_t unit)
{
    char key[ENGINE_KEY_MAX], text[32];

    accounts_setting_key(kind, id, limit, key);
    snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, value / unit, value % unit);
    if (limit == QUOTA_PENDING)
        snprintf(text, sizeof(text), "%" PRIu64, value);
    CHECK(engine_set(engine, ENGINE_CALL(now_ns, now_ns, &root, &why), key, text) == 0, "%s",
          why.message);
}

/* Hours are written with six decimals: these are exact. */
static uint64_t some_hours(uint64_t most)
{
    return 3600 * (1 + rnd(most * MEMORY / 3600));
}

static void start_engine(void)
{
    static const struct engine_device device = {MEMORY, true};
    uint32_t index;

    CHECK(engine_new(time_words, NULL, &engine) == 0, "no engine");
    engine_set_accounts(engine, account_of, NULL);
    engine_set_calendar(engine, &calendar);
    engine_set_rules(
        engine,
        &(struct engine_rules){.order = engine_order_by_usage, .context = engine, .forward = 100});
    for (int i = 0; i < DEVICES; i++)
        CHECK(engine_add_device(engine, &device, &index) == 0, "no device");
    for (uint32_t user = 0; user < USERS; user++) {
        if (fraction[user] != QUOTA_UNLIMITED)
            set(HOLDER_USER, user, QUOTA_FRACTION, fraction[user], 1000000);
        if (day_limit[user] != QUOTA_UNLIMITED)
            set(HOLDER_USER, user, QUOTA_HOURS_DAY, day_limit[user] / 3600, 1000000);
        if (week_limit[user] != QUOTA_UNLIMITED)
            set(HOLDER_USER, user, QUOTA_HOURS_WEEK, week_limit[user] / 3600, 1000000);
        set(HOLDER_USER, user, QUOTA_PENDING, pending_limit[user], 1);
    }
    for (uint32_t group = 1; group < GROUPS; group++) {
        set(HOLDER_GROUP, group, QUOTA_FRACTION, group_fraction[group], 1000000);
        set(HOLDER_GROUP, group, QUOTA_HOURS_DAY, group_day[group] / 3600, 1000000);
    }
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, half_life_ns / NS_PER_SECOND);
    CHECK(engine_set(engine, ENGINE_CALL(now_ns, now_ns, &root, &why), "config/half_life", text) ==
              0,
          "%s", why.message);
}

static void restart(void)
{
    take_events();
    commit();
    engine_free(engine);
    start_engine();
    engine_events_free(engine_take_events(engine));
    for (size_t i = 0; i < books.record_count; i++)
        CHECK(engine_restore_usage(engine, &books.records[i]) == 0, "no memory");
    for (size_t i = 0; i < books.count; i++) {
        const struct partition *p = &books.promises[i].p;

        CHECK((p->state == PARTITION_PENDING
                   ? engine_restore_waiting(engine, p, &books.promises[i].w)
                   : engine_restore(engine, p)) == 0,
              "p%" PRIu64, p->id);
    }
    engine_restore_counters(engine, next_id, 0);
}

static uint64_t any_id(void)
{
    return books.count ? books.promises[rnd(books.count)].p.id : 1;
}

static struct caller owner_of(uint64_t id)
{
    const struct partition *p = engine_find(engine, id);

    return (struct caller){.uid = p ? p->uid : 2};
}

static void op_enqueue(void)
{
    struct request request = {.amount = {.bytes = 1000 * (1 + rnd(rnd(2) ? 1000 : 200))},
                              .duration_ns = SECONDS(1 + rnd(rnd(4) ? 2 * DAY : 9 * DAY)),
                              .quota_group = (uint32_t)rnd(GROUPS)};
    struct creation_terms terms = {.waits = rnd(4) > 0,
                                   .fixed = rnd(8) == 0,
                                   .start_ns = now_ns + SECONDS(rnd(3 * DAY)),
                                   .give_up_ns = ENGINE_FOREVER,
                                   .priority = (uint32_t)rnd(PRIORITIES),
                                   .gpus = (uint32_t)(rnd(6) ? 1 : 2)};
    const struct caller caller = {.uid = (uint32_t)rnd(USERS)};
    uint32_t device = terms.gpus > 1 || rnd(2) ? ENGINE_DEVICE_ANY : (uint32_t)rnd(DEVICES);
    struct creation creation = {
        .request = &request, .device = device, .owner_uid = caller.uid, .owner_gid = 9};
    uint64_t id;
    int r = rnd(4)
                ? engine_enqueue(engine, ENGINE_CALL(now_ns, now_ns, &caller, &why), &creation,
                                 &terms, &id)
                : engine_create(engine, ENGINE_CALL(now_ns, now_ns, &caller, &why), &creation, &id);

    CHECK(!r || r == REFUSED_QUOTA || r == REFUSED_NO_SPACE, "%d: %s", r, why.message);
    refused += r == REFUSED_QUOTA;
    if (!r)
        next_id = id + 1;
}

/* Some occurrences of a reservation that repeats, up to the first that is refused. */
static void op_series(void)
{
    struct request request = {.amount = {.bytes = 1000 * (1 + rnd(200))},
                              .duration_ns = SECONDS(1 + rnd(DAY / 2)),
                              .quota_group = (uint32_t)rnd(GROUPS)};
    struct creation_terms terms = {.fixed = true,
                                   .start_ns = now_ns + SECONDS(rnd(DAY)),
                                   .give_up_ns = ENGINE_FOREVER,
                                   .gpus = 1,
                                   .series = ENGINE_SERIES_NEW};
    const struct caller caller = {.uid = (uint32_t)rnd(USERS)};
    struct creation creation = {.request = &request,
                                .device = (uint32_t)rnd(DEVICES),
                                .owner_uid = caller.uid,
                                .owner_gid = 9};
    uint64_t left = 2 + rnd(12);
    int r = 0;

    for (; !r && left > 0; left--, terms.start_ns += SECONDS(DAY / 2)) {
        uint64_t id;

        r = engine_enqueue(engine, ENGINE_CALL(now_ns, now_ns, &caller, &why), &creation, &terms,
                           &id);
        CHECK(!r || r == REFUSED_QUOTA || r == REFUSED_NO_SPACE, "%d: %s", r, why.message);
        refused += r == REFUSED_QUOTA;
        if (r)
            break;
        next_id = id + 1;
        terms.series = terms.series == ENGINE_SERIES_NEW ? id : terms.series;
    }
}

static void op_change(void)
{
    uint64_t id = any_id();
    const struct partition *p = engine_find(engine, id);
    const struct caller caller = owner_of(id);
    int64_t length_ns = p ? p->end_ns - later(p->start_ns, now_ns) : 1;
    int r;

    if (!p)
        return;
    if (rnd(2))
        r = engine_set_end(engine, ENGINE_CALL(now_ns, now_ns, &caller, &why), id,
                           later(p->start_ns, now_ns) + 1 +
                               (int64_t)rnd((uint64_t)(2 * length_ns)));
    else
        r = engine_resize(engine, ENGINE_CALL(now_ns, now_ns, &caller, &why), id,
                          1 + rnd(2 * p->shares[0].memory_bytes));
    CHECK(!r || r == REFUSED_QUOTA || r == REFUSED_NO_SPACE, "%d: %s", r, why.message);
    refused += r == REFUSED_QUOTA;
}

static void op_hand_over(void)
{
    uint64_t id = any_id();

    int r = engine_hand_over(engine, ENGINE_CALL(now_ns, now_ns, &root, &why), id,
                             (uint32_t)rnd(USERS), (uint32_t)rnd(GROUPS), 0755);
    CHECK(!r || r == REFUSED_QUOTA || r == REFUSED_GONE, "%d: %s", r, why.message);
}

static void op_release(void)
{
    engine_release(engine, ENGINE_CALL(now_ns, now_ns, &root, &why), any_id());
}

static void op_advance(void)
{
    now_ns += SECONDS(rnd(DAY / 2)) + (int64_t)rnd(3) * 7;
}

static void op_revert(void)
{
    take_events();
    CHECK(engine_revert(engine, taken) == 0, "not reverted");
    books = durable;
    commit();
}

static void operate(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int often;
    } all[] = {{"enqueue", op_enqueue, 50},    {"change", op_change, 30},
               {"advance", op_advance, 30},    {"release", op_release, 8},
               {"revert", op_revert, 4},       {"restart", restart, 4},
               {"hand over", op_hand_over, 8}, {"series", op_series, 4}};
    int64_t choice = (int64_t)rnd(138);
    size_t at = 0;

    while (choice >= all[at].often)
        choice -= all[at++].often;
    operation_name = all[at].name;
    all[at].run();
    operation_name = "advance after it";
    CHECK(engine_advance(engine, now_ns) == 0, "no memory");
    take_events();
    CHECK(engine_plan_is_finished(engine), "work is left");
    check_all();
    check_idle();
    if (rnd(3))
        commit();
}

static void begin_episode(void)
{
    int64_t at_ns = 0;

    for (int i = 0; i < 8; i++, at_ns += SECONDS(DAY - 3 + (int64_t)rnd(7)))
        day_bounds[i] = at_ns;
    for (int i = 0; i < 3; i++)
        week_bounds[i] = day_bounds[i * 3];
    calendar = (struct quota_calendar){{5, day_bounds, 7, SECONDS(DAY)},
                                       {2, week_bounds, 3, SECONDS(3 * DAY)}};
    now_ns = 0;
    next_id = 1;
    half_life_ns = SECONDS(10000 + rnd(100000)); /* all of an episode is in one epoch */
    for (int i = 0; i < USERS; i++) {
        fraction[i] = rnd(3) ? 1 + rnd(2 * MEMORY) : QUOTA_UNLIMITED;
        day_limit[i] = rnd(3) ? some_hours(2 * DAY) : QUOTA_UNLIMITED;
        week_limit[i] = rnd(3) ? some_hours(3 * DAY) : QUOTA_UNLIMITED;
        pending_limit[i] = 1 + rnd(12);
    }
    /* Both are one account, whose quota is that of the first. */
    for (int i = 0; i < GROUPS; i++) {
        group_fraction[i] = 1 + rnd(3 * MEMORY);
        group_day[i] = some_hours(3 * DAY);
    }
    memset(&books, 0, sizeof(books));
    start_engine();
    take_events();
    books.record_count = 0;
    commit();
}

int main(int argc, char **argv)
{
    const char *text = getenv("CHRONOS_SEED");
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 10) : OPERATIONS;

    if (getenv("CHRONOS_TEST_LIGHT"))
        operations /= 20;
    if (getenv("CHRONOS_LONG"))
        operations *= 100;
    seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    for (uint64_t episode = 0; operation < operations; episode++) {
        random_state = (seed + episode) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        begin_episode();
        for (int i = 0; i < EPISODE; i++, operation++)
            operate();
        commit();
        engine_free(engine);
    }
    printf("%" PRIu64 " operations: %" PRIu64 " granted, %" PRIu64 " moved, %" PRIu64
           " refused by a quota, %" PRIu64 " dropped\n",
           operation, granted, moved, refused, dropped);
    CHECK(granted > 0 && moved > 0 && refused > 0 && dropped > 0, "not all kinds occur");
    return 0;
}
