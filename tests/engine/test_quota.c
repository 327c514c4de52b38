/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas against a naive model: a million operations on small numbers, where every moment can be
 * tried. Then days, weeks and GPU-hours as people meet them.
 */
#include "core/base/ns.h"
#include "core/engine/quota.h"
#include "tests/check.h"

/* -- the model -------------------------------------------------------------------------------- */

/* Moments are small integers. Amounts are multiples of HALF, so that a limit of one, in millionths
 * x seconds, is one unit of ONE for one moment. */
#define ONE     UINT64_C(1000000000)
#define HALF    (ONE / 2)
#define HOLDERS 3 /* two users and a group */
#define LEASES  12
#define PIECES  400
#define DAYS    18
#define MOMENTS 1600 /* nothing is charged and no list goes so far */

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

/* An amount that a holder has or had. */
struct piece {
    size_t holder;
    int64_t from_ns, until_ns;
    uint64_t ppm;
};

struct lease {
    bool used, grouped;
    size_t user;
    int64_t start_ns, end_ns;
    uint64_t ppm;
    struct quota_charge charge[2];
    struct piece *piece[2];
};

static struct quota_holder holders[HOLDERS];
static struct lease leases[LEASES];
static struct piece pieces[PIECES];
static size_t piece_count;
static int64_t now_ns, days[DAYS], weeks[DAYS];
static struct quota_calendar calendar;
/* of the moments from now on: what a holder has; of all windows: what it has used */
static uint64_t value[HOLDERS][MOMENTS], used[HOLDERS][2][MOMENTS];

/* A calendar of days of 4 to 6 moments, and later 5; weeks are 3 days. */
static void make_calendar(void)
{
    size_t day_count = 1 + (size_t)below(DAYS), week_count = 0;

    for (size_t i = 0; i < day_count; i++)
        days[i] = i == 0 ? -below(4) : days[i - 1] + 4 + below(3);
    for (size_t i = 0; i < day_count; i += 3)
        weeks[week_count++] = days[i];
    /* Weeks go on where days are regular: the last listed week is where the days end. */
    day_count = 3 * (week_count - 1) + 1;
    calendar.day = (struct windows){300, days, day_count, 5};
    calendar.week = (struct windows){100, weeks, week_count, 15};
}

static const struct windows *windows_of(int kind)
{
    return kind ? &calendar.week : &calendar.day;
}

static int64_t number_of(int kind, int64_t at_ns)
{
    const struct windows *windows = windows_of(kind);
    size_t i = 0;

    while (i + 1 < windows->count && windows->bounds_ns[i + 1] <= at_ns)
        i++;
    if (i + 1 == windows->count)
        return (int64_t)i + (at_ns - windows->bounds_ns[i]) / windows->period_ns;
    return (int64_t)i;
}

/* Add everything up again. */
static void recount(void)
{
    memset(value, 0, sizeof(value));
    memset(used, 0, sizeof(used));
    for (size_t i = 0; i < piece_count; i++) {
        const struct piece *piece = &pieces[i];
        for (int64_t t = piece->from_ns; t < piece->until_ns; t++) {
            value[piece->holder][t] += piece->ppm;
            used[piece->holder][0][number_of(0, t)] += piece->ppm;
            used[piece->holder][1][number_of(1, t)] += piece->ppm;
        }
    }
}

static uint64_t limit_of(size_t holder, int condition)
{
    return holders[holder].limits.limit[condition];
}

/* Whether `ppm` over [from, from + duration) meets one condition: 0 the amount, 1 days, 2 weeks. */
static bool meets(size_t holder, int condition, uint64_t ppm, int64_t from_ns, int64_t duration_ns)
{
    uint64_t limit = limit_of(holder, condition), asked = 0;

    if (limit == QUOTA_UNLIMITED)
        return true;
    for (int64_t t = from_ns; t < from_ns + duration_ns; t++) {
        if (condition == 0 && value[holder][t] + ppm > limit)
            return false;
        if (condition == 0)
            continue;
        if (t > from_ns && number_of(condition - 1, t) != number_of(condition - 1, t - 1))
            asked = 0;
        asked += ppm;
        if (used[holder][condition - 1][number_of(condition - 1, t)] + asked > limit * ONE)
            return false;
    }
    return true;
}

static const size_t scopes[][2] = {{0, 2}, {1, 2}};

