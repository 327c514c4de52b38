/* SPDX-License-Identifier: Apache-2.0 */
/* Bookings by many threads at once, and through a fork. */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void *allocate_and_free(void *context)
{
    for (int i = 0; i < check_rounds(2000); i++) {
        cl_mem buffer = cl->clCreateBuffer(context, 0, 100, NULL, NULL);
        void *memory = cl->clSVMAlloc(context, 0, 100, 0);
        if (buffer) {
            cl->clRetainMemObject(buffer);
            cl->clReleaseMemObject(buffer);
            cl->clReleaseMemObject(buffer);
        }
        cl->clSVMFree(context, memory);
    }
    return NULL;
}

static void check_threads(void)
{
    pthread_t threads[6];
    cl_context context = context_of(0);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_and_free, context), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    used(0);
    ck_assert_uint_eq(fake.live, 0);
}

START_TEST(test_threads)
{
    start("gpu0/p1");
    check_threads();
    fake.no_callbacks = true;
    check_threads();
}
END_TEST

static void *fork_and_wait(void *context)
{
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            cl_mem buffer = cl->clCreateBuffer(context, 0, 10, NULL, NULL);
            cl->clReleaseMemObject(buffer);
            cl->clSVMFree(context, cl->clSVMAlloc(context, 0, 10, 0));
            _exit(0);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
    }
    return NULL;
}

/* Locks that other threads hold at the fork would be held in the child for ever. So are those
 * of the fakes, so only the layer's are tried: the parent's threads free memory that the layer
 * does not know, which takes only its own locks. */
static atomic_int go_on = 1;

static void *free_nothing(void *context)
{
    while (go_on)
        cl->clSVMFree(context, NULL);
    return NULL;
}

START_TEST(test_fork_while_busy)
{
    pthread_t busy, forking;
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl->clSVMFree(context, cl->clSVMAlloc(context, 0, 10, 0));
    ck_assert_int_eq(pthread_create(&busy, NULL, free_nothing, context), 0);
    ck_assert_int_eq(pthread_create(&forking, NULL, fork_and_wait, context), 0);
    pthread_join(forking, NULL);
    go_on = 0;
    pthread_join(busy, NULL);
    used(0);
}
END_TEST

static bool forked, is_child;

static void fork_once(void)
{
    int status = -1;
    pid_t pid = forked ? -1 : fork();
    is_child = is_child || pid == 0;
    if (pid > 0)
        ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
    forked = true;
}

/* A signal handler may fork in the middle of a call: neither process waits for its own locks. */
START_TEST(test_fork_inside)
{
    start("gpu0/p1");
    fake.during_search = fork_once;
    cl_context context = context_of(0);
    cl->clReleaseMemObject(buffer_of(context, 600, CL_SUCCESS));
    cl->clSVMFree(context, cl->clSVMAlloc(context, 0, 10, 0));
    if (is_child)
        _exit(0);
    ck_assert(forked);
    used(0);
}
END_TEST

/* A child cannot give back the parent's bookings. */
START_TEST(test_fork)
{
    int status = -1;
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl_mem buffer = buffer_of(context, 600, CL_SUCCESS);
    pid_t pid = fork();
    if (pid == 0) {
        cl->clReleaseMemObject(buffer);
        _exit(ledger[0].used == 600 && ledger[0].returns == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    cl->clReleaseMemObject(buffer);
    used(0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_threads, test_fork, test_fork_while_busy, test_fork_inside};
    return run_tests("threads", tests, ARRAY_COUNT(tests));
}
