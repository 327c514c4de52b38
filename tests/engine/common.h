/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's tests share: running a suite, and short ways to ask. */
#ifndef CHRONOS_TESTS_ENGINE_COMMON_H
#define CHRONOS_TESTS_ENGINE_COMMON_H

#include "core/engine/engine.h"
#include "core/engine/policy.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((n)*NS_PER_SECOND)
#define GIB        (UINT64_C(1) << 30)

/* A call whose wall clock does not matter. */
#define CALL(now_ns, caller, why) ENGINE_CALL(now_ns, 0, caller, why)

/* One test case of the functions named, which take no arguments. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failed;

    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* "T3600": seconds of engine time. */
static inline void time_words(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "T%lld", (long long)(at_ns / NS_PER_SECOND));
}

static inline struct engine *new_engine(void)
{
    struct engine *engine = NULL;

    ck_assert_int_eq(engine_new(time_words, NULL, &engine), 0);
    ck_assert_ptr_nonnull(engine);
    return engine;
}

static inline uint32_t add_device(struct engine *engine, uint64_t bytes, bool present)
{
    struct engine_device device = {bytes, present};
    uint32_t index = UINT32_MAX;

    ck_assert_int_eq(engine_add_device(engine, &device, &index), 0);
    return index;
}

/* A request from its text, which must be good. */
static inline struct request parsed(const char *text)
{
    struct request request;
    char message[ENGINE_MESSAGE_MAX] = "";

    ck_assert_msg(request_parse(text, strlen(text), &request, message, sizeof(message)) == 0,
                  "%s: %s", text, message);
    return request;
}

/* Asks for the caller itself; the code, the id in *ret_id. */
static inline int ask(struct engine *engine, int64_t now_ns, const struct caller *caller,
                      uint32_t device, const char *text, struct refusal *why, uint64_t *ret_id)
{
    struct request request = parsed(text);

    return engine_create(engine, CALL(now_ns, caller, why),
                         &(struct creation){&request, device, caller->uid, caller->gid, 9}, ret_id);
}

/* Asks for what must be granted; the id. */
static inline uint64_t grant(struct engine *engine, int64_t now_ns, const struct caller *caller,
                             uint32_t device, const char *text)
{
    struct refusal why = {""};
    uint64_t id = 0;

    ck_assert_msg(ask(engine, now_ns, caller, device, text, &why, &id) == 0, "%s: %s", text,
                  why.message);
    return id;
}

#endif
