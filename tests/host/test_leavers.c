/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that left on purpose: which ones are known, and how many of an account can be. */
#include "tests/check.h"

#include "core/host/internal.h"

#include "core/proctrack/fake.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN   1
#define OTHER 2

static struct leavers leavers;
static pid_t children[LEAVERS_MAX + 1];

static void setup(void)
{
    memset(children, 0, sizeof(children));
    memset(&leavers, 0, sizeof(leavers));
}

static void teardown(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(children) && children[i]; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    free(leavers.list);
}

static struct procfs_process process_of(pid_t pid)
{
    struct procfs_process process;
    ck_assert_int_eq(procfs_process_read(-1, pid, &process, NULL), 0);
    return process;
}

static struct procfs_process start(size_t i)
{
    pid_t parent = getpid();
    children[i] = fork();
    ck_assert_int_ge(children[i], 0);
    if (!children[i]) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    return process_of(children[i]);
}

START_TEST(test_a_process_and_its_children)
{
    struct procfs_process self = process_of(getpid()), child = start(0), other = child;
    ck_assert(!leavers_has(&leavers, &child));
    ck_assert_int_eq(leavers_put(&leavers, &self, OWN), 0);
    ck_assert_int_eq(leavers_put(&leavers, &self, OWN), 0);
    ck_assert_uint_eq(leavers.count, 1);
    ck_assert(leavers_has(&leavers, &self));
    ck_assert(leavers_has(&leavers, &child));
    other.uid++;
    ck_assert(!leavers_has(&leavers, &other)); /* it runs as another user */
    leavers_drop(&leavers, &child);            /* it never was one */
    ck_assert(leavers_has(&leavers, &self));
    leavers_drop(&leavers, &self);
    ck_assert(!leavers_has(&leavers, &self));
    ck_assert(!leavers_has(&leavers, &child));
}
END_TEST

/* Out of descriptors: it is not known whether they have ended, so the oldest makes room. */
START_TEST(test_processes_that_cannot_be_read)
{
    struct rlimit before;
    struct procfs_process process = {.pid = getpid(), .start = 1};
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}), 0);
    for (; process.start <= LEAVERS_MAX + 1; process.start++)
        ck_assert_int_eq(leavers_put(&leavers, &process, OWN), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_uint_eq(leavers.count, LEAVERS_MAX);
    for (size_t i = 0; i < LEAVERS_MAX; i++)
        ck_assert_uint_eq(leavers.list[i].start, i + 2);
}
END_TEST

/* A process that could not leave is in its partition, and none that left. */
START_TEST(test_leaving_that_fails)
{
    static struct host host;
    const struct proctrack_options options = {.instance = "0123456789abcdef", .mode = "fake"};
    struct host_join join = {.uid = 6101, .account = OWN, .until_ns = INT64_MAX};
    struct procfs_process process;
    struct message message;
    ck_assert_int_eq(mailbox_init(&host.thread.out), 0);
    ck_assert_int_eq(proctrack_open(&options, &host.proctrack, &message), 0);
    const pid_t pid = join.writer_pid = proctrack_fake_start(host.proctrack, 0, 6101);
    ck_assert_int_eq(proctrack_look(host.proctrack, pid, &process), 0);
    ck_assert_int_eq(proctrack_fake_put(host.proctrack, pid, "/box"), 0);
    ck_assert_int_eq(proctrack_claim(host.proctrack, 1, "/box", &message), 0);
    for (int late = 0; late <= 1; late++) {
        struct leaving leaving = {.process = late ? process : (struct procfs_process){0}};
        struct host_result *result = host_result_new(RESULT_JOINED, ENGINE_MESSAGE_MAX);
        if (late) { /* tried once before */
            join.until_ns = 0;
            ck_assert_int_eq(leavers_put(&host.leavers, &process, OWN), 0);
        }
        ck_assert(host_do_join(&host, &join, 0, &leaving, result));
        ck_assert_int_eq(result->joined.result, late ? -ETIMEDOUT : -EPERM);
        ck_assert_uint_eq(host.leavers.count, 0);
        ck_assert_ptr_eq(host_take_results(&host), &result->mail);
        host_result_free(result);
    }
    free(host.leavers.list);
    proctrack_close(host.proctrack);
    mailbox_destroy(&host.thread.out);
}
END_TEST

START_TEST(test_a_pid_that_is_given_again)
{
    struct procfs_process self = process_of(getpid()), before = self;
    before.start--;
    ck_assert_int_eq(leavers_put(&leavers, &before, OWN), 0);
    ck_assert(!leavers_has(&leavers, &self));
}
END_TEST

/* Those that ended make room first, then an account's own oldest, never another's. */
START_TEST(test_bounds)
{
    struct procfs_process self = process_of(getpid()), gone = self, first = self;
    ck_assert_int_eq(leavers_put(&leavers, &self, OTHER), 0);
    for (size_t i = 0; i <= LEAVERS_MAX; i++) {
        struct procfs_process child = start(i);
        child.uid++; /* none of self's */
        gone.start++;
        ck_assert_int_eq(leavers_put(&leavers, &child, OWN), 0);
        if (i + 1 < LEAVERS_MAX) {
            ck_assert_int_eq(leavers_put(&leavers, &gone, OWN), 0);
            ck_assert_uint_le(leavers.count, LEAVERS_MAX + 1);
        }
        first = i == 0 ? child : first;
        ck_assert_int_eq(leavers_has(&leavers, &first), i < LEAVERS_MAX);
        ck_assert(leavers_has(&leavers, &child));
    }
    ck_assert(leavers_has(&leavers, &self));
}
END_TEST

int main(void)
{
    return check_main("leavers", setup, teardown, test_a_process_and_its_children,
                      test_processes_that_cannot_be_read, test_leaving_that_fails,
                      test_a_pid_that_is_given_again, test_bounds);
}
