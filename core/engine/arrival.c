/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations whose users are awaited; see arrival.h. */
#include "internal.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static struct entry *entry_of(struct avl_node *node)
{
    return node ? avl_entry(node, struct extra, by_arrival)->entry : NULL;
}

static int compare_arrival(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct extra *a = avl_entry_const(node_a, struct extra, by_arrival);
    const struct extra *b = avl_entry_const(node_b, struct extra, by_arrival);

    return a->arrival_ns != b->arrival_ns ? ORDER(a->arrival_ns, b->arrival_ns)
                                          : ORDER(a->entry->partition.id, b->entry->partition.id);
}

static const struct avl_kind kind_arrival = {.compare = compare_arrival};

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
        avl_insert(order_of(engine, entry), &entry->extra->by_arrival);
}

void arrival_take(struct engine *engine, struct entry *entry)
{
    if (entry->partition.arrival)
        avl_remove(order_of(engine, entry), &entry->extra->by_arrival);
}

void arrival_note(const struct engine *engine, struct entry *entry,
                  const struct partition *partition)
{
    if (entry->partition.arrival != partition->arrival)
        entry->extra->arrival_ns = engine->arrivals.now_ns;
}

bool arrival_is_awaited(const struct engine *engine, const struct entry *entry)
{
    return engine->policy.no_show_ns > 0 && entry->extra && entry->waiter &&
           entry->waiter->record.fixed;
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

    return entry_of(avl_after(missed ? &all->missed : &all->awaited, &entry->extra->by_arrival));
}

int64_t arrival_due_ns(const struct engine *engine, const struct entry *entry)
{
    int64_t no_show_ns = engine->policy.no_show_ns, warned_ns = no_show_ns / 2;
    int64_t from_ns = entry->extra->arrival_ns;

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
