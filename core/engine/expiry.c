/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends, warnings and starts of partitions: when they become due, and when a holding file is closed.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/* A step of the plan may take as long as so many events: a gang looks at all devices. */
#define STEP_EVENTS 16

/* Programs that are stopped do not handle SIGTERM; others that are not suspended do. */
static void set_ending(struct partition *after)
{
    if (after->suspend_stage != SUSPEND_NONE)
        after->on_expiry = ON_EXPIRY_KILL;
    else if (after->on_expiry == ON_EXPIRY_SUSPEND)
        after->on_expiry = ON_EXPIRY_TERM;
    if (after->state == PARTITION_SUSPENDED)
        after->state = PARTITION_ACTIVE;
    after->suspend_stage = SUSPEND_NONE;
}

void expiry_end(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    bool waits = entry->partition.state == PARTITION_PENDING;

    journal_of(event, entry);
    journal_append(engine, event);
    event->after.end_ns = event->at_ns;
    if (waits && event->after.start_ns > event->at_ns)
        event->after.start_ns = event->at_ns;
    event->after.change_seq = event->seq;
    set_ending(&event->after);
    event->guests = entry->guests;
    entry->guests = NULL;
    if (event->at_ns < event->before.end_ns)
        accounts_freed(engine, entry);
    index_remove(engine, entry);
    index_free_entry(entry);
    queue_mark_order(engine);
    int64_t freed_ns = waits ? event->before.start_ns : event->at_ns;
    queue_mark_shares(engine, &event->before,
                      event->at_ns < event->before.end_ns ? freed_ns : QUEUE_FILL);
}

void expiry_start(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    journal_of(event, entry);
    journal_append(engine, event);
    event->after.state = PARTITION_ACTIVE;
    if (event->after.suspend_stage != SUSPEND_NONE) { /* its programs are to come back first */
        event->after.state = PARTITION_SUSPENDED;
        event->after.suspend_stage = SUSPEND_RETURNING;
    } else if (arrival_is_awaited(engine, entry)) {
        event->after.arrival = ARRIVAL_AWAITED;
    }
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
}

void expiry_warn(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    journal_of(event, entry);
    journal_append(engine, event);
    event->after.state = PARTITION_EXPIRING;
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
}

