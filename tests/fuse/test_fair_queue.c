/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of requests: owners in turn by the time that they took, first in first out for each,
 * requests without an owner every second turn, and bounds.
 */
#include "tests/check.h"

#include "fs/fuse/fair_queue.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY 4096u

struct request {
    struct fair_queue_item item; /* must be first */
    uint64_t owner;
    unsigned serial;
    char name;
};

static struct fair_queue *queue;
static struct request requests[CAPACITY];
static size_t used;

static void setup(void)
{
    ck_assert_int_eq(fair_queue_new(CAPACITY, &queue), 0);
    used = 0;
}

static void teardown(void)
{
    queue = fair_queue_free(queue);
}

static void push(uint64_t owner, char name)
{
    struct request *request = &requests[used++];
    *request = (struct request){.owner = owner, .name = name};
    fair_queue_push(queue, owner, &request->item);
}

static const struct request *pop(uint64_t spent_ns)
{
    struct fair_queue_item *item = fair_queue_pop(queue, spent_ns);
    if (item)
        fair_queue_remove(queue, item);
    return (const struct request *)item;
}

/* Expect the next requests in this order; each takes cost_ns. */
static void expect_at(const char *names, uint64_t cost_ns)
{
    for (uint64_t spent_ns = 0; *names; names++, spent_ns = cost_ns) {
        const struct request *request = pop(spent_ns);
        ck_assert_ptr_nonnull(request);
        ck_assert_msg(request->name == *names, "%c instead of %c", request->name, *names);
    }
    /* Charge the last one: popping again would take the next. */
}

static void expect(const char *names)
{
    expect_at(names, 10);
}

static void expect_empty(void)
{
    ck_assert_ptr_null(pop(10));
    ck_assert_uint_eq(fair_queue_waiting(queue), 0);
}

START_TEST(test_turns)
{
    for (const char *name = "abcde"; *name; name++)
        push(1, *name);
    push(0, 'r'), push(0, 's');
    push(2, 'x'), push(2, 'y');
    expect("arxbsycde");
    expect_empty();
}
END_TEST

/* An owner that was idle is served before others' second turns, and no sooner. */
START_TEST(test_arrival)
{
    for (const char *name = "abcdefgh"; *name; name++)
        push(1, *name);
    ck_assert_int_eq(pop(0)->name, 'a');
    push(2, 'x'), push(2, 'y');
    ck_assert_int_eq(pop(10)->name, 'x'); /* 1 is at 10 */
    ck_assert_int_eq(pop(10)->name, 'b');
    ck_assert_int_eq(pop(10)->name, 'y');
    ck_assert_int_eq(pop(10)->name, 'c');
    ck_assert_int_eq(pop(10)->name, 'd');
    ck_assert_int_eq(pop(10)->name, 'e');
    push(2, 'z'); /* no credit for the time without requests: joins where 1 is */
    push(2, '1'), push(2, '2');
    ck_assert_int_eq(pop(10)->name, 'z');
    ck_assert_int_eq(pop(10)->name, 'f');
    ck_assert_int_eq(pop(10)->name, '1');
    ck_assert_int_eq(pop(10)->name, 'g');
    ck_assert_int_eq(pop(10)->name, '2');
    ck_assert_int_eq(pop(10)->name, 'h');
    expect_empty();
}
END_TEST

/* A turn costs what it took: one dear request of 1 pays for twenty of 2. */
START_TEST(test_costs)
{
    unsigned between = 0;
    push(1, 'D'), push(1, 'D');
    for (int i = 0; i < 50; i++)
        push(2, 'c');
    const struct request *request = pop(0);
    ck_assert_int_eq(request->name, 'D');
    for (uint64_t spent_ns = 200000; (request = pop(spent_ns))->name == 'c'; spent_ns = 10000)
        between++;
    ck_assert_uint_eq(between, 20);
    /* A client with one dear request at a time gets no more than its share either. */
    uint64_t took_ns[2] = {0}, spent_ns = 200000;
    for (int i = 0; i < 2000; i++) {
        bool dear = request->name == 'D';
        took_ns[dear] += spent_ns;
        push(dear ? 1 : 2, request->name);
        used = used % 1024 + 100;
        request = pop(spent_ns);
        ck_assert_ptr_nonnull(request);
        spent_ns = request->name == 'D' ? 200000 : 10000;
    }
    ck_assert_uint_le(took_ns[0], took_ns[1] + 400000);
    ck_assert_uint_le(took_ns[1], took_ns[0] + 400000);
}
END_TEST

/* A request that is not served when its turn comes gets another one, and counts once. */
START_TEST(test_again)
{
    push(1, 'a'), push(1, 'b'), push(2, 'x');
    struct fair_queue_item *a = fair_queue_pop(queue, 0);
    struct fair_queue_item *x = fair_queue_pop(queue, 10);
    ck_assert_int_eq(((struct request *)x)->name, 'x');
    expect("b");
    ck_assert_ptr_null(fair_queue_pop(queue, 10));
    fair_queue_again(queue, x);
    fair_queue_again(queue, a);
    ck_assert_uint_eq(fair_queue_waiting(queue), 2);
    push(1, 'c');
    expect("xac");
    expect_empty();
    for (uint32_t i = 0; i < CAPACITY / 2; i++)
        push(3, 'm');
    ck_assert(!fair_queue_admits(queue, 3));
    ck_assert(fair_queue_admits(queue, 1)); /* those three do not count any more */
}
END_TEST

