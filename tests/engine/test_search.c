/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for gaps against a plain array with a value for each tick: many promises, of few and
 * of many different amounts, with and without room for runs, that come, go, and come back.
 */
#include "common.h"
#include "core/engine/timeline.h"

#define TICKS    240
#define PROMISES 120

struct promise {
    bool used;
    int64_t start, end, bytes; /* in ticks */
    struct timeline_promise promise;
    struct timeline_runs runs[2];
};
static struct promise promises[PROMISES];
static int64_t values[TICKS + 1];
static struct timeline timeline;
static int64_t tick_ns;

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static void put(struct promise *promise)
{
    timeline_add(&timeline, &promise->promise, (uint64_t)(promise - promises) + 1,
                 promise->start * tick_ns, promise->end * tick_ns, promise->bytes);
    for (int64_t t = promise->start; t < promise->end; t++)
        values[t] += promise->bytes;
    promise->used = true;
}

static void take_out(struct promise *promise)
{
    timeline_remove(&timeline, &promise->promise);
    for (int64_t t = promise->start; t < promise->end; t++)
        values[t] -= promise->bytes;
    promise->used = false;
}

/* The first tick from which `ticks` of them, the first in part, are not above the limit. */
static int64_t earliest(int64_t from_ns, int64_t before_ns, int64_t duration_ns, int64_t limit)
{
    int64_t open_ns = TIMELINE_NEVER;

    for (int64_t t = from_ns / tick_ns; limit >= 0; t++) {
        bool low = t >= TICKS || values[t] <= limit;

        if (open_ns != TIMELINE_NEVER && (t * tick_ns - open_ns >= duration_ns || t > 2 * TICKS))
            break;
        if (!low)
            open_ns = TIMELINE_NEVER;
        else if (open_ns == TIMELINE_NEVER)
            open_ns = t * tick_ns > from_ns ? t * tick_ns : from_ns;
    }
    return open_ns < before_ns ? open_ns : TIMELINE_NEVER;
}

static int64_t exceeds(int64_t after_ns, int64_t limit)
{
    for (int64_t t = after_ns / tick_ns + 1; t < TICKS; t++) {
        if (values[t] > limit)
            return t * tick_ns;
    }
    return TIMELINE_NEVER;
}

static void compare(int64_t amounts)
{
    int64_t from_ns = below(TICKS * tick_ns), limit = below(amounts + 2) - 1;
    int64_t before_ns = below(2) ? TIMELINE_NEVER : from_ns + below(TICKS * tick_ns);
    int64_t duration_ns = 1 + below(below(2) ? 12 * tick_ns : TICKS * tick_ns);

    if (below(2))
        from_ns -= from_ns % tick_ns;
    if (below(2))
        duration_ns += tick_ns - duration_ns % tick_ns;
    int64_t found_ns = timeline_earliest(&timeline, from_ns, before_ns, duration_ns, limit);
    int64_t expected_ns = earliest(from_ns, before_ns, duration_ns, limit);
    ck_assert_msg(found_ns == expected_ns, "from %lld before %lld for %lld at %lld: %lld, not %lld",
                  (long long)from_ns, (long long)before_ns, (long long)duration_ns,
                  (long long)limit, (long long)found_ns, (long long)expected_ns);
    if (values[from_ns / tick_ns] <= limit)
        ck_assert_int_eq(timeline_exceeds(&timeline, from_ns, limit), exceeds(from_ns, limit));
}

/* `runs` of 8 points have room for runs; amounts are below `amounts`, of `kinds` kinds. */
static void episode(int64_t runs, int64_t amounts, int64_t kinds, int operations)
{
    memset(promises, 0, sizeof(promises));
    memset(values, 0, sizeof(values));
    timeline_init(&timeline);
    for (int i = 0; i < check_rounds(operations); i++) {
        struct promise *promise = &promises[below(PROMISES)];

        if (promise->used) {
            take_out(promise);
            if (below(3) == 0) /* as a request that keeps its place */
                put(promise);
        } else {
            promise->start = below(TICKS - 1);
            promise->end = promise->start + 1 + below(below(4) ? 9 : TICKS - promise->start);
            promise->end = promise->end > TICKS ? TICKS : promise->end;
            promise->bytes = (1 + below(kinds)) * (amounts / kinds / 2 + 1);
            bool has_runs = below(8) < runs;
            promise->promise.runs = has_runs ? promise->runs : NULL;
            put(promise);
        }
        compare(amounts);
        compare(amounts);
    }
}

START_TEST(searches_with_few_amounts)
{
    for (int i = 0; i < 12; i++) {
        tick_ns = INT64_C(1) << (25 + i % 3);
        episode(8, 8, 4, 12000);
    }
}
END_TEST

/* More than there are levels for. */
START_TEST(searches_with_many_amounts)
{
    for (int i = 0; i < 12; i++) {
        tick_ns = i % 2 ? NS_PER_SECOND : 7;
        episode(8, 400, 100, 12000);
    }
}
END_TEST

START_TEST(searches_with_runs_in_part)
{
    for (int i = 0; i < 16; i++) {
        tick_ns = NS_PER_SECOND + i;
        episode(i % 8, 12, 6, 10000);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {searches_with_few_amounts, searches_with_many_amounts,
                                  searches_with_runs_in_part};

    return check_run_tests("search", NULL, NULL, tests, ARRAY_COUNT(tests));
}