/* Warn the user of a reservation that was not used yet. */
static void miss(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    journal_of(event, entry);
    journal_append(engine, event);
    event->after.state = PARTITION_EXPIRING;
    event->after.arrival = ARRIVAL_MISSED;
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t engine_next_wakeup(const struct engine *engine)
{
    if (!plan_is_finished(engine))
        return INT64_MIN;
    return lesser(lesser(lesser(engine->next_end_ns, engine->next_warning_ns),
                         lesser(engine->queue.next_start_ns, engine->queue.next_give_up_ns)),
                  arrival_next_ns(engine));
}

/* When a warning is due; not before the start of what has waited. */
static int64_t warns_ns(const struct entry *entry)
{
    int64_t at_ns = ending_warning_ns(&entry->partition);

    return entry->waiter && at_ns < entry->partition.start_ns ? entry->partition.start_ns : at_ns;
}

/* What is due next, and when. */
struct due {
    struct entry *entry;
    enum event_kind kind;
    int64_t at_ns;
};

static void offer(struct due *due, struct entry *entry, enum event_kind kind, int64_t at_ns)
{
    if (entry && at_ns < due->at_ns)
        *due = (struct due){entry, kind, at_ns};
}

/* Find what is due until `now_ns`; no entry: nothing. At one moment, warnings come first, since
 * that of a partition always comes before its end, then ends, starts, and giving up. */
static struct due find_due(const struct engine *engine, int64_t now_ns)
{
    struct due due = {.at_ns = now_ns < ENGINE_FOREVER ? now_ns + 1 : now_ns};
    struct entry *warning = index_first_warning(engine);
    struct entry *end = index_next_end(engine, INT64_MIN, 0);
    struct entry *start = queue_next_start(engine, INT64_MIN, 0);
    struct entry *give_up = queue_next_give_up(engine, INT64_MIN, 0);
    struct entry *awaited = arrival_first(engine, false), *missed = arrival_first(engine, true);

    offer(&due, warning, EVENT_WARNED, warning ? warns_ns(warning) : 0);
    offer(&due, awaited, EVENT_MISSED, awaited ? arrival_due_ns(engine, awaited) : 0);
    offer(&due, end,
          end && suspend_is_due(engine, &end->partition) ? EVENT_SUSPENDING : EVENT_EXPIRED,
          end ? end->partition.end_ns : 0);
    offer(&due, missed, EVENT_NO_SHOW, missed ? arrival_due_ns(engine, missed) : 0);
    offer(&due, start, EVENT_STARTED, start ? start->partition.start_ns : 0);
    offer(&due, give_up, EVENT_GAVE_UP, give_up ? give_up->waiter->record.give_up_ns : 0);
    return due;
}

/* Return how many events are due, `most` at most; starts count twice, for their warnings. */
static size_t count_due(const struct engine *engine, int64_t now_ns, size_t most)
{
    const struct entry *warning = index_first_warning(engine);
    const struct entry *start = queue_next_start(engine, INT64_MIN, 0);
    const struct entry *give_up = queue_next_give_up(engine, INT64_MIN, 0);
    size_t count = index_count_ends(engine, now_ns);

    for (int i = 0; i < 2; i++) {
        const struct entry *late = arrival_first(engine, i);

        for (; count < most && late && arrival_due_ns(engine, late) <= now_ns; count++)
            late = arrival_next(engine, late);
    }
    for (; count < most && warning && ending_warning_ns(&warning->partition) <= now_ns; count++)
        warning = index_next_warning(engine, warning);
    for (; count < most && start && start->partition.start_ns <= now_ns; count += 2)
        start = queue_next_start(engine, start->partition.start_ns, start->partition.id);
    for (; count < most && give_up && give_up->waiter->record.give_up_ns <= now_ns; count++)
        give_up =
            queue_next_give_up(engine, give_up->waiter->record.give_up_ns, give_up->partition.id);
    return count < most ? count : most;
}

/* Give an event the guests of its partition, if it has any. False: out of memory. */
static bool copy_guests(struct engine_event *event, const struct entry *entry)
{
    if (!entry->guests)
        return true;
    event->guests = calloc(1, sizeof(*event->guests));
    if (event->guests)
        *event->guests = *entry->guests;
    return event->guests;
}

/* Do what is due, `*most` events at most. */
static int do_due(struct engine *engine, int64_t now_ns, size_t *most)
{
    struct engine_event *spare = NULL;

    if (!find_due(engine, now_ns).entry)
        return 0;
    /* Allocate all events first, so that running out of memory changes nothing. */
    for (size_t count = count_due(engine, now_ns, *most); count > 0; count--) {
        struct engine_event *event = journal_new(EVENT_EXPIRED, 0, 0); /* or less */

        if (!event) {
            engine_events_free(spare);
            return -ENOMEM;
        }
        event->next = spare;
        spare = event;
    }
    struct due due;
    while (spare && (due = find_due(engine, now_ns)).entry) {
        struct engine_event *event = spare;

        spare = event->next;
        event->kind = due.kind;
        event->at_ns = due.at_ns;
        event->by_uid = due.entry->partition.uid;
        if (due.kind == EVENT_STARTED && !copy_guests(event, due.entry)) {
            event->next = spare;
            engine_events_free(event);
            return -ENOMEM;
        }
        if (due.kind == EVENT_WARNED)
            expiry_warn(engine, event, due.entry);
        else if (due.kind == EVENT_MISSED)
            miss(engine, event, due.entry);
        else if (due.kind == EVENT_STARTED)
            expiry_start(engine, event, due.entry);
        else if (due.kind == EVENT_SUSPENDING)
            suspend_lease(engine, event, due.entry);
        else
            expiry_end(engine, event, due.entry);
        (*most)--;
    }
    engine_events_free(spare);
    return 0;
}

int engine_advance(struct engine *engine, int64_t now_ns)
{
    return engine_advance_some(engine, now_ns, SIZE_MAX);
}

int engine_advance_some(struct engine *engine, int64_t now_ns, size_t most)
{
    arrival_tick(engine, now_ns);
    accounts_free_idle(engine);
    int r = do_due(engine, now_ns, &most);

    if (r)
        return r;
    if (engine->over_ns < now_ns)
        engine->over_ns = now_ns;
    for (; !r && most > 0 && !plan_is_finished(engine);
         most -= most < STEP_EVENTS ? most : STEP_EVENTS)
        r = plan_step(engine, now_ns);
    return r ? r : do_due(engine, now_ns, &most); /* what can start now has moved to now */
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
