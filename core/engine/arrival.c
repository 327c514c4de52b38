/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations whose users are awaited; see arrival.h. */
#include "internal.h"

#include <errno.h>

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static struct entry *entry_of(struct avl_node *node)
{
    return node ? avl_entry(node, struct entry, by_arrival) : NULL;
}

static int compare_arrival(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct entry *a = avl_entry_const(node_a, struct entry, by_arrival);
    const struct entry *b = avl_entry_const(node_b, struct entry, by_arrival);

    return a->arrival_ns != b->arrival_ns ? ORDER(a->arrival_ns, b->arrival_ns)
                                          : ORDER(a->partition.id, b->partition.id);
}

static const struct avl_kind kind_arrival = {compare_arrival, NULL};

void arrival_init(struct engine *engine)
{
    engine->arrivals = (struct arrivals){.awaited = {.kind = &kind_arrival},
                                         .missed = {.kind = &kind_arrival},
                                         .since_ns = INT64_MIN,
                                         .now_ns = INT64_MIN};
}

void arrival_tick(struct engine *engine, int64_t now_ns)
{
    if (engine->arrivals.since_ns == INT64_MIN)
        engine->arrivals.since_ns = now_ns;
    engine->arrivals.now_ns = now_ns;
}

static struct avl *order_of(struct engine *engine, const struct entry *entry)
{
    return entry->partition.arrival == ARRIVAL_MISSED ? &engine->arrivals.missed
                                                      : &engine->arrivals.awaited;
}

void arrival_put(struct engine *engine, struct entry *entry)
{
    if (entry->partition.arrival)
        avl_insert(order_of(engine, entry), &entry->by_arrival);
}

void arrival_take(struct engine *engine, struct entry *entry)
{
    if (entry->partition.arrival)
        avl_remove(order_of(engine, entry), &entry->by_arrival);
}

void arrival_note(const struct engine *engine, struct entry *entry,
                  const struct partition *partition)
{
    if (entry->partition.arrival != partition->arrival)
        entry->arrival_ns = engine->arrivals.now_ns;
}

bool arrival_is_awaited(const struct engine *engine, const struct entry *entry)
{
    return engine->policy.no_show_ns > 0 && entry->waiter && entry->waiter->record.fixed;
}

struct entry *arrival_first(const struct engine *engine, bool missed)
{
    const struct arrivals *all = &engine->arrivals;

    return engine->policy.no_show_ns > 0
               ? entry_of(avl_first(missed ? &all->missed : &all->awaited))
               : NULL;
}

struct entry *arrival_next(const struct engine *engine, const struct entry *entry)
{
    const struct arrivals *all = &engine->arrivals;
    bool missed = entry->partition.arrival == ARRIVAL_MISSED;

    return entry_of(avl_after(missed ? &all->missed : &all->awaited, &entry->by_arrival));
}

int64_t arrival_due_ns(const struct engine *engine, const struct entry *entry)
{
    int64_t no_show_ns = engine->policy.no_show_ns, warned_ns = no_show_ns / 2;
    int64_t from_ns = entry->arrival_ns;

    if (from_ns < engine->arrivals.since_ns)
        from_ns = engine->arrivals.since_ns;
    return timeline_later(
        from_ns, entry->partition.arrival == ARRIVAL_MISSED ? no_show_ns - warned_ns : warned_ns);
}

int64_t arrival_next_ns(const struct engine *engine)
{
    const struct entry *awaited = arrival_first(engine, false);
    const struct entry *missed = arrival_first(engine, true);
    int64_t next_ns = awaited ? arrival_due_ns(engine, awaited) : ENGINE_FOREVER;
    int64_t end_ns = missed ? arrival_due_ns(engine, missed) : ENGINE_FOREVER;

    return next_ns < end_ns ? next_ns : end_ns;
}

int64_t engine_no_show_ns(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);
    int64_t no_show_ns = engine->policy.no_show_ns;

    if (!entry || !entry->partition.arrival || no_show_ns == 0)
        return ENGINE_FOREVER;
    int64_t due_ns = arrival_due_ns(engine, entry);
    return entry->partition.arrival == ARRIVAL_MISSED
               ? due_ns
               : timeline_later(due_ns, no_show_ns - no_show_ns / 2);
}

int engine_arrive(struct engine *engine, int64_t now_ns, uint64_t id)
{
    struct entry *entry = index_find(engine, id);

    if (!entry || !entry->partition.arrival || entry->partition.end_ns <= now_ns)
        return 0;
    struct engine_event *event = journal_new(EVENT_USED, now_ns, entry->partition.uid);
    if (!event)
        return -ENOMEM;
    journal_of(event, entry);
    event->after.arrival = ARRIVAL_NONE;
    ending_settle(&event->after, now_ns);
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
    return 0;
}
