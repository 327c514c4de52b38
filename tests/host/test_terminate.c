/* SPDX-License-Identifier: Apache-2.0 */
/* on_expiry over the fake process tracker: each step on time, noted once. */
#include "tests/check.h"

#include "core/host/terminate.h"

#include "core/proctrack/fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S INT64_C(1000000000)

static struct proctrack *proctrack;
static struct termination termination;
static char notes[1 << 17];
static unsigned slow_notes; /* this many take longer than a call of terminate_step may */

static void note(void *context, const struct partition *partition, const char *word,
                 const char *details)
{
    size_t length = strlen(notes);
    (void)context;
    snprintf(notes + length, sizeof(notes) - length, "p%llu %s %s\n",
             (unsigned long long)partition->id, word, details);
    if (slow_notes > 0) {
        slow_notes--;
        usleep(20000);
    }
}

static void setup(void)
{
    struct proctrack_options options = {.instance = "0123456789abcdef", .mode = "fake"};
    struct message message;
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &message), 0);
    termination = (struct termination){.proctrack = proctrack, .note = note};
    notes[0] = '\0';
    slow_notes = 0;
}

static void teardown(void)
{
    terminate_clear(&termination);
    proctrack = proctrack_close(proctrack);
}

/* Adds a process that belongs to partition `id`. */
static pid_t member(uint64_t id)
{
    struct procfs_process process;
    struct message message;
    pid_t pid = proctrack_fake_start(proctrack, 0, 6101);
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    ck_assert_int_eq(
        proctrack_join(proctrack, &(struct proctrack_set){{id}}, 0, &process, &message), 0);
    return pid;
}

static struct partition ended(uint64_t id, uint32_t on_expiry, int64_t grace_ns)
{
    return (struct partition){
        .id = id, .on_expiry = on_expiry, .grace_ns = grace_ns, .end_ns = 100 * S};
}

/* Takes every step until now_ns, on time. */
static void run_until(int64_t now_ns)
{
    int64_t next_ns;
    while ((next_ns = terminate_next_ns(&termination)) <= now_ns)
        terminate_step(&termination, next_ns);
}

START_TEST(test_empty)
{
    struct partition p = ended(1, ON_EXPIRY_KILL, 0);
    ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, p.uid), 0);
    ck_assert(terminate_ends(&termination, 1));
    run_until(101 * S);
    ck_assert_str_eq(notes, "");
    ck_assert(!terminate_ends(&termination, 1));
    ck_assert(terminate_next_ns(&termination) == INT64_MAX);
}
END_TEST

START_TEST(test_none_leaves)
{
    pid_t pid = member(1);
    struct partition p = ended(1, ON_EXPIRY_NONE, 0);
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(1000 * S);
    ck_assert_str_eq(notes, "p1 left processes=1\n");
    ck_assert(proctrack_fake_alive(proctrack, pid));
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGTERM), 0);
    ck_assert(!terminate_ends(&termination, 1));
    proctrack_fake_end(proctrack, pid, false);
    run_until(1020 * S);
    ck_assert_str_eq(notes, "p1 left processes=1\np1 emptied \n");
    ck_assert(terminate_next_ns(&termination) == INT64_MAX);
}
END_TEST

START_TEST(test_term_ends)
{
    pid_t pid = member(1);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S);
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(100 * S);
    ck_assert_str_eq(notes, "p1 terminated processes=1\n");
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGTERM), 1);
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGCONT), 1);
    run_until(105 * S);
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGTERM), 1);
    proctrack_fake_end(proctrack, pid, false);
    run_until(106 * S);
    ck_assert_ptr_nonnull(strstr(notes, "p1 emptied after_ms=5"));
    ck_assert_ptr_null(strstr(notes, "killed"));
}
END_TEST

START_TEST(test_term_ignored)
{
    pid_t pid = member(1), other = member(2);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S);
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(110 * S - 1);
    ck_assert(proctrack_fake_alive(proctrack, pid));
    run_until(110 * S);
    ck_assert(!proctrack_fake_alive(proctrack, pid));
    ck_assert(proctrack_fake_alive(proctrack, other));
    run_until(111 * S);
    ck_assert_str_eq(notes, "p1 terminated processes=1\np1 killed processes=1\n"
                            "p1 emptied after_ms=10002\n");
}
END_TEST

START_TEST(test_kill)
{
    pid_t pid = member(1), child = proctrack_fake_start(proctrack, pid, 6101);
    struct partition p = ended(1, ON_EXPIRY_KILL, 10 * S);
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(100 * S);
    ck_assert(!proctrack_fake_alive(proctrack, pid));
    ck_assert(!proctrack_fake_alive(proctrack, child));
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGTERM), 0);
    ck_assert_str_eq(notes, "p1 killed processes=2\n");
}
END_TEST

/* A daemon that comes back after the grace goes straight on. */
START_TEST(test_found_late)
{
    pid_t pid = member(1);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S);
    terminate_add(&termination, 300 * S, &p, p.uid);
    run_until(300 * S);
    ck_assert(!proctrack_fake_alive(proctrack, pid));
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, pid, SIGTERM), 0);
}
END_TEST

