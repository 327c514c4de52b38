/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timeline against a plain array of promises: any starts and ends, also future and back-to-back
 * ones, which operations do not produce yet.
 */
#include "common.h"
#include "core/engine/timeline.h"

#define PROMISES 40
#define HORIZON  24

struct promise {
    bool used;
    int64_t start_ns, end_ns, bytes;
    struct timeline_promise promise;
};
static struct promise promises[PROMISES];
static struct timeline timeline;

static uint64_t seed = 88172645463325252;
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static int64_t value(int64_t at_ns)
{
    int64_t sum = 0;

    for (size_t i = 0; i < PROMISES; i++) {
        if (promises[i].used && promises[i].start_ns <= at_ns && at_ns < promises[i].end_ns)
            sum += promises[i].bytes;
    }
    return sum;
}

static int64_t peak(int64_t from_ns, int64_t until_ns)
{
    int64_t most = value(from_ns);

    for (int64_t t = from_ns; t < until_ns && t <= HORIZON; t++)
        most = value(t) > most ? value(t) : most;
    return most;
}

static int64_t earliest(int64_t from_ns, int64_t duration_ns, int64_t limit)
{
    for (int64_t t = from_ns; limit >= 0; t++) {
        if (peak(t, t + duration_ns) <= limit)
            return t;
    }
    return TIMELINE_NEVER;
}

/* Check's own macros write to a pipe each time; this runs a few million times. */
#define SAME(a, b)                                                                                 \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            ck_assert_msg((a) == (b), #a " is not " #b);                                           \
    } while (0)

static int height(const struct avl_node *node)
{
    int left = node ? height(node->left) : 0, right = node ? height(node->right) : 0;

    if (!node)
        return 0;
    SAME(abs(left - right) <= 1, true);
    SAME(node->lean, right - left);
    return 1 + (left > right ? left : right);
}

static void compare(void)
{
    int64_t from_ns = below(HORIZON) - 2, until_ns = from_ns + 1 + below(HORIZON);
    int64_t limit = below(60) - 1, at_ns = -3, now = value(at_ns), step_ns, step;

    height(timeline.points.root);
    SAME(timeline_value(&timeline, from_ns), value(from_ns));
    SAME(timeline_peak(&timeline, from_ns, until_ns), peak(from_ns, until_ns));
    SAME(timeline_earliest(&timeline, from_ns, TIMELINE_NEVER, until_ns - from_ns, limit),
         earliest(from_ns, until_ns - from_ns, limit));
    for (int64_t t = -2; t <= HORIZON; t++) {
        if (value(t) == now)
            continue;
        SAME(timeline_next(&timeline, at_ns, &step_ns, &step), true);
        SAME(step_ns, t);
        SAME(step, value(t));
        now = step;
        at_ns = t;
    }
    SAME(timeline_next(&timeline, at_ns, &step_ns, &step), false);
    step = 0;
    for (size_t i = PROMISES; i-- > 0;) {
        if (promises[i].used && promises[i].end_ns == from_ns)
            step = (int64_t)i + 1;
    }
    SAME(timeline_ends_at(&timeline, from_ns), (uint64_t)step);
}

START_TEST(random_promises)
{
    timeline_init(&timeline);
    for (int round = 0; round < check_rounds(100000); round++) {
        size_t i = (size_t)below(round / 100 % PROMISES + 1);
        struct promise *promise = &promises[i];

        if (promise->used) {
            timeline_remove(&timeline, &promise->promise);
        } else {
            promise->start_ns = below(HORIZON - 1) - 2;
            promise->end_ns = promise->start_ns + 1 + below(HORIZON - 2 - promise->start_ns);
            promise->bytes = 1 + below(9);
            timeline_add(&timeline, &promise->promise, i + 1, promise->start_ns, promise->end_ns,
                         promise->bytes);
        }
        promise->used = !promise->used;
        compare();
    }
}
END_TEST

START_TEST(back_to_back_is_flat)
{
    int64_t at_ns, to;

    timeline_init(&timeline);
    for (size_t i = 0; i < 10; i++)
        timeline_add(&timeline, &promises[i].promise, i + 1, (int64_t)i * 10, (int64_t)i * 10 + 10,
                     5);
    ck_assert_int_eq(timeline_peak(&timeline, 0, 100), 5);
    ck_assert_int_eq(timeline_earliest(&timeline, 0, TIMELINE_NEVER, 1, 4), 100);
    ck_assert_int_eq(timeline_earliest(&timeline, 0, TIMELINE_NEVER, 1000, 5), 0);
    ck_assert(timeline_next(&timeline, 0, &at_ns, &to));
    ck_assert_int_eq(at_ns, 100);
    ck_assert_int_eq(to, 0);
    ck_assert_uint_eq(timeline_ends_at(&timeline, 50), 5);
}
END_TEST

START_TEST(limits_of_time)
{
    timeline_init(&timeline);
    timeline_add(&timeline, &promises[0].promise, 1, INT64_MIN, INT64_MAX, 5);
    ck_assert_int_eq(timeline_value(&timeline, INT64_MIN), 5);
    ck_assert_int_eq(timeline_value(&timeline, INT64_MAX - 1), 5);
    ck_assert_int_eq(timeline_value(&timeline, INT64_MAX), 0);
    ck_assert_int_eq(timeline_earliest(&timeline, 0, TIMELINE_NEVER, INT64_MAX, 5), 0);
    ck_assert_int_eq(timeline_earliest(&timeline, 0, TIMELINE_NEVER, 1, 4), TIMELINE_NEVER);
    ck_assert_int_eq(timeline_later(INT64_MAX - 1, 1), INT64_MAX);
    ck_assert_int_eq(timeline_later(INT64_MAX - 1, 2), INT64_MAX);
    ck_assert_int_eq(timeline_later(-5, 2), -3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {random_promises, back_to_back_is_flat, limits_of_time};

    return check_run_tests("timeline", NULL, NULL, tests, ARRAY_COUNT(tests));
}