static struct quota_scope scope_of(size_t user, bool grouped)
{
    return (struct quota_scope){{&holders[user], &holders[2]}, grouped ? 2 : 1, &calendar};
}

/* The end of all that is charged or irregular, and three weeks more. */
static int64_t horizon(void)
{
    int64_t last_ns = now_ns + 100;

    for (size_t i = 0; i < piece_count; i++)
        last_ns = pieces[i].until_ns > last_ns ? pieces[i].until_ns : last_ns;
    return last_ns + 150;
}

/* The first start that meets one condition of one holder, or all (condition -1). */
static int64_t earliest(size_t user, bool grouped, size_t only, int condition, uint64_t ppm,
                        int64_t from_ns, int64_t duration_ns)
{
    for (int64_t t = from_ns; t < horizon(); t++) {
        bool good = true;
        for (size_t i = 0; i < (grouped ? 2 : 1); i++) {
            for (int c = 0; c < 3 && good; c++) {
                if (condition < 0 || (c == condition && i == only))
                    good = meets(scopes[user][i], c, ppm, t, duration_ns);
            }
        }
        if (good)
            return t;
    }
    return TALLY_NEVER;
}

#define SAME(a, b)                                                                                 \
    ck_assert_msg((a) == (b), #a " is not " #b ": %lld, %lld; operation %ld", (long long)(a),      \
                  (long long)(b), operations)
static long operations;

/* -- operations ------------------------------------------------------------------------------- */

/* Put or take one charge of a lease, and what the model has of it. */
static void put(struct lease *lease, size_t i)
{
    size_t holder = scopes[lease->user][i];
    int64_t from_ns = lease->start_ns > now_ns ? lease->start_ns : now_ns;

    quota_put(&holders[holder], &calendar, &lease->charge[i], (uint64_t)(lease - leases),
              lease->ppm, lease->start_ns, lease->end_ns, now_ns);
    ck_assert(piece_count < PIECES);
    lease->piece[i] = &pieces[piece_count++];
    *lease->piece[i] = (struct piece){holder, from_ns, lease->end_ns, lease->ppm};
}

static void take(struct lease *lease, size_t i, int64_t at_ns)
{
    struct piece *piece = lease->piece[i];

    quota_take(&holders[scopes[lease->user][i]], &calendar, &lease->charge[i], at_ns);
    if (piece->until_ns > at_ns)
        piece->until_ns = at_ns > piece->from_ns ? at_ns : piece->from_ns;
}

static void put_all(struct lease *lease)
{
    for (size_t i = 0; i < (lease->grouped ? 2 : 1); i++)
        put(lease, i);
}

static void take_all(struct lease *lease, int64_t at_ns)
{
    for (size_t i = 0; i < (lease->grouped ? 2 : 1); i++)
        take(lease, i, at_ns);
}

static void end_until(int64_t at_ns)
{
    for (size_t i = 0; i < LEASES; i++) {
        if (leases[i].used && leases[i].end_ns <= at_ns) {
            take_all(&leases[i], now_ns);
            leases[i].used = false;
        }
    }
}

/* Some ends are noticed late and in any order: each ended when its time was up. */
static void pass_time(void)
{
    int64_t until_ns = now_ns + below(4);

    if (below(3) == 0)
        now_ns = until_ns + below(10);
    while (now_ns < until_ns)
        end_until(++now_ns);
    end_until(now_ns);
}

/* What a restart leaves: limits, what was spent, and live leases. */
static void restart(void)
{
    for (size_t i = 0; i < HOLDERS; i++) {
        struct quota_holder stored = holders[i];
        quota_init(&holders[i], &stored.limits);
        holders[i].day = stored.day;
        holders[i].week = stored.week;
        holders[i].pending = stored.pending;
    }
    for (size_t i = LEASES; i-- > 0;) {
        const struct lease *lease = &leases[i];
        for (size_t j = 0; lease->used && j < (lease->grouped ? 2 : 1); j++)
            quota_put(&holders[scopes[lease->user][j]], &calendar, &leases[i].charge[j], i,
                      lease->ppm, lease->start_ns, lease->end_ns, lease->start_ns);
    }
}

