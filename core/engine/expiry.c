/* SPDX-License-Identifier: Apache-2.0 */
/* Ends and warnings of partitions: when they become due, and when a holding file is closed. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

void expiry_end(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    event->before = event->after = entry->partition;
    journal_append(engine, event);
    event->after.end_ns = event->at_ns;
    event->after.change_seq = event->seq;
    event->guests = entry->guests;
    entry->guests = NULL;
    index_remove(engine, entry);
    index_free_entry(entry);
}

void expiry_warn(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    event->before = event->after = entry->partition;
    journal_append(engine, event);
    event->after.state = PARTITION_EXPIRING;
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
}

int64_t engine_next_wakeup(const struct engine *engine)
{
    return engine->next_end_ns < engine->next_warning_ns ? engine->next_end_ns
                                                         : engine->next_warning_ns;
}

/* Create the events due until now_ns, in order, with the partitions left blank, `most` at most.
 * False if out of memory. */
static bool make_due_events(const struct engine *engine, int64_t now_ns, size_t most,
                            struct engine_event **last)
{
    const struct entry *warning = index_first_warning(engine);
    const struct entry *end = index_next_end(engine, INT64_MIN, 0);

    for (; most; most--) {
        if (warning && ending_warning_ns(&warning->partition) > now_ns)
            warning = NULL;
        if (end && end->partition.end_ns > now_ns)
            end = NULL;
        if (!warning && !end)
            return true;
        /* A partition's warning always comes before its end. */
        if (warning && (!end || ending_warning_ns(&warning->partition) <= end->partition.end_ns)) {
            *last = journal_new(EVENT_WARNED, ending_warning_ns(&warning->partition),
                                warning->partition.uid);
            warning = index_next_warning(engine, warning);
        } else {
            *last = journal_new(EVENT_EXPIRED, end->partition.end_ns, end->partition.uid);
            end = index_next_end(engine, end->partition.end_ns, end->partition.id);
        }
        if (!*last)
            return false;
        last = &(*last)->next;
    }
    return true;
}

int engine_advance(struct engine *engine, int64_t now_ns)
{
    return engine_advance_some(engine, now_ns, SIZE_MAX);
}

int engine_advance_some(struct engine *engine, int64_t now_ns, size_t most)
{
    struct engine_event *first = NULL;

    /* Allocate all events first, so that running out of memory changes nothing. */
    if (engine_next_wakeup(engine) <= now_ns && !make_due_events(engine, now_ns, most, &first)) {
        engine_events_free(first);
        return -ENOMEM;
    }
    if (engine->over_ns < now_ns)
        engine->over_ns = now_ns;
    while (first) {
        struct engine_event *event = first;

        first = event->next;
        if (event->kind == EVENT_WARNED)
            expiry_warn(engine, event, index_first_warning(engine));
        else
            expiry_end(engine, event, index_next_end(engine, INT64_MIN, 0));
    }
    return 0;
}

int engine_close_hold(struct engine *engine, int64_t now_ns, uint64_t hold)
{
    struct engine_event *first = NULL, **last = &first;
    struct entry *held;
    uint64_t id = 0;

    /* Skip partitions past their end: they have expired, and engine_advance will end them. */
    while (hold && (held = index_next_held(engine, hold, id))) {
        id = held->partition.id;
        if (held->partition.end_ns <= now_ns)
            continue;
        *last = journal_new(EVENT_CLOSED, now_ns, held->partition.uid);
        if (!*last) {
            engine_events_free(first);
            return -ENOMEM;
        }
        (*last)->before.id = id;
        last = &(*last)->next;
    }
    while (first) {
        struct engine_event *event = first;

        first = event->next;
        expiry_end(engine, event, index_find(engine, event->before.id));
    }
    return 0;
}