START_TEST(test_found_within_grace)
{
    pid_t pid = member(1);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S);
    terminate_add(&termination, 106 * S, &p, p.uid);
    run_until(109 * S);
    ck_assert(proctrack_fake_alive(proctrack, pid));
    run_until(110 * S);
    ck_assert(!proctrack_fake_alive(proctrack, pid));
}
END_TEST

/* A partition that has begun again: what is there runs on, and is not stopped. */
START_TEST(test_begun_again)
{
    pid_t told = member(1), stopping = member(2), left = member(3);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S), q = ended(2, ON_EXPIRY_TERM, 10 * S);
    struct partition r = ended(3, ON_EXPIRY_NONE, 0);
    proctrack_fake_stick(proctrack, stopping, true);
    terminate_add(&termination, 100 * S, &p, p.uid);
    terminate_add(&termination, 100 * S, &q, q.uid);
    terminate_add(&termination, 100 * S, &r, r.uid);
    run_until(100 * S);
    for (uint64_t id = 1; id <= 3; id++) {
        ck_assert(terminate_drop(&termination, id));
        ck_assert(!terminate_drop(&termination, id));
        ck_assert(!terminate_ends(&termination, id));
    }
    ck_assert(terminate_next_ns(&termination) == INT64_MAX);
    proctrack_fake_stick(proctrack, stopping, false);
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, stopping, SIGCONT), 1);
    run_until(1000 * S);
    ck_assert(proctrack_fake_alive(proctrack, told) && proctrack_fake_alive(proctrack, stopping) &&
              proctrack_fake_alive(proctrack, left));
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, told, SIGTERM), 1);
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, stopping, SIGTERM), 0);
    p.end_ns = 1000 * S; /* its end, later, is as any */
    terminate_add(&termination, 1000 * S, &p, p.uid);
    run_until(1010 * S);
    ck_assert(!proctrack_fake_alive(proctrack, told));
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, told, SIGTERM), 2);
}
END_TEST

START_TEST(test_stuck)
{
    pid_t pid = member(1);
    struct partition p = ended(1, ON_EXPIRY_KILL, 0);
    proctrack_fake_stick(proctrack, pid, true);
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(104 * S);
    ck_assert_str_eq(notes, "p1 killed processes=1\n");
    run_until(200 * S);
    ck_assert_str_eq(notes, "p1 killed processes=1\np1 stuck processes=1\n");
    proctrack_fake_stick(proctrack, pid, false);
    run_until(220 * S);
    ck_assert_ptr_nonnull(strstr(notes, "emptied"));
    ck_assert(!terminate_ends(&termination, 1));
}
END_TEST

/* Several at once, added twice; one ends while others are on their way. */
START_TEST(test_many)
{
    pid_t pids[40];
    for (uint64_t id = 1; id <= 40; id++) {
        pids[id - 1] = member(id);
        struct partition p = ended(id, id % 2 ? ON_EXPIRY_TERM : ON_EXPIRY_KILL, 5 * S);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, p.uid), 0);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, p.uid), 0);
    }
    run_until(101 * S);
    for (uint64_t id = 1; id <= 40; id++) {
        ck_assert_int_eq(proctrack_fake_alive(proctrack, pids[id - 1]), id % 2);
        ck_assert_int_eq(terminate_ends(&termination, id), id % 2);
    }
    run_until(106 * S);
    ck_assert(terminate_next_ns(&termination) == INT64_MAX);
    for (size_t i = 0; i < 40; i++)
        ck_assert(!proctrack_fake_alive(proctrack, pids[i]));
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

/* A program that hangs in the kernel cannot be stopped, so SIGTERM waits for a bounded time, and
 * nothing else waits with it. */
START_TEST(test_hanging)
{
    pid_t hanging[60];
    for (uint64_t id = 1; id <= 60; id++) {
        struct partition p = ended(id, ON_EXPIRY_TERM, 120 * S);
        p.uid = 6101;
        hanging[id - 1] = member(id);
        proctrack_fake_stick(proctrack, hanging[id - 1], true);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, p.uid), 0);
    }
    pid_t pid = member(61);
    struct partition p = ended(61, ON_EXPIRY_KILL, 0);
    p.uid = 6102;
    terminate_add(&termination, 100 * S, &p, p.uid);
    run_until(100 * S);
    ck_assert(!proctrack_fake_alive(proctrack, pid));
    ck_assert_str_eq(notes, "p61 killed processes=1\n");
    run_until(100 * S + S / 5 - 1);
    ck_assert_str_eq(notes, "p61 killed processes=1\np61 emptied after_ms=2\n");
    run_until(100 * S + S / 5);
    for (size_t i = 0; i < 60; i++) {
        proctrack_fake_stick(proctrack, hanging[i], false);
        ck_assert_uint_eq(proctrack_fake_signals(proctrack, hanging[i], SIGTERM), 1);
        ck_assert_uint_eq(proctrack_fake_signals(proctrack, hanging[i], SIGCONT), 1);
    }
    run_until(220 * S - 1);
    ck_assert(proctrack_fake_alive(proctrack, hanging[0]));
    run_until(221 * S);
    for (size_t i = 0; i < 60; i++)
        ck_assert(!proctrack_fake_alive(proctrack, hanging[i]));
    ck_assert(terminate_next_ns(&termination) == INT64_MAX);
}
END_TEST