static void random_limits(struct quota_limits *limits)
{
    *limits = quota_standard;
    if (below(3))
        limits->limit[QUOTA_FRACTION] = HALF * (uint64_t)below(9);
    if (below(3))
        limits->limit[QUOTA_HOURS_DAY] = (uint64_t)below(12);
    if (below(3))
        limits->limit[QUOTA_HOURS_WEEK] = (uint64_t)below(25);
    if (below(4) == 0)
        limits->limit[QUOTA_DURATION] = (uint64_t)below(20);
    if (below(4) == 0)
        limits->limit[QUOTA_AHEAD] = (uint64_t)below(40);
    if (below(8) == 0)
        limits->limit[QUOTA_PRIORITY] = (uint64_t)below(3);
}

static void change(struct lease *lease)
{
    if (lease->end_ns <= now_ns)
        return;
    take_all(lease, now_ns);
    switch (below(3)) {
    case 0: /* resized */
        lease->ppm = HALF * (uint64_t)(1 + below(4));
        break;
    case 1: /* longer or shorter */
        lease->end_ns = (lease->start_ns > now_ns ? lease->start_ns : now_ns) + 1 + below(20);
        break;
    default: /* handed over: all of it goes, its group stays */
        lease->user = 1 - lease->user;
    }
    put_all(lease);
}

/* -- answers ---------------------------------------------------------------------------------- */

static void compare_figures(const struct quota_ask *ask, const struct quota_answer *answer,
                            size_t holder)
{
    uint64_t most = 0;

    SAME(answer->limit, limit_of(holder, (int)answer->key));
    if (answer->key == QUOTA_FRACTION) {
        for (int64_t t = ask->start_ns; t < ask->start_ns + ask->duration_ns; t++)
            most = value[holder][t] > most ? value[holder][t] : most;
        SAME(answer->used, most);
        return;
    }
    /* the first window that has not enough left */
    int kind = answer->key == QUOTA_HOURS_WEEK;
    int64_t duration_ns = 1;
    while (meets(holder, kind + 1, ask->ppm, ask->start_ns, duration_ns))
        duration_ns++;
    int64_t number = number_of(kind, ask->start_ns + duration_ns - 1);
    SAME(answer->window.number, windows_of(kind)->first + number);
    SAME(answer->used, (used[holder][kind][number] + ONE - 1) / ONE);
}

/* The verdict on what does not depend on charges; QUOTA_KEYS: nothing is in the way. */
static enum quota_key compare_request(size_t user, bool grouped, const struct quota_ask *ask,
                                      const struct quota_answer *answer)
{
    for (size_t i = 0; i < (grouped ? 2 : 1); i++) {
        const uint64_t *limit = holders[scopes[user][i]].limits.limit;
        enum quota_key key = QUOTA_KEYS;

        if (ask->class > limit[QUOTA_PRIORITY])
            key = QUOTA_PRIORITY;
        else if ((uint64_t)ask->duration_ns > limit[QUOTA_DURATION])
            key = QUOTA_DURATION;
        else if (ask->waits && holders[scopes[user][i]].pending >= limit[QUOTA_PENDING])
            key = QUOTA_PENDING;
        else if ((uint64_t)(ask->start_ns - now_ns) > limit[QUOTA_AHEAD])
            key = QUOTA_AHEAD;
        if (key == QUOTA_KEYS)
            continue;
        SAME(answer->verdict, QUOTA_REFUSED);
        SAME(answer->key, key);
        SAME(answer->holder, i);
        SAME(answer->limit, limit[key]);
        return key;
    }
    return QUOTA_KEYS;
}

static void compare_check(size_t user, bool grouped, const struct quota_ask *ask)
{
    struct quota_scope scope = scope_of(user, grouped);
    struct quota_answer answer = quota_check(&scope, ask);
    int64_t start_ns = ask->start_ns, worst_ns = start_ns, at_ns;
    size_t holder = 0;
    int key = -1;

    if (compare_request(user, grouped, ask, &answer) != QUOTA_KEYS)
        return;
    for (size_t i = 0; i < (grouped ? 2 : 1); i++) {
        for (int c = 0; c < 3; c++) {
            at_ns = earliest(user, grouped, i, c, ask->ppm, start_ns, ask->duration_ns);
            if (at_ns > worst_ns) {
                worst_ns = at_ns;
                holder = i;
                key = c;
            }
        }
    }
    at_ns = earliest(user, grouped, 0, -1, ask->ppm, start_ns, ask->duration_ns);
    int64_t before_ns = start_ns + below(60);
    struct quota_want want = {&scope, ask->ppm, {NULL}};
    SAME(quota_earliest(&scope, ask->ppm, start_ns, TALLY_NEVER, ask->duration_ns), at_ns);
    SAME(quota_limit_earliest(&want, start_ns, before_ns, ask->duration_ns),
         at_ns < before_ns ? at_ns : TALLY_NEVER);
    SAME(answer.at_ns, at_ns);
    if (at_ns == start_ns) {
        SAME(answer.verdict, QUOTA_ALLOWED);
        return;
    }
    SAME(answer.holder, holder);
    SAME((int)answer.key, key);
    bool near = at_ns != TALLY_NEVER;
    for (size_t i = 0; i < (grouped ? 2 : 1); i++)
        near = near && (uint64_t)(at_ns - now_ns) <= limit_of(scopes[user][i], QUOTA_AHEAD);
    SAME(answer.verdict, near ? QUOTA_LATER : QUOTA_REFUSED);
    compare_figures(ask, &answer, scopes[user][holder]);
}

