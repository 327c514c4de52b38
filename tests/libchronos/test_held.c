/* SPDX-License-Identifier: Apache-2.0 */
/* The list of held files: found by id, closed once, used from many threads, across a fork. */
#include "tests/check.h"
#include "tools/libchronos/held.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS  2000

static struct held_list list;

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int keep(uint64_t id)
{
    struct held *place;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(held_reserve(&list, &place), 0);
    held_keep(place, id, fd);
    return fd;
}

START_TEST(test_close)
{
    struct held *place, *again;
    int one = keep(1), two = keep(2);
    held_close(&list, 3);
    ck_assert(is_open(one) && is_open(two));
    held_close(&list, 1);
    ck_assert(!is_open(one) && is_open(two));
    ck_assert_int_eq(held_reserve(&list, &place), 0);
    held_cancel(place);
    held_close(&list, 0);
    ck_assert_int_eq(held_reserve(&list, &again), 0);
    ck_assert_ptr_eq(again, place);
    held_cancel(again);
    held_free(&list);
    ck_assert(!is_open(two));
    held_free(&list);
}
END_TEST

/* A program that closes all of its descriptors uses their numbers for other files. */
START_TEST(test_reused)
{
    int fd = keep(1), other = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(other, fd), fd);
    held_close(&list, 1);
    ck_assert(is_open(fd));
    close(fd);
    fd = keep(2);
    close(fd);
    held_free(&list);
    close(other);
}
END_TEST

static size_t count_open(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 1000; fd++)
        count += is_open(fd);
    return count;
}

static void *work(void *number)
{
    uint64_t first = 1 + (uint64_t)(uintptr_t)number * ROUNDS;
    for (uint64_t id = first; id < first + ROUNDS; id++) {
        int fd = keep(id);
        pid_t child = id % 500 == 0 ? fork() : -1;
        if (child == 0) {
            held_free(&list);
            _exit(is_open(fd));
        }
        held_close(&list, id);
        int status = 0;
        if (child > 0)
            ck_assert(waitpid(child, &status, 0) == child && status == 0);
    }
    return NULL;
}

START_TEST(test_threads)
{
    pthread_t threads[THREADS];
    int count = 0;
    size_t before = count_open();
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (const struct held *place = list.first; place; place = place->next) {
        ck_assert_uint_gt(place->id, THREADS * ROUNDS);
        count++;
    }
    ck_assert_int_le(count, THREADS);
    ck_assert_uint_eq(count_open(), before);
    held_free(&list);
}
END_TEST

int main(void)
{
    return check_main("held", NULL, NULL, test_close, test_reused, test_threads);
}
