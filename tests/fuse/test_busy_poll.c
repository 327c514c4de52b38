/* SPDX-License-Identifier: Apache-2.0 */
/* How long the loop looks for the next request. */
#include "tests/check.h"

#include "fs/fuse/busy_poll.h"

#define US(n) ((n)*NS_PER_US)

static struct busy_poll poll;
static int64_t now_ns;

static void setup(void)
{
    poll = (struct busy_poll){0};
    now_ns = NS_PER_SECOND;
}

/* Nothing is left to serve; the next request comes after this time. Return the window. */
static int64_t wait_ns(int64_t taken_ns, int processors)
{
    int64_t window_ns = busy_poll_begin(&poll, now_ns) - now_ns;
    now_ns += taken_ns;
    busy_poll_found(&poll, now_ns, processors);
    return window_ns;
}

START_TEST(test_grows_while_requests_follow)
{
    int64_t last_ns = wait_ns(US(30), 2);
    ck_assert_int_eq(last_ns, 0);
    for (int i = 0; i < 10; i++) {
        int64_t window_ns = wait_ns(US(30), 2);
        ck_assert_int_ge(window_ns, last_ns);
        last_ns = window_ns;
    }
    ck_assert_int_eq(last_ns, BUSY_POLL_MAX_NS);
}
END_TEST

/* One request a second costs nothing: after a few the window is closed, and stays so. */
START_TEST(test_closes_while_they_do_not)
{
    int64_t looked_ns = 0;
    for (int i = 0; i < 10; i++)
        wait_ns(US(30), 2);
    for (int i = 0; i < 100; i++)
        looked_ns += wait_ns(NS_PER_SECOND, 2);
    ck_assert_int_eq(busy_poll_begin(&poll, now_ns), now_ns);
    ck_assert_int_lt(looked_ns, 2 * BUSY_POLL_MAX_NS);
}
END_TEST

START_TEST(test_one_processor)
{
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(wait_ns(US(10), 1), 0);
    for (int i = 0; i < 10; i++)
        wait_ns(US(10), 2);
    ck_assert_int_eq(wait_ns(US(10), 1), BUSY_POLL_MAX_NS); /* known from the next request on */
    ck_assert_int_eq(wait_ns(US(10), 1), 0);
}
END_TEST

/* Several that were there at once say nothing about the time between them. */
START_TEST(test_only_the_first_counts)
{
    for (int i = 0; i < 10; i++)
        wait_ns(US(30), 2);
    now_ns += NS_PER_SECOND;
    for (int i = 0; i < 10; i++)
        busy_poll_found(&poll, now_ns, 2);
    ck_assert_int_eq(wait_ns(US(30), 2), BUSY_POLL_MAX_NS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_grows_while_requests_follow, test_closes_while_they_do_not,
                                  test_one_processor, test_only_the_first_counts};
    return check_run_tests("busy_poll", setup, NULL, tests, ARRAY_COUNT(tests));
}