static bool meets_all(size_t user, bool grouped, uint64_t ppm, int64_t from_ns, int64_t duration_ns)
{
    bool good = true;

    for (size_t i = 0; i < (grouped ? 2 : 1); i++) {
        for (int c = 0; c < 3; c++)
            good = good && meets(scopes[user][i], c, ppm, from_ns, duration_ns);
        good = good && (uint64_t)duration_ns <= limit_of(scopes[user][i], QUOTA_DURATION);
    }
    return good;
}

/* Suggestions are accepted, and nothing more would be. */
static void compare_suggestions(size_t user, bool grouped, const struct quota_ask *ask)
{
    struct quota_scope scope = scope_of(user, grouped);
    int64_t most_ns = 1 + below(60);
    int64_t longest_ns = quota_longest(&scope, ask->ppm, ask->start_ns, most_ns);
    uint64_t most_ppm = HALF * (uint64_t)(1 + below(10));
    uint64_t largest = quota_largest(&scope, ask->start_ns, ask->duration_ns, most_ppm);

    ck_assert(longest_ns >= 0 && longest_ns <= most_ns && largest <= most_ppm);
    ck_assert(longest_ns == 0 || meets_all(user, grouped, ask->ppm, ask->start_ns, longest_ns));
    ck_assert(longest_ns == most_ns ||
              !meets_all(user, grouped, ask->ppm, ask->start_ns, longest_ns + 1));
    ck_assert(largest == 0 || meets_all(user, grouped, largest, ask->start_ns, ask->duration_ns));
    ck_assert(largest == most_ppm ||
              !meets_all(user, grouped, largest + 1, ask->start_ns, ask->duration_ns));
}

/* One that waits looks for another start: its own promise is not in its way. */
static void compare_move(struct lease *lease)
{
    struct quota_scope scope = scope_of(lease->user, lease->grouped);
    struct quota_want want = {&scope, lease->ppm, {NULL}};
    int64_t duration_ns = lease->end_ns - lease->start_ns, before_ns = now_ns + below(80);
    struct piece pieces_then[2];

    for (size_t i = 0; i < scope.count; i++) {
        want.own[i] = &lease->charge[i];
        pieces_then[i] = *lease->piece[i];
        lease->piece[i]->until_ns = lease->piece[i]->from_ns;
    }
    recount();
    int64_t at_ns = earliest(lease->user, lease->grouped, 0, -1, lease->ppm, now_ns, duration_ns);
    SAME(quota_limit_earliest(&want, now_ns, before_ns, duration_ns),
         at_ns < before_ns ? at_ns : TALLY_NEVER);
    for (size_t i = 0; i < scope.count; i++)
        *lease->piece[i] = pieces_then[i];
}

/* Ask, and take what is allowed. If limits were never lowered and nothing grew unasked, no window
 * and no moment is above them. */
static void ask_and_put(struct lease *lease, bool always)
{
    struct quota_ask ask = {HALF * (uint64_t)(1 + below(4)),
                            now_ns,
                            now_ns + below(2) * below(40),
                            1 + below(below(8) ? 15 : 45),
                            (uint32_t)below(3),
                            below(4) == 0,
                            false};
    size_t user = (size_t)below(2);
    bool grouped = below(2);

    recount();
    compare_check(user, grouped, &ask);
    compare_suggestions(user, grouped, &ask);
    struct quota_scope scope = scope_of(user, grouped);
    if (!always && quota_check(&scope, &ask).verdict != QUOTA_ALLOWED)
        return;
    *lease = (struct lease){.used = true,
                            .grouped = grouped,
                            .user = user,
                            .start_ns = ask.start_ns,
                            .end_ns = ask.start_ns + ask.duration_ns,
                            .ppm = ask.ppm};
    put_all(lease);
}

