/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers shared by the engine's tests: running a suite, and short forms of calls. */
#ifndef CHRONOS_TESTS_ENGINE_COMMON_H
#define CHRONOS_TESTS_ENGINE_COMMON_H

#include "tests/check.h"

#include "core/engine/engine.h"
#include "core/engine/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((n)*NS_PER_SECOND)
#define GIB        (UINT64_C(1) << 30)

/* A call whose wall clock time does not matter. */
#define CALL(now_ns, caller, why) ENGINE_CALL(now_ns, 0, caller, why)

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

/* Whether a message has the common form: no lower-case letter at the start, and punctuation at the
 * end. */
static inline bool is_sentence(const char *message)
{
    size_t length = strlen(message);

    return length > 0 && !(message[0] >= 'a' && message[0] <= 'z') &&
           strchr(".?", message[length - 1]);
}

/* Parse a request that must be valid. */
static inline struct request parsed(const char *text)
{
    struct request request;
    char message[ENGINE_MESSAGE_MAX] = "";

    ck_assert_msg(request_parse(text, strlen(text), &request, message, sizeof(message)) == 0,
                  "%s: %s", text, message);
    return request;
}

/* Request a partition for the caller itself. Returns the code; the id goes to *ret_id. */
static inline int ask(struct engine *engine, int64_t now_ns, const struct caller *caller,
                      uint32_t device, const char *text, struct refusal *why, uint64_t *ret_id)
{
    struct request request = parsed(text);

    return engine_create(engine, CALL(now_ns, caller, why),
                         &(struct creation){&request, device, caller->uid, caller->gid, 9}, ret_id);
}

/* Request what must be granted. Returns the id. */
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
