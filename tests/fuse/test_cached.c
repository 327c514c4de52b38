/* SPDX-License-Identifier: Apache-2.0 */
/* Which attributes the kernel may have. */
#include "tests/check.h"

#include "fs/fuse/cached.h"

static struct cached *cached;

static void setup(void)
{
    ck_assert(!cached_new(false, 0, &cached));
}

static void teardown(void)
{
    cached = cached_free(cached);
}

static struct node directory(uint64_t id)
{
    return (struct node){.dir = DIR_PARTITION, .object = id};
}

static struct node in_list(uint64_t id)
{
    return (struct node){.dir = DIR_PARTITIONS, .object = id, .link = true};
}

static struct node file(uint64_t id, const char *name)
{
    return (struct node){.dir = DIR_PARTITION, .object = id, .file = tree_node_hash(name)};
}

static void note(struct node node, int64_t now_ns)
{
    cached_note(cached, &node, now_ns);
}

static bool has(struct node node, int64_t now_ns)
{
    return cached_has(cached_find(cached, node.object, now_ns), &node);
}

START_TEST(test_nodes_are_told_apart)
{
    ck_assert(!cached_find(cached, 7, 0));
    note(directory(7), 0);
    ck_assert(has(directory(7), 0) && !has(in_list(7), 0) && !has(file(7, "name"), 0));
    note(in_list(8), 0);
    ck_assert(!has(directory(8), 0) && has(in_list(8), 0));
    note(file(8, "name"), 0);
    ck_assert(has(file(8, "name"), 0) && has(in_list(8), 0) && !has(file(8, "remaining"), 0));
    ck_assert(!cached_find(cached, 9, 0));
}
END_TEST

/* An answer counts at least CACHED_NS, and at most twice as long. */
START_TEST(test_lasts)
{
    for (int64_t begin = 1; begin < 3 * CACHED_NS; begin += CACHED_NS / 7) {
        teardown();
        setup();
        note(directory(1), 0);
        note(directory(7), begin);
        for (int64_t later = 0; later < CACHED_NS; later += CACHED_NS / 11) {
            ck_assert(has(directory(7), begin + later));
            note(directory(2), begin + later); /* others do not drop it */
        }
        ck_assert(!has(directory(7), begin + 4 * CACHED_NS));
    }
}
END_TEST

START_TEST(test_dropped_while_others_come)
{
    note(directory(7), 0);
    for (int64_t now_ns = 0; now_ns <= 2 * CACHED_NS; now_ns += CACHED_NS / 10)
        note(directory(8), now_ns);
    ck_assert(!has(directory(7), 2 * CACHED_NS) && has(directory(8), 2 * CACHED_NS));
}
END_TEST

/* Answers of a worker that is gone. */
START_TEST(test_unknown)
{
    teardown();
    ck_assert(!cached_new(true, 0, &cached));
    ck_assert(has(directory(7), 0) && has(file(8, "name"), CACHED_NS - 1));
    note(directory(9), 1);
    ck_assert(has(directory(7), CACHED_NS - 1));
    ck_assert(!has(directory(7), CACHED_NS));
    ck_assert(has(directory(9), CACHED_NS));
}
END_TEST

START_TEST(test_many)
{
    const uint64_t count = (uint64_t)check_rounds(100000);
    for (uint64_t id = 1; id <= count; id += 3)
        note(id % 2 ? directory(id) : in_list(id << 20), 0);
    for (uint64_t id = 1; id <= count; id++) {
        ck_assert_int_eq(has(directory(id), 0), id % 3 == 1 && id % 2);
        ck_assert_int_eq(has(in_list(id << 20), 0), id % 3 == 1 && !(id % 2));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_nodes_are_told_apart, test_lasts,
                                  test_dropped_while_others_come, test_unknown, test_many};
    return check_run_tests("cached", setup, teardown, tests, ARRAY_COUNT(tests));
}
