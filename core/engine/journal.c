/* SPDX-License-Identifier: Apache-2.0 */
/* Events, in order, until they are taken. It must not know what events mean. */
#include "internal.h"

#include <stdlib.h>

struct engine_event *journal_new(enum event_kind kind, int64_t at_ns, uint32_t by_uid)
{
    struct engine_event *event = calloc(1, sizeof(*event));

    if (!event)
        return NULL;
    event->kind = kind;
    event->at_ns = at_ns;
    event->by_uid = by_uid;
    if (!accounts_may_book(kind))
        return event;
    event->usage = calloc(ACCOUNTS_CHANGES_MAX, sizeof(*event->usage));
    if (event->usage)
        return event;
    free(event);
    return NULL;
}

void journal_append(struct engine *engine, struct engine_event *event)
{
    event->seq = engine->next_seq++;
    event->account = event->after.id ? accounts_of(engine, event->after.uid) : 0;
    event->next = NULL;
    accounts_book(engine, event);
    accounts_drop_done(engine, event);
    engine->queue.pass.listed = false;
    if (engine->last_event)
        engine->last_event->next = event;
    else
        engine->first_event = event;
    engine->last_event = event;
}

struct engine_event *engine_take_events(struct engine *engine)
{
    struct engine_event *events = engine->first_event;

    engine->first_event = engine->last_event = NULL;
    return events;
}

void engine_events_free(struct engine_event *events)
{
    while (events) {
        struct engine_event *next = events->next;

        free(events->guests);
        free(events->usage);
        free(events);
        events = next;
    }
}
