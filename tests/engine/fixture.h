/* SPDX-License-Identifier: Apache-2.0 */
/* An engine, callers, and checks of one call, for the tests of single operations. */
#ifndef CHRONOS_TESTS_ENGINE_FIXTURE_H
#define CHRONOS_TESTS_ENGINE_FIXTURE_H

#include "common.h"

static const struct caller alice = {.uid = 1000, .gid = 1000, .pid = 11};
static const struct caller bob = {.uid = 1001, .gid = 1001, .pid = 12};
static const struct caller admin = {.uid = 0, .admin = true, .root = true, .pid = 1};
static const struct caller foreign_root = {.uid = 0, .pid = 77, .ns = 4026532000};

static struct engine *engine;
static struct refusal why;

static inline void start(uint64_t bytes)
{
    engine = new_engine();
    add_device(engine, bytes, true);
}

/* Check that a call was refused with this code and these words, and changed nothing. */
static inline void refused(int r, int code, const char *words)
{
    ck_assert_msg(r == code, "%d instead of %d: %s", r, code, why.message);
    ck_assert_msg(strstr(why.message, words), "\"%s\" does not say \"%s\"", why.message, words);
    ck_assert_msg(is_sentence(why.message), "\"%s\"", why.message);
    ck_assert_ptr_null(engine_take_events(engine));
}

/* Check for exactly one event, of this kind. It stays valid until the next call. */
static inline const struct engine_event *one_event(enum event_kind kind)
{
    static struct engine_event *event;

    engine_events_free(event);
    event = engine_take_events(engine);
    ck_assert_ptr_nonnull(event);
    ck_assert_ptr_null(event->next);
    ck_assert_int_eq(event->kind, kind);
    return event;
}

#endif
