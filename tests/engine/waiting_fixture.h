/* SPDX-License-Identifier: Apache-2.0 */
/* Short forms of what the tests of requests that wait ask and check. */
#ifndef CHRONOS_TESTS_ENGINE_WAITING_FIXTURE_H
#define CHRONOS_TESTS_ENGINE_WAITING_FIXTURE_H

#include "fixture.h"

/* Ask for this on a device (or any), with terms. Returns the code. */
static inline int enqueue(int64_t now_ns, uint32_t uid, uint32_t device, const char *text,
                          struct creation_terms terms, uint64_t *ret_id)
{
    struct caller caller = {.uid = uid, .gid = uid};
    struct request request = parsed(text);

    if (!terms.give_up_ns)
        terms.give_up_ns = ENGINE_FOREVER;
    return engine_enqueue(engine, CALL(now_ns, &caller, &why),
                          &(struct creation){&request, device, uid, uid, 0}, &terms, ret_id);
}

static inline uint64_t waits(int64_t now_ns, uint32_t uid, uint32_t device, const char *text,
                             uint32_t gpus)
{
    uint64_t id = 0;
    int r = enqueue(
        now_ns, uid, device, text,
        (struct creation_terms){.waits = true, .gpus = gpus, .priority = PRIORITY_NORMAL}, &id);

    ck_assert_msg(!r, "%s: %s", text, why.message);
    return id;
}

static inline uint64_t of_class(int64_t now_ns, uint32_t uid, const char *text, uint32_t priority)
{
    uint64_t id = 0;

    ck_assert_int_eq(enqueue(now_ns, uid, 0, text,
                             (struct creation_terms){.waits = true, .priority = priority}, &id),
                     0);
    return id;
}

static inline int64_t start_s(uint64_t id)
{
    return engine_find(engine, id)->start_ns / NS_PER_SECOND;
}

static inline void starts(uint64_t id, int64_t seconds, uint32_t state)
{
    ck_assert_int_eq(start_s(id), seconds);
    ck_assert_uint_eq(engine_find(engine, id)->state, state);
    if (state == PARTITION_PENDING)
        ck_assert_int_eq(engine_waiting(engine, id)->promised_ns, SECONDS(seconds));
}

static inline void release(int64_t now_ns, uint64_t id)
{
    ck_assert_int_eq(engine_release(engine, CALL(now_ns, &admin, &why), id), 0);
    ck_assert_int_eq(engine_advance(engine, now_ns), 0);
}

/* The kinds of all events since the last call, as letters. */
static inline const char *kinds(void)
{
    static char text[64];
    static const char letters[] = {
        [EVENT_CREATED] = 'c',  [EVENT_EXPIRED] = 'x', [EVENT_RELEASED] = 'r',
        [EVENT_REVOKED] = 'v',  [EVENT_MOVED] = 'm',   [EVENT_STARTED] = 's',
        [EVENT_GAVE_UP] = 'g',  [EVENT_WARNED] = 'w',  [EVENT_DEVICES] = 'd',
        [EVENT_PRIORITY] = 'p', [EVENT_SETTING] = 'S', [EVENT_MISSED] = 'i',
        [EVENT_USED] = 'u',     [EVENT_NO_SHOW] = 'n', [EVENT_EXTENDED] = 'e',
        [EVENT_ENDING] = 'E'};
    struct engine_event *events = engine_take_events(engine);
    size_t count = 0;

    for (struct engine_event *event = events; event; event = event->next)
        text[count++] = letters[event->kind];
    text[count] = 0;
    engine_events_free(events);
    return text;
}

#endif
