/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas of users and groups; see quota.h. */
#include "quota.h"

#include "core/base/ns.h"

const struct quota_limits quota_standard = {.limit = {
#define QUOTA(id, name, kind, standard, doc) [QUOTA_##id] = standard,
#include "quota.def"
#undef QUOTA
                                            }};

struct quota_limits quota_limits_over(const struct quota_limits *own,
                                      const struct quota_limits *otherwise)
{
    struct quota_limits limits = *otherwise;

    for (int key = 0; key < QUOTA_KEYS; key++) {
        if (own->set & 1U << key)
            limits.limit[key] = own->limit[key];
    }
    limits.set |= own->set;
    return limits;
}

void quota_init(struct quota_holder *holder, const struct quota_limits *limits)
{
    *holder = (struct quota_holder){.limits = *limits};
    tally_init(&holder->tally);
}

static void spend(struct quota_holder *holder, const struct quota_calendar *calendar, wide ppm,
                  int64_t from_ns, int64_t until_ns)
{
    quota_hours_spend(&holder->day, &calendar->day, ppm, from_ns, until_ns);
    quota_hours_spend(&holder->week, &calendar->week, ppm, from_ns, until_ns);
}

void quota_put(struct quota_holder *holder, const struct quota_calendar *calendar,
               struct quota_charge *charge, uint64_t id, uint64_t ppm, int64_t start_ns,
               int64_t end_ns, int64_t now_ns)
{
    tally_put(&holder->tally, &charge->span, id, start_ns, end_ns, ppm);
    spend(holder, calendar, -(wide)ppm, start_ns, now_ns);
}

void quota_take(struct quota_holder *holder, const struct quota_calendar *calendar,
                struct quota_charge *charge, int64_t now_ns)
{
    const struct tally_mark *start = &charge->span.start, *end = &charge->span.end;

    tally_take(&holder->tally, &charge->span);
    spend(holder, calendar, start->delta_ppm, start->at_ns,
          now_ns < end->at_ns ? now_ns : end->at_ns);
}

/* -- the three conditions that depend on the start: amount, hours of a day and of a week ---------
 */

static const enum quota_key conditions[] = {QUOTA_FRACTION, QUOTA_HOURS_DAY, QUOTA_HOURS_WEEK};
#define CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

static uint64_t limit_of(const struct quota_holder *holder, enum quota_key key)
{
    return holder->limits.limit[key];
}

static struct quota_hours hours_of(const struct quota_holder *holder,
                                   const struct quota_calendar *calendar, enum quota_key key)
{
    bool day = key == QUOTA_HOURS_DAY;

    return (struct quota_hours){&holder->tally, day ? &calendar->day : &calendar->week,
                                day ? &holder->day : &holder->week,
                                (wide)limit_of(holder, key) * NS_PER_SECOND};
}

uint64_t quota_used(const struct quota_holder *holder, const struct quota_calendar *calendar,
                    enum quota_key key, int64_t at_ns, struct window *ret_window)
{
    struct quota_hours hours = hours_of(holder, calendar, key);
    struct window window = windows_at(hours.windows, at_ns);
    wide used = quota_hours_used(&hours, &window);

    *ret_window = window;
    if (key == QUOTA_FRACTION)
        return (uint64_t)tally_value(&holder->tally, at_ns);
    return (uint64_t)((used + NS_PER_SECOND - 1) / NS_PER_SECOND);
}

/* Return what is left of the amount beside `ppm`; negative: nothing. */
static int64_t fraction_left(const struct quota_holder *holder, uint64_t ppm)
{
    uint64_t limit = limit_of(holder, QUOTA_FRACTION);

    limit = limit < INT64_MAX ? limit : INT64_MAX;
    return ppm <= limit ? (int64_t)(limit - ppm) : -1;
}

static int64_t condition_earliest(const struct quota_scope *scope, size_t holder,
                                  enum quota_key key, uint64_t ppm, int64_t from_ns,
                                  int64_t duration_ns, struct window *ret_window)
{
    const struct quota_holder *of = scope->holder[holder];

    if (limit_of(of, key) == QUOTA_UNLIMITED)
        return from_ns;
    if (key == QUOTA_FRACTION)
        return tally_earliest(&of->tally, from_ns, duration_ns, fraction_left(of, ppm));
    struct quota_hours hours = hours_of(of, scope->calendar, key);
    return quota_hours_earliest(&hours, ppm, from_ns, duration_ns, ret_window);
}

