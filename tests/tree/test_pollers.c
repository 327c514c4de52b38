/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polled files: each person's in turn, first in first out for each, and none is ever lost.
 */
#include "tests/check.h"

#include "fs/tree/pollers.h"

#include <stdlib.h>

#define FILES  2000u
#define NODES  16u
#define PEOPLE 5u

static struct pollers *pollers;

static void setup(void)
{
    ck_assert_int_eq(pollers_new(&pollers), 0);
}

static void teardown(void)
{
    pollers = pollers_free(pollers);
}

static void add(uint32_t file, uint64_t node, uint32_t account)
{
    ck_assert_int_eq(pollers_add(pollers, file, node, account), 0);
}

static void check_next(const uint32_t *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(pollers_next(pollers), files[i]);
}

/* A thousand files of one person delay those of two others by one each. */
START_TEST(test_turns)
{
    for (uint32_t file = 0; file < 1000; file++)
        add(file, 7, 1);
    add(1000, 7, 2);
    add(1001, 7, 3);
    add(1002, 7, 2);
    pollers_mark(pollers, 7);
    check_next((const uint32_t[]){0, 1000, 1001, 1, 1002, 2, 3}, 7);
    for (uint32_t file = 4; file < 1000; file++)
        ck_assert_uint_eq(pollers_next(pollers), file);
    ck_assert_uint_eq(pollers_next(pollers), POLLERS_NONE);
}
END_TEST

/* Turns are a person's, not a node's: news of many nodes give no more of them. */
START_TEST(test_many_nodes)
{
    for (uint32_t file = 0; file < 100; file++)
        add(file, file, 1);
    add(100, 99, 2);
    for (uint64_t node = 0; node < 100; node++)
        pollers_mark(pollers, node);
    check_next((const uint32_t[]){0, 100, 1, 2}, 4);
}
END_TEST

/* Files that are removed or added while others are marked. */
START_TEST(test_changes)
{
    add(0, 7, 1);
    add(1, 7, 1);
    add(2, 8, 1);
    add(3, 7, 2);
    add(3, 7, 2); /* again */
    pollers_mark(pollers, 7);
    add(4, 7, 1); /* after the news */
    pollers_remove(pollers, 0);
    pollers_remove(pollers, 3);
    ck_assert(pollers_any_marked(pollers));
    check_next((const uint32_t[]){1, POLLERS_NONE}, 2);
    ck_assert(!pollers_any_marked(pollers));
    pollers_mark(pollers, 7);
    pollers_remove(pollers, 1);
    pollers_remove(pollers, 4);
    ck_assert(!pollers_any_marked(pollers));
    pollers_mark_all(pollers);
    check_next((const uint32_t[]){2, POLLERS_NONE}, 2);
    pollers_mark(pollers, 9);
    ck_assert(!pollers_any_marked(pollers));
}
END_TEST

/* What the test knows of a file. */
static struct known {
    bool here, marked;
    uint64_t node;
} known[FILES];

static void change(uint32_t file)
{
    if (known[file].here)
        pollers_remove(pollers, file);
    else
        add(file, known[file].node = (uint64_t)rand() % NODES, (uint32_t)rand() % PEOPLE);
    known[file].here = !known[file].here;
    known[file].marked = false;
}

static void mark(uint64_t node, bool all)
{
    if (all)
        pollers_mark_all(pollers);
    else
        pollers_mark(pollers, node);
    for (uint32_t file = 0; file < FILES; file++)
        known[file].marked |= known[file].here && (all || known[file].node == node);
}

/* Whatever happens between news and looking, exactly the marked files are given. */
START_TEST(test_random)
{
    for (int step = 0; step < 200000; step++) {
        int what = rand() % 1000;
        if (what < 500) {
            change((uint32_t)rand() % FILES);
        } else if (what < 510) {
            mark((uint64_t)rand() % NODES, what == 500);
        } else {
            uint32_t file = pollers_next(pollers);
            ck_assert(file == POLLERS_NONE || known[file].marked);
            if (file != POLLERS_NONE)
                known[file].marked = false;
        }
    }
    for (uint32_t file; (file = pollers_next(pollers)) != POLLERS_NONE;) {
        ck_assert(known[file].marked);
        known[file].marked = false;
    }
    for (uint32_t file = 0; file < FILES; file++)
        ck_assert(!known[file].marked);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_turns, test_many_nodes, test_changes, test_random};
    return check_run_tests("pollers", setup, teardown, tests, ARRAY_COUNT(tests));
}
