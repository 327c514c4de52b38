/* SPDX-License-Identifier: Apache-2.0 */
/* Joins as the loop asks for them, with real processes that are found by their parents. */
#include "tests/check.h"

#include "core/base/clock.h"
#include "core/host/host.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LATER_NS (3600 * NS_PER_SECOND)

static struct host *host;
static pid_t program;
static int joins, join_result, lists;
static char members[256];

static struct partition partition(uint64_t id, uint32_t device)
{
    return (struct partition){.id = id,
                              .uid = 1000,
                              .state = PARTITION_ACTIVE,
                              .share_count = 1,
                              .shares = {{.device = device, .memory_bytes = 1}},
                              .end_ns = clock_boottime_ns() + LATER_NS};
}

static void setup(void)
{
    static char state_dir[SCRATCH_MAX];
    scratch_make(state_dir);
    struct host_start start = {.instance = "0123456789abcdef",
                               .proctrack = "process-tree",
                               .state_dir = state_dir,
                               .live = calloc(1, sizeof(*start.live)),
                               .live_count = 1};
    start.policy.watchdog = POLICY_WATCHDOG_OFF;
    ck_assert_ptr_nonnull(start.live);
    start.live->partition = partition(1, 1);
    program = fork();
    ck_assert_int_ge(program, 0);
    if (!program)
        for (;;)
            pause();
    joins = lists = 0;
    ck_assert_int_eq(bookings_new(&start.bookings), 0);
    ck_assert_int_eq(host_new(&start, &host), 0);
}

static void teardown(void)
{
    kill(program, SIGKILL);
    waitpid(program, NULL, 0);
}

static void take_one_round(void)
{
    struct pollfd fd = {.fd = host_fd(host), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 60000), 1);
    struct mail *mail = host_take_results(host);
    for (struct mail *next; mail; mail = next) {
        struct host_result *result = (struct host_result *)mail;
        next = mail->next;
        if (result->kind == RESULT_JOINED) {
            joins++;
            join_result = result->joined.result;
        } else if (result->kind == RESULT_MEMBERS) {
            lists++;
            snprintf(members, sizeof(members), "%.*s", (int)result->members.length,
                     result->members.text);
        }
        host_result_free(result);
    }
}

static void ask(uint64_t id)
{
    const struct host_join join = {
        .id = id, .writer_pid = program, .root = true, .until_ns = clock_boottime_ns() + LATER_NS};
    joins = 0;
    ck_assert_int_eq(host_join(host, &join), 0);
}

static int answer(void)
{
    while (!joins)
        take_one_round();
    ck_assert_int_eq(joins, 1);
    return join_result;
}

static void happens(enum event_kind kind, const struct partition *to)
{
    const struct engine_event event = {.kind = kind, .before = *to, .after = *to};
    host_events(host, &event, kind == EVENT_EXPIRED);
}

/* Return whether the program belongs to it. All that was asked before has been tried by then. */
static bool is_in(uint64_t id)
{
    lists = 0;
    ck_assert_int_eq(host_read(host, id, clock_boottime_ns()), 0);
    while (!lists)
        take_one_round();
    return atoi(members) == program;
}

START_TEST(test_an_early_join_waits)
{
    const struct partition other = partition(2, 0);
    ask(1);
    ck_assert_int_eq(answer(), 0);
    ask(2);
    ck_assert(is_in(1));
    ck_assert(!is_in(2));
    ck_assert_int_eq(joins, 0);
    happens(EVENT_CREATED, &other);
    ck_assert_int_eq(answer(), 0);
    ck_assert(is_in(1)); /* it is on another device */
    ck_assert(is_in(2));
}
END_TEST

START_TEST(test_what_is_taken_back_takes_nothing_away)
{
    const struct partition next = partition(2, 1);
    ask(1);
    ck_assert_int_eq(answer(), 0);
    ask(2); /* on the device of the first */
    ck_assert(is_in(1));
    happens(EVENT_EXPIRED, &next);
    ck_assert_int_eq(answer(), -ENODEV);
    ck_assert(is_in(1));
    ck_assert(!is_in(2));
}
END_TEST

/* What users choose to do often is one listing of members for the host. */
START_TEST(test_many_taken_out_are_one_listing)
{
    const struct partition live = partition(1, 1);
    lists = 0;
    for (int i = 0; i < 1000; i++)
        happens(EVENT_UNSHARED, &live);
    ask(1);
    ck_assert_int_eq(answer(), 0);
    ck_assert_int_lt(lists, 500); /* not one for each, though some were taken in between */
}
END_TEST

int main(int argc, char *argv[])
{
    (void)argv;
    if (argc > 1) /* the host executes this program with --driver, to ask the drivers */
        return 1;
    return check_main("join", setup, teardown, test_an_early_join_waits,
                      test_what_is_taken_back_takes_nothing_away,
                      test_many_taken_out_are_one_listing);
}