/* Return a moment from which on nothing is charged and all windows are alike, and a few weeks more.
 * What has no start until then has none. */
static int64_t horizon(const struct quota_scope *scope, int64_t from_ns)
{
    const struct windows *week = &scope->calendar->week;
    int64_t last_ns[2 + QUOTA_HOLDER_MAX] = {windows_regular_ns(&scope->calendar->day),
                                             windows_regular_ns(week)};

    for (size_t i = 0; i < scope->count; i++)
        last_ns[2 + i] = tally_last(&scope->holder[i]->tally);
    for (size_t i = 0; i < 2 + scope->count; i++)
        from_ns = last_ns[i] > from_ns ? last_ns[i] : from_ns;
    return from_ns > INT64_MAX - 3 * week->period_ns ? INT64_MAX : from_ns + 3 * week->period_ns;
}

int64_t quota_earliest(const struct quota_scope *scope, uint64_t ppm, int64_t from_ns,
                       int64_t before_ns, int64_t duration_ns)
{
    int64_t at_ns = from_ns, last_ns, horizon_ns = horizon(scope, from_ns);
    struct window window;

    /* Each condition answers with its first moment; no start lies before the latest of them. */
    do {
        last_ns = at_ns;
        for (size_t i = 0; i < scope->count * CONDITIONS && at_ns < before_ns; i++)
            at_ns = condition_earliest(scope, i / CONDITIONS, conditions[i % CONDITIONS], ppm,
                                       at_ns, duration_ns, &window);
    } while (at_ns != last_ns && at_ns < before_ns && at_ns <= horizon_ns);
    return at_ns == last_ns && at_ns < before_ns ? at_ns : TALLY_NEVER;
}

/* Take out what a request is charged itself, or put it back as it was. */
static void set_own(const struct quota_want *want, bool charged)
{
    for (size_t i = 0; i < want->scope->count; i++) {
        struct tally *tally = &want->scope->holder[i]->tally;
        struct tally_span *span = want->own[i] ? &want->own[i]->span : NULL;

        if (span && charged)
            tally_put(tally, span, span->owner, span->start.at_ns, span->end.at_ns,
                      (uint64_t)span->start.delta_ppm);
        else if (span)
            tally_take(tally, span);
    }
}

int64_t quota_limit_earliest(void *context, int64_t from_ns, int64_t before_ns, int64_t duration_ns)
{
    const struct quota_want *want = context;

    set_own(want, false);
    int64_t at_ns = quota_earliest(want->scope, want->ppm, from_ns, before_ns, duration_ns);
    set_own(want, true);
    return at_ns;
}

/* -- checking -----------------------------------------------------------------------------------
 */

static struct quota_answer refused(enum quota_key key, size_t holder, uint64_t used, uint64_t limit,
                                   int64_t at_ns)
{
    return (struct quota_answer){.verdict = QUOTA_REFUSED,
                                 .key = key,
                                 .holder = holder,
                                 .used = used,
                                 .limit = limit,
                                 .at_ns = at_ns};
}

/* Check what does not depend on anything that is charged. */
static struct quota_answer check_request(const struct quota_scope *scope,
                                         const struct quota_ask *ask)
{
    for (size_t i = 0; i < scope->count; i++) {
        const uint64_t *limit = scope->holder[i]->limits.limit;
        uint32_t pending = scope->holder[i]->pending;
        int64_t ahead_ns = ask->start_ns - ask->now_ns;

        if (ask->class > limit[QUOTA_PRIORITY])
            return refused(QUOTA_PRIORITY, i, ask->class, limit[QUOTA_PRIORITY], TALLY_NEVER);
        if ((uint64_t)ask->duration_ns > limit[QUOTA_DURATION])
            return refused(QUOTA_DURATION, i, (uint64_t)ask->duration_ns, limit[QUOTA_DURATION],
                           TALLY_NEVER);
        if (ask->waits && pending >= limit[QUOTA_PENDING])
            return refused(QUOTA_PENDING, i, pending, limit[QUOTA_PENDING], TALLY_NEVER);
        if (ahead_ns > 0 && (uint64_t)ahead_ns > limit[QUOTA_AHEAD])
            return refused(QUOTA_AHEAD, i, (uint64_t)ahead_ns, limit[QUOTA_AHEAD],
                           ask->start_ns - (int64_t)limit[QUOTA_AHEAD]);
    }
    return (struct quota_answer){.verdict = QUOTA_ALLOWED, .at_ns = ask->start_ns};
}