/* One that stops in time gets SIGTERM at the next look; SIGKILL does not wait at the end of a short
 * grace. */
START_TEST(test_hanging_briefly)
{
    pid_t brief = member(1), lasting = member(2);
    struct partition p = ended(1, ON_EXPIRY_TERM, 10 * S), q = ended(2, ON_EXPIRY_TERM, S / 100);
    proctrack_fake_stick(proctrack, brief, true);
    proctrack_fake_stick(proctrack, lasting, true);
    terminate_add(&termination, 100 * S, &p, p.uid);
    terminate_add(&termination, 100 * S, &q, q.uid);
    run_until(100 * S);
    proctrack_fake_stick(proctrack, brief, false);
    run_until(100 * S + 2 * S / 1000);
    ck_assert_str_eq(notes, "p1 terminated processes=1\n");
    run_until(100 * S + S / 10);
    ck_assert_uint_eq(proctrack_fake_signals(proctrack, lasting, SIGTERM), 0);
    ck_assert_uint_gt(proctrack_fake_signals(proctrack, lasting, SIGKILL), 0);
    proctrack_fake_stick(proctrack, lasting, false);
    ck_assert(!proctrack_fake_alive(proctrack, lasting));
}
END_TEST

/* Each account has a turn in each round, however many uids it has, and kills come before all else
 * of the same account. */
START_TEST(test_turns)
{
    for (uint64_t id = 1; id <= 1000; id++) {
        struct partition p = ended(id, id == 900 ? ON_EXPIRY_KILL : ON_EXPIRY_NONE, 0);
        p.uid = 5000 + (uint32_t)id; /* subordinate */
        member(id);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, 6101), 0);
    }
    for (uint64_t id = 1001; id <= 1002; id++) {
        struct partition p = ended(id, ON_EXPIRY_KILL, 0);
        p.uid = id == 1001 ? 6102 : 6103;
        member(id);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, p.uid), 0);
    }
    for (int calls = 0; !strstr(notes, "p1002 "); calls++) {
        ck_assert_int_lt(calls, 3);
        terminate_step(&termination, 100 * S);
    }
    const char *first = "p900 killed processes=1\np1001 killed processes=1\n"
                        "p1002 killed processes=1\n";
    ck_assert_int_eq(strncmp(notes, first, strlen(first)), 0);
    while (terminate_next_ns(&termination) <= 100 * S)
        terminate_step(&termination, 100 * S);
    size_t left = 0;
    for (const char *at = notes; (at = strstr(at, " left processes=1\n")); at++)
        left++;
    ck_assert_uint_eq(left, 999);
}
END_TEST

/* One person with a thousand uids has one turn, also when each call has time for one step. */
START_TEST(test_turns_of_persons)
{
    slow_notes = 4;
    for (uint64_t id = 1; id <= 1001; id++) {
        struct partition p = ended(id, ON_EXPIRY_KILL, 0);
        p.uid = id <= 1000 ? 5000 + (uint32_t)id : 6102;
        member(id);
        ck_assert_int_eq(terminate_add(&termination, 100 * S, &p, id <= 1000 ? 6101 : 6102), 0);
    }
    for (int calls = 0; calls < 4; calls++)
        terminate_step(&termination, 100 * S);
    ck_assert_ptr_nonnull(strstr(notes, "p1001 "));
    ck_assert_ptr_eq(strstr(notes, "p1001 "), strchr(notes, '\n') + 1);
}
END_TEST

/* Looks come soon at first and seldom later: a grace of an hour costs little. */
START_TEST(test_looks)
{
    int members = 0;
    member(1);
    struct partition p = ended(1, ON_EXPIRY_TERM, 3600 * S);
    terminate_add(&termination, 100 * S, &p, p.uid);
    terminate_step(&termination, 100 * S);
    ck_assert(terminate_next_ns(&termination) < 100 * S + S / 100);
    for (int64_t next_ns; (next_ns = terminate_next_ns(&termination)) < 160 * S; members++)
        terminate_step(&termination, next_ns);
    ck_assert_int_lt(members, 400);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_empty,
                                  test_none_leaves,
                                  test_term_ends,
                                  test_term_ignored,
                                  test_kill,
                                  test_found_late,
                                  test_found_within_grace,
                                  test_begun_again,
                                  test_stuck,
                                  test_many,
                                  test_looks,
                                  test_hanging,
                                  test_hanging_briefly,
                                  test_turns,
                                  test_turns_of_persons};
    return check_run_tests("terminate", setup, teardown, tests, ARRAY_COUNT(tests));
}