static void check_bounds(void)
{
    recount();
    for (size_t i = 0; i < HOLDERS; i++) {
        const uint64_t *limit = holders[i].limits.limit;
        for (int64_t t = 0; t < MOMENTS; t++) {
            ck_assert(value[i][t] <= limit[QUOTA_FRACTION]);
            for (int kind = 0; kind < 2; kind++)
                ck_assert(limit[kind + 1] == QUOTA_UNLIMITED ||
                          used[i][kind][t] <= limit[kind + 1] * ONE);
        }
    }
}

static void begin(void)
{
    struct quota_limits limits;

    memset(leases, 0, sizeof(leases));
    piece_count = 0;
    now_ns = 0;
    make_calendar();
    for (size_t i = 0; i < HOLDERS; i++) {
        random_limits(&limits);
        quota_init(&holders[i], &limits);
        holders[i].pending = (uint32_t)below(12);
    }
}

/* `strict`: only what was allowed is put, and what is held does not grow. */
static void operate(bool strict)
{
    struct lease *lease = &leases[below(LEASES)];

    switch (below(6)) {
    case 0:
        pass_time();
        break;
    case 1:
        restart();
        break;
    case 2:
        if (!strict)
            random_limits(&holders[below(HOLDERS)].limits);
        break;
    case 3:
        if (lease->used && !strict)
            change(lease);
        break;
    case 4:
        if (lease->used)
            take_all(lease, now_ns);
        lease->used = false;
        break;
    default:
        if (!lease->used)
            ask_and_put(lease, !strict && below(2));
        else if (lease->start_ns > now_ns)
            compare_move(lease);
    }
}

START_TEST(a_million_operations)
{
    const long most = check_rounds(1000000);

    while (operations < most) {
        bool strict = below(3) == 0;
        begin();
        for (int i = 0; i < 100; i++, operations++)
            operate(strict);
        if (strict)
            check_bounds();
    }
}
END_TEST

/* -- as people meet them ---------------------------------------------------------------------- */

#define HOUR     (3600 * NS_PER_SECOND)
#define DAY      (24 * HOUR)
#define CENTURY  (36500 * DAY)
#define DEVICE   UINT64_C(1000000)
#define GPU_HOUR (DEVICE * 3600)

static const int64_t midnight_ns = 0;
/* from a Monday, 00:00 */
static const struct quota_calendar plain = {{20787, &midnight_ns, 1, DAY},
                                            {2970, &midnight_ns, 1, 7 * DAY}};
static struct quota_holder alice;
static const struct quota_scope hers = {{&alice}, 1, &plain};

static void limit(enum quota_key key, uint64_t most)
{
    struct quota_limits limits = quota_standard;

    limits.limit[key] = most;
    quota_init(&alice, &limits);
}

static struct quota_answer check(uint64_t ppm, int64_t start_ns, int64_t duration_ns)
{
    return quota_check(&hers,
                       &(struct quota_ask){ppm, start_ns, start_ns, duration_ns, 1, false, false});
}

START_TEST(hours_of_a_week)
{
    struct quota_charge charge[2];
    int64_t friday_ns = 4 * DAY + 12 * HOUR;

    /* "You have used 19.5 of 20 GPU-hours this week; 1h of 0.50 fits now, all from Monday 00:00" */
    limit(QUOTA_HOURS_WEEK, 20 * GPU_HOUR);
    quota_put(&alice, &plain, &charge[0], 1, DEVICE, DAY, DAY + 19 * HOUR + HOUR / 2, DAY);
    quota_take(&alice, &plain, &charge[0], 3 * DAY);
    struct quota_answer answer = check(DEVICE / 2, friday_ns, 3 * HOUR);
    ck_assert_int_eq(answer.verdict, QUOTA_LATER);
    ck_assert_int_eq(answer.key, QUOTA_HOURS_WEEK);
    ck_assert_int_eq(answer.at_ns, 7 * DAY - HOUR); /* the last hour of the week, and two of next */
    ck_assert_uint_eq(answer.used, 19 * GPU_HOUR + GPU_HOUR / 2);
    ck_assert_uint_eq(answer.limit, 20 * GPU_HOUR);
    ck_assert_int_eq(answer.window.end_ns, 7 * DAY);
    ck_assert_int_eq(quota_longest(&hers, DEVICE / 2, friday_ns, 3 * HOUR), HOUR);
    ck_assert_uint_eq(quota_largest(&hers, friday_ns, 3 * HOUR, DEVICE), DEVICE / 6);
    ck_assert_int_eq(check(DEVICE / 2, friday_ns, HOUR).verdict, QUOTA_ALLOWED);

    /* half of it in each of two weeks, and never if it is more than both */
    ck_assert_int_eq(check(DEVICE, friday_ns, 40 * HOUR).at_ns, 14 * DAY - 20 * HOUR);
    answer = check(DEVICE, friday_ns, 40 * HOUR + 1);
    ck_assert_int_eq(answer.verdict, QUOTA_REFUSED);
    ck_assert_int_eq(answer.at_ns, TALLY_NEVER);
}
END_TEST

