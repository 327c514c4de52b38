/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How every program with Check runs: one suite, one case, one way to report. A hanging test
 * is ended by its own limit, and by that of meson when fork is off.
 */
#ifndef CHRONOS_TESTS_CHECK_H
#define CHRONOS_TESTS_CHECK_H

#include "core/base/array.h"
#include "tests/scratch.h"

#include <check.h>
#include <stdlib.h>

/* Check writes where it is into a file at every assertion that holds, which is most of the time of
 * a test with a million of them. A crash is reported with the line where its test begins. */
#undef ck_assert_msg
#define ck_assert_msg(expression, ...)                                                             \
    ((expression) ? (void)0                                                                        \
                  : _ck_assert_failed(__FILE__, __LINE__, "Assertion '" #expression "' failed",    \
                                      __VA_ARGS__))

#define CHECK_TIMEOUT_S 240 /* generous: machines are slow and loaded */

/* How often to repeat what finds more the longer it goes on: valgrind and sanitizers look at the
 * same lines each time. */
static inline int check_rounds(int many)
{
    return getenv("CHRONOS_TEST_LIGHT") ? (many + 19) / 20 : many;
}

/* A case; setup and teardown (may be NULL) run around each test, in its process. */
static inline TCase *check_case(const char *name, void (*setup)(void), void (*teardown)(void))
{
    TCase *all = tcase_create(name);
    if (setup || teardown)
        tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, CHECK_TIMEOUT_S);
    return all;
}

/* Runs the case `name` and frees it. Returns the exit status of the program. */
static inline int check_run(const char *name, TCase *all)
{
    scratch_begin();
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int check_run_tests(const char *name, void (*setup)(void), void (*teardown)(void),
                                  const TTest *const *tests, size_t count)
{
    TCase *all = check_case(name, setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(all, tests[i]);
    return check_run(name, all);
}

/* The main of most programs:
 *     return check_main("name", setup, teardown, test_this, test_that); */
#define check_main(name, setup, teardown, ...)                                                     \
    check_run_tests(name, setup, teardown, (const TTest *const[]){__VA_ARGS__},                    \
                    ARRAY_COUNT(((const TTest *const[]){__VA_ARGS__})))

#endif