static void fill_figures(const struct quota_scope *scope, const struct quota_ask *ask,
                         struct quota_answer *answer)
{
    const struct quota_holder *holder = scope->holder[answer->holder];

    answer->limit = limit_of(holder, answer->key);
    if (answer->key == QUOTA_FRACTION)
        answer->used =
            (uint64_t)tally_peak(&holder->tally, ask->start_ns, ask->start_ns + ask->duration_ns);
    else
        answer->used = quota_used(holder, scope->calendar, answer->key, answer->window.start_ns,
                                  &answer->window);
}

struct quota_answer quota_check(const struct quota_scope *scope, const struct quota_ask *ask)
{
    struct quota_answer answer = check_request(scope, ask);

    if (answer.verdict != QUOTA_ALLOWED)
        return answer;
    for (size_t i = 0; i < scope->count * CONDITIONS; i++) {
        enum quota_key key = conditions[i % CONDITIONS];
        struct window window = {0};
        int64_t at_ns = condition_earliest(scope, i / CONDITIONS, key, ask->ppm, ask->start_ns,
                                           ask->duration_ns, &window);
        if (at_ns > answer.at_ns)
            answer = (struct quota_answer){.verdict = QUOTA_LATER,
                                           .key = key,
                                           .holder = i / CONDITIONS,
                                           .window = window,
                                           .at_ns = at_ns};
    }
    if (answer.verdict == QUOTA_ALLOWED)
        return answer;
    fill_figures(scope, ask, &answer);
    answer.at_ns = quota_earliest(scope, ask->ppm, answer.at_ns, TALLY_NEVER, ask->duration_ns);
    if (answer.at_ns == TALLY_NEVER)
        answer.verdict = QUOTA_REFUSED;
    for (size_t i = 0; i < scope->count; i++) {
        if ((uint64_t)(answer.at_ns - ask->now_ns) > limit_of(scope->holder[i], QUOTA_AHEAD))
            answer.verdict = QUOTA_REFUSED;
    }
    return answer;
}

int64_t quota_longest(const struct quota_scope *scope, uint64_t ppm, int64_t from_ns,
                      int64_t most_ns)
{
    for (size_t i = 0; i < scope->count * CONDITIONS; i++) {
        const struct quota_holder *holder = scope->holder[i / CONDITIONS];
        enum quota_key key = conditions[i % CONDITIONS];

        if (limit_of(holder, QUOTA_DURATION) < (uint64_t)most_ns)
            most_ns = (int64_t)limit_of(holder, QUOTA_DURATION);
        if (limit_of(holder, key) == QUOTA_UNLIMITED)
            continue;
        if (key == QUOTA_FRACTION) {
            int64_t above_ns = tally_above(&holder->tally, from_ns, fraction_left(holder, ppm));
            if (above_ns != TALLY_NEVER && above_ns - from_ns < most_ns)
                most_ns = above_ns - from_ns;
        } else {
            struct quota_hours hours = hours_of(holder, scope->calendar, key);
            most_ns = quota_hours_longest(&hours, ppm, from_ns, most_ns);
        }
    }
    return most_ns;
}

uint64_t quota_largest(const struct quota_scope *scope, int64_t from_ns, int64_t duration_ns,
                       uint64_t most_ppm)
{
    for (size_t i = 0; i < scope->count * CONDITIONS; i++) {
        const struct quota_holder *holder = scope->holder[i / CONDITIONS];
        enum quota_key key = conditions[i % CONDITIONS];

        if (limit_of(holder, QUOTA_DURATION) < (uint64_t)duration_ns)
            return 0;
        if (limit_of(holder, key) == QUOTA_UNLIMITED)
            continue;
        if (key == QUOTA_FRACTION) {
            int64_t peak = tally_peak(&holder->tally, from_ns, from_ns + duration_ns);
            int64_t left = fraction_left(holder, (uint64_t)peak);
            if (left < (int64_t)most_ppm)
                most_ppm = left > 0 ? (uint64_t)left : 0;
        } else {
            struct quota_hours hours = hours_of(holder, scope->calendar, key);
            most_ppm = quota_hours_largest(&hours, from_ns, duration_ns, most_ppm);
        }
    }
    return most_ppm;
}
