/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed, in order; the end of partitions and the warning before it, which are
 * the changes that time makes; and taking back what could not be made durable. Whoever makes the
 * events durable is not known here.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct engine_event *journal_new(enum event_kind kind, int64_t at_ns, uint32_t by_uid)
{
    struct engine_event *event = calloc(1, sizeof(*event));

    if (event) {
        event->kind = kind;
        event->at_ns = at_ns;
        event->by_uid = by_uid;
    }
    return event;
}

void journal_append(struct engine *engine, struct engine_event *event)
{
    event->seq = engine->next_seq++;
    event->next = NULL;
    if (engine->last_event)
        engine->last_event->next = event;
    else
        engine->first_event = event;
    engine->last_event = event;
}

void journal_end(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    event->before = event->after = entry->partition;
    journal_append(engine, event);
    event->after.end_ns = event->at_ns;
    event->after.change_seq = event->seq;
    index_remove(engine, entry);
    free(entry);
}

void journal_warn(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    event->before = event->after = entry->partition;
    journal_append(engine, event);
    event->after.warned = 1;
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
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

        free(events);
        events = next;
    }
}

/* All that time brings until now_ns, in its order, as events that name nobody yet.
 * False without memory. */
static bool foresee(const struct engine *engine, int64_t now_ns, struct engine_event **last)
{
    const struct entry *warning = index_first_warning(engine);
    const struct entry *end = index_next_end(engine, INT64_MIN, 0);

    for (;;) {
        if (warning && ending_warning_ns(&warning->partition) > now_ns)
            warning = NULL;
        if (end && end->partition.end_ns > now_ns)
            end = NULL;
        if (!warning && !end)
            return true;
        /* Of one partition the warning is always before the end. */
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
}

int engine_advance(struct engine *engine, int64_t now_ns)
{
    struct engine_event *first = NULL;

    if (engine_next_wakeup(engine) > now_ns)
        return 0;
    /* All events first: if memory is short, nothing has happened. */
    if (!foresee(engine, now_ns, &first)) {
        engine_events_free(first);
        return -ENOMEM;
    }
    while (first) {
        struct engine_event *event = first;

        first = event->next;
        if (event->kind == EVENT_WARNED)
            journal_warn(engine, event, index_first_warning(engine));
        else
            journal_end(engine, event, index_next_end(engine, INT64_MIN, 0));
    }
    return 0;
}

int engine_close_hold(struct engine *engine, int64_t now_ns, uint64_t hold)
{
    struct engine_event *first = NULL, **last = &first;
    struct entry *held;
    uint64_t id = 0;

    /* What is past its end is left to engine_advance: it expired before. */
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
        journal_end(engine, event, index_find(engine, event->before.id));
    }
    return 0;
}

/* -- taking back ---------------------------------------------------------- */

/* What taking back may need, made before anything is touched. */
struct revert {
    const struct engine_event **events; /* an array, to go through it from the end */
    size_t count;
    struct entry **entries; /* for partitions that ended */
    size_t entry_count;
    struct setting_entry **settings; /* for settings that were taken out */
    size_t setting_count;
};

static void revert_clear(struct revert *revert)
{
    while (revert->entry_count > 0)
        free(revert->entries[--revert->entry_count]);
    while (revert->setting_count > 0)
        free(revert->settings[--revert->setting_count]);
    free(revert->entries);
    free(revert->settings);
    free(revert->events);
}

static bool revert_prepare(struct revert *revert, const struct engine_event *events)
{
    size_t count = 0;

    for (const struct engine_event *event = events; event; event = event->next)
        count++;
    revert->events = calloc(count, sizeof(struct engine_event *));
    revert->entries = calloc(count, sizeof(struct entry *));
    revert->settings = calloc(count, sizeof(struct setting_entry *));
    if (!revert->events || !revert->entries || !revert->settings)
        return false;
    for (const struct engine_event *event = events; event; event = event->next) {
        revert->events[revert->count++] = event;
        if (event_kind_is_end(event->kind)) {
            struct entry *entry = calloc(1, sizeof(*entry));

            if (!entry)
                return false;
            revert->entries[revert->entry_count++] = entry;
        } else if (event->kind == EVENT_SETTING) {
            struct setting_entry *setting = calloc(1, sizeof(*setting));

            if (!setting)
                return false;
            revert->settings[revert->setting_count++] = setting;
        }
    }
    return true;
}

/* A note moved the change_seq of a partition that was alive, and nothing else. */
static bool revert_note(struct engine *engine, const struct engine_event *event)
{
    struct entry *entry = index_find(engine, event->before.id);

    if (event->after.change_seq == event->before.change_seq)
        return true;
    if (entry)
        index_change(engine, entry, &event->before);
    return entry != NULL;
}

/* False when the event does not fit what is there: not ours, or out of order. */
static bool revert_one(struct engine *engine, struct revert *revert,
                       const struct engine_event *event)
{
    uint64_t id = event->kind == EVENT_CREATED ? event->after.id : event->before.id;
    struct entry *entry = index_find(engine, id);

    if (event->kind == EVENT_NOTE) {
        return revert_note(engine, event);
    } else if (event->kind == EVENT_SETTING) {
        settings_put(engine, revert->settings[--revert->setting_count], event->key,
                     event->old_value);
    } else if (event_kind_is_end(event->kind)) {
        if (entry)
            return false;
        entry = revert->entries[--revert->entry_count];
        entry->partition = event->before;
        index_add(engine, entry);
    } else if (!entry) {
        return false;
    } else if (event->kind == EVENT_CREATED) {
        index_remove(engine, entry);
        free(entry);
    } else {
        index_change(engine, entry, &event->before);
    }
    return true;
}

int engine_revert(struct engine *engine, const struct engine_event *events)
{
    struct revert revert = {0};
    bool good;

    if (!events)
        return 0;
    good = revert_prepare(&revert, events);
    if (!good) {
        revert_clear(&revert);
        return -ENOMEM;
    }
    while (revert.count > 0)
        good = revert_one(engine, &revert, revert.events[--revert.count]) && good;
    revert_clear(&revert);
    return good ? 0 : -EINVAL;
}
