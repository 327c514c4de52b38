/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reverting changes that could not be made durable, event by event from the last to the first. It
 * must not know why that failed.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/* Memory that reverting may need, allocated before anything is changed. */
struct revert {
    const struct engine_event **events; /* as an array, for walking backwards */
    size_t count;
    struct entry **entries; /* for partitions that ended */
    size_t entry_count;
    struct setting_entry **settings; /* for settings that were removed */
    size_t setting_count;
};

static void revert_clear(struct revert *revert)
{
    while (revert->entry_count > 0)
        index_free_entry(revert->entries[--revert->entry_count]);
    while (revert->setting_count > 0)
        free(revert->settings[--revert->setting_count]);
    free(revert->entries);
    free(revert->settings);
    free(revert->events);
}

/* Allocate the entry of a partition that ended. */
static struct entry *new_entry(struct engine *engine, const struct engine_event *event)
{
    const struct waiting *waiting = &event->waiting_before;
    struct entry *entry =
        index_new_entry(engine, &event->before, waiting_is_set(waiting) ? waiting : NULL);

    if (!entry || !event->guests)
        return entry;
    entry->guests = calloc(1, sizeof(*entry->guests));
    if (!entry->guests) {
        index_free_entry(entry);
        return NULL;
    }
    *entry->guests = *event->guests;
    return entry;
}

static bool revert_prepare(struct engine *engine, struct revert *revert,
                           const struct engine_event *events)
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
        if (accounts_prepare_revert(engine, event))
            return false;
        if (event_kind_is_end(event->kind)) {
            struct entry *entry = new_entry(engine, event);

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

/* A note changed only the change_seq of a partition that was alive. */
static bool revert_note(struct engine *engine, const struct engine_event *event)
{
    struct entry *entry = index_find(engine, event->before.id);

    if (event->after.change_seq == event->before.change_seq)
        return true;
    if (entry)
        index_change(engine, entry, &event->before);
    return entry;
}

/* The memory of guests stays when the last one has gone, so this needs none. */
static bool revert_share(struct engine *engine, const struct engine_event *event)
{
    struct entry *entry = index_find(engine, event->before.id);
    bool came = event->kind == EVENT_SHARED;

    if (!entry || !entry->guests)
        return false;
    bool good =
        came ? guests_drop(entry->guests, event->guest) : guests_put(entry->guests, event->guest);
    index_change(engine, entry, &event->before); /* adds them up */
    return good;
}

/* False if the event does not match the engine's state: foreign, or out of order. */
static bool revert_one(struct engine *engine, struct revert *revert,
                       const struct engine_event *event)
{
    uint64_t id = event->kind == EVENT_CREATED ? event->after.id : event->before.id;
    struct entry *entry = index_find(engine, id);

    if (event->kind == EVENT_NOTE) {
        return revert_note(engine, event);
    } else if (event->kind == EVENT_SHARED || event->kind == EVENT_UNSHARED) {
        return revert_share(engine, event);
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
        index_free_entry(entry);
    } else if (entry->waiter) {
        index_move(engine, entry, &event->before, &event->waiting_before);
    } else {
        index_change(engine, entry, &event->before);
    }
    return true;
}

/* A pass that moved requests, and may have been finished, is reverted; that it was needed may not
 * be.
 */
static void mark_again(struct engine *engine, const struct engine_event *event)
{
    if (event->kind == EVENT_NOTE || event->kind == EVENT_SETTING)
        return;
    queue_mark_order(engine);
    queue_mark_shares(engine, &event->before, INT64_MIN);
    queue_mark_shares(engine, &event->after, INT64_MIN);
}

int engine_revert(struct engine *engine, const struct engine_event *events)
{
    struct revert revert = {0};

    if (!events)
        return 0;
    bool good = revert_prepare(engine, &revert, events);
    if (!good) {
        revert_clear(&revert);
        return -ENOMEM;
    }
    while (revert.count > 0) {
        const struct engine_event *event = revert.events[--revert.count];

        accounts_revert(engine, event);
        good = revert_one(engine, &revert, event) && good;
    }
    for (const struct engine_event *event = events; event; event = event->next)
        mark_again(engine, event);
    for (const struct engine_event *event = events; event; event = event->next) {
        if (event->kind == EVENT_CREATED)
            accounts_forget(engine, &event->after);
    }
    revert_clear(&revert);
    engine->over_ns = INT64_MIN; /* those that are back are shown until they end again */
    return good ? 0 : -EINVAL;
}

int engine_undo(struct engine *engine)
{
    const struct engine_event *created = engine->first_event;
    int r = engine_revert(engine, engine->first_event);

    if (r)
        return r;
    while (created && created->kind != EVENT_CREATED)
        created = created->next;
    if (created)
        engine->next_id = created->after.id;
    if (engine->first_event)
        engine->next_seq = engine->first_event->seq;
    engine_events_free(engine_take_events(engine));
    return 0;
}