START_TEST(unused_time_is_given_back)
{
    struct quota_charge charge;

    limit(QUOTA_HOURS_DAY, 8 * GPU_HOUR);
    /* from 20:00 for 8 hours: 4 in each day, although none of it was used yet */
    quota_put(&alice, &plain, &charge, 1, DEVICE, 20 * HOUR, 28 * HOUR, 0);
    ck_assert_int_eq(quota_longest(&hers, DEVICE, 0, 12 * HOUR), 4 * HOUR);
    ck_assert_int_eq(quota_longest(&hers, DEVICE, DAY, 12 * HOUR), 4 * HOUR);
    ck_assert_int_eq(check(DEVICE, 0, 5 * HOUR).at_ns, DAY - 4 * HOUR);
    /* released at 23:00: an hour of the day and all of tomorrow come back */
    quota_take(&alice, &plain, &charge, 23 * HOUR);
    ck_assert_int_eq(quota_longest(&hers, 5 * DEVICE, 23 * HOUR, HOUR), HOUR);
    ck_assert_int_eq(quota_longest(&hers, 6 * DEVICE, 23 * HOUR, HOUR), 5 * HOUR / 6);
    ck_assert_int_eq(quota_longest(&hers, DEVICE, DAY, 12 * HOUR), 8 * HOUR);
    struct window window;
    ck_assert_uint_eq(quota_used(&alice, &plain, QUOTA_HOURS_DAY, DAY - 1, &window), 3 * GPU_HOUR);
    ck_assert_int_eq(window.end_ns, DAY);
    ck_assert_uint_eq(quota_used(&alice, &plain, QUOTA_HOURS_DAY, DAY, &window), 0);
    ck_assert_uint_eq(quota_used(&alice, &plain, QUOTA_HOURS_WEEK, DAY, &window), 3 * GPU_HOUR);
    ck_assert_int_eq(window.end_ns, 7 * DAY);
    quota_put(&alice, &plain, &charge, 2, DEVICE / 2, DAY, DAY + HOUR + 1, DAY);
    ck_assert_uint_eq(quota_used(&alice, &plain, QUOTA_FRACTION, DAY, &window), DEVICE / 2);
    ck_assert_uint_eq(quota_used(&alice, &plain, QUOTA_HOURS_DAY, DAY, &window), GPU_HOUR / 2 + 1);
    quota_take(&alice, &plain, &charge, DAY);
    ck_assert_int_eq(alice.day.window, 20787);
    ck_assert(alice.day.ppm_ns == (wide)3 * GPU_HOUR * NS_PER_SECOND);
    ck_assert(alice.week.ppm_ns == (wide)3 * GPU_HOUR * NS_PER_SECOND);
}
END_TEST

/* The clock is set forward by an hour in the afternoon: what was used today was used today. */
START_TEST(clocks_can_be_set)
{
    const int64_t earlier_ns = -HOUR;
    struct quota_calendar set = {{20787, &earlier_ns, 1, DAY}, {2970, &earlier_ns, 1, 7 * DAY}};
    struct quota_scope after = {{&alice}, 1, &set};
    struct quota_charge charge[2];

    limit(QUOTA_HOURS_DAY, 8 * GPU_HOUR);
    quota_put(&alice, &plain, &charge[0], 1, DEVICE, 9 * HOUR, 14 * HOUR, 9 * HOUR);
    quota_put(&alice, &plain, &charge[1], 2, DEVICE, 22 * HOUR, 25 * HOUR, 9 * HOUR);
    quota_take(&alice, &plain, &charge[0], 11 * HOUR);
    /* 2 hours were used, and 2 or 1 of the others are before midnight */
    ck_assert_int_eq(quota_longest(&hers, DEVICE, 12 * HOUR, DAY), 4 * HOUR);
    ck_assert_int_eq(quota_longest(&after, DEVICE, 12 * HOUR, DAY), 5 * HOUR);
}
END_TEST

