/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a holder that wait: how many, and when they may have room. A series is one request,
 * however many of its occurrences wait: each holder has those that wait in the order of their
 * series.
 */
#include "internal.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static const struct charge *charge_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct charge, by_series);
}

static int compare_charges(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct charge *a = charge_of(node_a), *b = charge_of(node_b);

    return a->series != b->series ? ORDER(a->series, b->series)
                                  : ORDER(a->quota.span.start.owner, b->quota.span.start.owner);
}

static const struct avl_kind kind_charge = {.compare = compare_charges};

void accounts_init_pending(struct holder *holder)
{
    holder->series.kind = &kind_charge;
}

bool accounts_has_pending(const struct holder *holder, uint64_t series)
{
    const struct charge before = {.series = series}; /* ids begin at 1 */
    const struct avl_node *node = avl_after(&holder->series, &before.by_series);

    return node && charge_of(node)->series == series;
}

void accounts_add_pending(struct charge *charge, uint64_t series)
{
    struct holder *holder = charge->holder;

    charge->series = series;
    if (series == 0 || !accounts_has_pending(holder, series))
        holder->quota.pending++;
    if (series)
        avl_insert(&holder->series, &charge->by_series);
}

void accounts_remove_pending(struct charge *charge)
{
    struct holder *holder = charge->holder;

    if (charge->series)
        avl_remove(&holder->series, &charge->by_series);
    if (charge->series == 0 || !accounts_has_pending(holder, charge->series))
        holder->quota.pending--;
}

static void mark(struct engine *engine, const struct charge *charge)
{
    const struct holder *holder = charge ? charge->holder : NULL;

    if (!holder || holder->quota.pending == 0 || !accounts_is_limited(holder))
        return;
    for (uint32_t i = 0; i < engine->device_count; i++)
        queue_mark(engine, i, INT64_MIN);
}

void accounts_freed(struct engine *engine, const struct entry *entry)
{
    mark(engine, &entry->charge);
    mark(engine, entry->group_charge);
}