/* What was refused is paid for by the owner that asked, waiting or not. */
START_TEST(test_refused)
{
    push(1, 'a'), push(1, 'b'), push(2, 'x'), push(2, 'y'), push(2, 'z');
    fair_queue_charge(queue, 1, 5), fair_queue_charge(queue, 1, 10);
    expect("xyazb");
    fair_queue_charge(queue, 2, 25); /* idle */
    fair_queue_charge(queue, 3, 15); /* unknown so far */
    fair_queue_charge(queue, QUEUE_UNOWNED, 1000);
    push(2, 'x'), push(3, 'm'), push(3, 'n'), push(QUEUE_UNOWNED, 'u');
    for (const char *name = "abcd"; *name; name++)
        push(1, *name);
    expect("uabmcnxd");
    expect_empty();
    push(4, 'a'), push(4, 'b'), push(5, 'x'), push(5, 'y');
    ck_assert_int_eq(pop(0)->name, 'a');
    fair_queue_charge(queue, 4, 100); /* while it is served */
    expect("xyb");
}
END_TEST

START_TEST(test_unowned)
{
    for (int i = 0; i < 4; i++) {
        push(QUEUE_UNOWNED, (char)('0' + i));
        push(1, (char)('a' + i));
        push(2, (char)('A' + i));
    }
    expect("0a1A2b3BcCdD");
    push(QUEUE_UNOWNED, '0'), push(QUEUE_UNOWNED, '1');
    expect("01");
    expect_empty();
}
END_TEST

/* Push as many as the owner may have. */
static size_t fill(uint64_t owner)
{
    size_t before = used;
    while (fair_queue_admits(queue, owner))
        push(owner, 'a');
    return used - before;
}

START_TEST(test_bounds)
{
    ck_assert_uint_eq(fill(1), CAPACITY / 2);
    ck_assert_uint_eq(fill(2), CAPACITY / 4);
    ck_assert(!fair_queue_admits(queue, 1));
    /* A request that was taken out counts until it is answered. */
    struct fair_queue_item *item = fair_queue_pop(queue, 0);
    ck_assert(!fair_queue_admits(queue, 2));
    fair_queue_remove(queue, item);
    ck_assert(fair_queue_admits(queue, 2) && !fair_queue_admits(queue, 1));
    while (pop(10))
        ;
    ck_assert_uint_eq(used = 0, 0);
    ck_assert_uint_eq(fill(1), CAPACITY / 2);
}
END_TEST

/* However many owners there are, a new one has room, until each slot has an owner of its own. */
START_TEST(test_many_owners)
{
    for (int round = 0; round < 5; round++) {
        for (uint64_t owner = 0; owner < CAPACITY - 1; owner++) {
            ck_assert(fair_queue_admits(queue, 100000 + owner));
            push(100000 + owner + (uint64_t)round * 100000, 'a');
        }
        ck_assert(fair_queue_admits(queue, 7));
        push(7, 'b');
        ck_assert(!fair_queue_admits(queue, QUEUE_UNOWNED));
        for (size_t i = 0; i < CAPACITY; i++)
            ck_assert_ptr_nonnull(pop(10));
        expect_empty();
        used = 0;
    }
}
END_TEST

/* Random requests and costs: each owner's come out in order, nothing is lost, and two owners that
 * wait all the time get the same time but for one request each. */
START_TEST(test_random)
{
    enum { OWNERS = 7, DEAREST_NS = 1000 };
    unsigned in[OWNERS + 2] = {0}, out[OWNERS + 2] = {0};
    uint64_t took_ns[OWNERS + 2] = {0}, spent_ns = 0, owner = 0;
    size_t slots[CAPACITY], free_count = CAPACITY;
    for (size_t i = 0; i < CAPACITY; i++)
        slots[i] = i;
    srand(3);
    for (int i = 0; i < 200000; i++) {
        for (uint64_t o = 0; o < OWNERS + 2; o++) {
            bool pushes = o >= OWNERS ? in[o] < out[o] + 2 : rand() % 100 < 15;
            if (!pushes || !fair_queue_admits(queue, o))
                continue;
            struct request *request = &requests[slots[--free_count]];
            *request = (struct request){.owner = o, .serial = in[o]++};
            fair_queue_push(queue, o, &request->item);
        }
        const struct request *request = pop(spent_ns);
        ck_assert_ptr_nonnull(request);
        owner = request->owner;
        ck_assert_uint_eq(request->serial, out[owner]++);
        slots[free_count++] = (size_t)(request - requests);
        spent_ns = (uint64_t)rand() % DEAREST_NS;
        took_ns[owner] += spent_ns;
        ck_assert_uint_le(took_ns[OWNERS], took_ns[OWNERS + 1] + 2 * DEAREST_NS);
        ck_assert_uint_le(took_ns[OWNERS + 1], took_ns[OWNERS] + 2 * DEAREST_NS);
    }
    while (pop(10))
        free_count++;
    ck_assert_uint_eq(free_count, CAPACITY);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_turns,  test_arrival,     test_costs,
                                  test_again,  test_refused,     test_unowned,
                                  test_bounds, test_many_owners, test_random};
    return check_run_tests("queue", setup, teardown, tests, ARRAY_COUNT(tests));
}