START_TEST(requests_alone)
{
    struct quota_answer answer;

    limit(QUOTA_DURATION, (uint64_t)HOUR);
    answer = check(DEVICE, 0, HOUR + 1);
    ck_assert_int_eq(answer.verdict, QUOTA_REFUSED);
    ck_assert_int_eq(answer.key, QUOTA_DURATION);
    ck_assert_uint_eq(answer.used, (uint64_t)HOUR + 1);
    ck_assert_int_eq(check(DEVICE, 0, HOUR).verdict, QUOTA_ALLOWED);
    ck_assert_int_eq(quota_longest(&hers, DEVICE, 0, DAY), HOUR);

    limit(QUOTA_AHEAD, (uint64_t)DAY);
    struct quota_ask ask = {DEVICE, HOUR, 3 * DAY, HOUR, 1, true, false};
    answer = quota_check(&hers, &ask);
    ck_assert_int_eq(answer.key, QUOTA_AHEAD);
    ck_assert_int_eq(answer.at_ns, 2 * DAY); /* when to ask again */

    limit(QUOTA_PRIORITY, 1);
    ask.class = 2;
    ck_assert_int_eq(quota_check(&hers, &ask).key, QUOTA_PRIORITY);

    /* ten can wait unless a quota says otherwise */
    quota_init(&alice, &quota_standard);
    alice.pending = 9;
    ck_assert_int_eq(quota_check(&hers, &ask).verdict, QUOTA_ALLOWED);
    alice.pending = 10;
    answer = quota_check(&hers, &ask);
    ck_assert_int_eq(answer.verdict, QUOTA_REFUSED);
    ck_assert_int_eq(answer.key, QUOTA_PENDING);
    ck_assert_uint_eq(answer.used, 10);
    ask.waits = false;
    ck_assert_int_eq(quota_check(&hers, &ask).verdict, QUOTA_ALLOWED);
}
END_TEST

START_TEST(own_limits_come_first)
{
    struct quota_limits own = {.set = 1U << QUOTA_PENDING | 1U << QUOTA_WEIGHT};
    struct quota_limits all = quota_standard, limits;

    own.limit[QUOTA_PENDING] = QUOTA_UNLIMITED; /* written as max */
    own.limit[QUOTA_WEIGHT] = 2000000;
    all.limit[QUOTA_FRACTION] = DEVICE;
    limits = quota_limits_over(&own, &all);
    ck_assert(limits.limit[QUOTA_PENDING] == QUOTA_UNLIMITED);
    ck_assert(limits.limit[QUOTA_WEIGHT] == 2000000);
    ck_assert(limits.limit[QUOTA_FRACTION] == DEVICE);
    ck_assert(limits.limit[QUOTA_DURATION] == QUOTA_UNLIMITED);
}
END_TEST

/* The largest amounts, longest times and latest moments. */
START_TEST(bounds_hold)
{
    static struct quota_charge charge[100];
    uint64_t most = UINT64_C(4294967200); /* 200 parts */

    limit(QUOTA_HOURS_DAY, UINT64_MAX - 1);
    ck_assert_int_eq(check(most, 0, CENTURY).verdict, QUOTA_ALLOWED);
    limit(QUOTA_HOURS_DAY, most * 86400);
    for (size_t i = 0; i < 100; i++)
        quota_put(&alice, &plain, &charge[i], i, most / 200, 0, CENTURY - (int64_t)i, 0);
    ck_assert_int_eq(check(most / 2, 0, CENTURY).verdict, QUOTA_ALLOWED);
    struct quota_answer answer = check(most / 2 + most / 200, 0, CENTURY);
    ck_assert_int_eq(answer.verdict, QUOTA_LATER);
    ck_assert_int_eq(answer.at_ns, CENTURY - (100 * DAY + 4950) / 101);
}
END_TEST

int main(void)
{
    return check_main("quota", NULL, NULL, a_million_operations, hours_of_a_week,
                      unused_time_is_given_back, clocks_can_be_set, requests_alone,
                      own_limits_come_first, bounds_hold);
}
