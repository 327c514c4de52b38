/* SPDX-License-Identifier: Apache-2.0 */
/* The host thread as its callers see it, where programs cannot be tracked at all. */
#include "tests/check.h"

#include "core/host/host.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct host *host;
static struct host_state state;
static char noted[256], joined[ENGINE_MESSAGE_MAX];
static int join_result, joins, lists;

static void setup(void)
{
    /* A path that leaves no room for the file of the process tree. */
    static char state_dir[PATH_MAX];
    memset(state_dir, 'x', sizeof(state_dir) - 1);
    struct host_start start = {
        .instance = "0123456789abcdef", .proctrack = "process-tree", .state_dir = state_dir};
    start.policy.watchdog = POLICY_WATCHDOG_OFF;
    joins = lists = 0;
    noted[0] = '\0';
    ck_assert_int_eq(bookings_new(&start.bookings), 0);
    ck_assert_int_eq(host_new(&start, &host), 0);
}

static void teardown(void)
{
}

static void take(struct host_result *result)
{
    switch (result->kind) {
    case RESULT_STATE:
        state = *result->state; /* without its devices */
        break;
    case RESULT_NOTE:
        snprintf(noted, sizeof(noted), "%s %s", result->note.word, result->message);
        break;
    case RESULT_JOINED:
        joins++;
        join_result = result->joined.result;
        snprintf(joined, sizeof(joined), "%s", result->message);
        break;
    case RESULT_MEMBERS:
        lists++;
        ck_assert_uint_eq(result->members.length, 0);
        break;
    default:
        break;
    }
    host_result_free(result);
}

static void take_one_round(void)
{
    struct pollfd fd = {.fd = host_fd(host), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 60000), 1);
    struct mail *mail = host_take_results(host);
    for (struct mail *next; mail; mail = next) {
        next = mail->next;
        take((struct host_result *)mail);
    }
}

START_TEST(test_no_tracking)
{
    struct host_join join = {.tag = 7, .id = 1, .writer_pid = getpid(), .root = true};
    ck_assert_int_eq(host_join(host, &join), 0);
    ck_assert_int_eq(host_read(host, 1, 1), 0);
    while (!joins || !lists)
        take_one_round();
    ck_assert_int_eq(join_result, -EIO);
    ck_assert_msg(strstr(joined, "No directory for the file of members"), "%s", joined);
    ck_assert_str_eq(state.processes, "");
    ck_assert_msg(strstr(state.why, "No directory for the file of members"), "%s", state.why);
    ck_assert_str_eq(noted, "process-tracking mode=none");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_no_tracking};
    return check_run_tests("host", setup, teardown, tests, ARRAY_COUNT(tests));
}
