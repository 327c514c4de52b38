/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of requests: owners in turn, first in first out for each, requests without an owner
 * every second turn, and bounds.
 */
#include "tests/check.h"

#include "fs/fuse/fair_queue.h"

#include <stdlib.h>
#include <string.h>

static struct fair_queue queue;

static void push(uint64_t owner, const char *name)
{
    ck_assert_int_eq(fair_queue_push(&queue, owner, name, strlen(name) + 1), 0);
}

/* Start each test with an empty queue, even if all run in one process. */
static void reset(void)
{
    fair_queue_clear(&queue);
    memset(&queue, 0, sizeof(queue));
}

/* Expect the next requests in this order. */
static void expect(const char *names)
{
    for (; *names; names++) {
        struct fair_queue_item *item = fair_queue_pop(&queue);
        ck_assert_ptr_nonnull(item);
        ck_assert_msg(item->data[0] == *names, "%s instead of %s", item->data, names);
        ck_assert_uint_eq(item->size, 2);
        free(item);
    }
}

static void expect_empty(void)
{
    ck_assert_ptr_null(fair_queue_pop(&queue));
    ck_assert_uint_eq(queue.count + queue.bytes, 0);
}

START_TEST(test_turns)
{
    for (const char *name = "abcde"; *name; name++)
        push(1, (char[]){*name, '\0'});
    push(0, "r"), push(0, "s");
    expect("arb");
    push(2, "x"), push(2, "y"); /* a new owner is served before any second turn */
    expect("sxcyde");
    expect_empty();
    push(1, "a"), push(2, "b"), push(1, "c"); /* the last one served was 1 */
    expect("bac");
    expect_empty();
    push(1, "a"), push(1, "b"), push(2, "x");
    expect("xa"), push(2, "y"); /* 1 keeps arriving, but overtakes 2 only once */
    expect("yb");
    expect_empty();
}
END_TEST

START_TEST(test_nobody)
{
    for (int i = 0; i < 4; i++) {
        push(QUEUE_UNOWNED, (char[]){(char)('0' + i), '\0'});
        push(1, (char[]){(char)('a' + i), '\0'});
        push(2, (char[]){(char)('A' + i), '\0'});
    }
    expect("0a1A2b3BcCdD");
    push(QUEUE_UNOWNED, "0"), push(QUEUE_UNOWNED, "1");
    expect("01");
    expect_empty();
}
END_TEST

START_TEST(test_bounds)
{
    static char big[65536];
    size_t count = 0;
    for (; !fair_queue_is_full(&queue); count++)
        push(count % 3, "a");
    ck_assert_uint_eq(count, QUEUE_COUNT_MAX);
    fair_queue_clear(&queue);
    expect_empty();
    for (; !fair_queue_is_full(&queue); count++)
        ck_assert_int_eq(fair_queue_push(&queue, 5, big, sizeof(big)), 0);
    ck_assert_uint_le(queue.bytes, QUEUE_BYTES_MAX + 2 * sizeof(big));
    fair_queue_clear(&queue);
    ck_assert(!fair_queue_is_full(&queue));
    expect_empty();
}
END_TEST

/* Random requests against a count: all of them come out, in order, and each owner is overtaken at
 * most twice. */
START_TEST(test_random)
{
    enum { OWNERS = 7 };
    unsigned in[OWNERS] = {0}, out[OWNERS] = {0}, waited[OWNERS] = {0};
    srand(3);
    for (int i = 0; i < 100000; i++) {
        unsigned owner = (unsigned)rand() % OWNERS, serial = in[owner];
        if (rand() % 100 < 51 && !fair_queue_is_full(&queue)) {
            ck_assert_int_eq(fair_queue_push(&queue, owner, &serial, sizeof(serial)), 0);
            in[owner]++;
            continue;
        }
        struct fair_queue_item *item = fair_queue_pop(&queue);
        if (!item)
            continue;
        memcpy(&serial, item->data, sizeof(serial));
        ck_assert_uint_eq(serial, out[item->owner]++);
        waited[item->owner] = 0;
        for (unsigned other = 0; other < OWNERS; other++)
            if (other != item->owner && in[other] > out[other])
                ck_assert_uint_le(++waited[other], 2 * (OWNERS - 1));
        free(item);
    }
    fair_queue_clear(&queue);
    expect_empty();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_turns, test_nobody, test_bounds, test_random};
    return check_run_tests("queue", reset, reset, tests, ARRAY_COUNT(tests));
}
