/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a holder that wait: how many, and when they may have room. A series is one request,
 * however many of its occurrences wait: each holder has those that wait in the order of their
 * series.
 */
#include "internal.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static const struct pending *pending_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct pending, by_series);
}

static int compare_pending(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct pending *a = pending_of(node_a), *b = pending_of(node_b);

    return a->series != b->series ? ORDER(a->series, b->series) : ORDER(a->id, b->id);
}

static const struct avl_kind kind_pending = {.compare = compare_pending};

void accounts_init_pending(struct holder *holder)
{
    holder->series.kind = &kind_pending;
}

bool accounts_has_pending(const struct holder *holder, uint64_t series)
{
    const struct pending before = {.series = series}; /* ids begin at 1 */
    const struct avl_node *node = avl_after(&holder->series, &before.by_series);

    return node && pending_of(node)->series == series;
}

void accounts_add_pending(struct holder *holder, struct pending *node,
                          const struct partition *partition)
{
    node->series = partition->series;
    node->id = partition->id;
    if (node->series == 0 || !accounts_has_pending(holder, node->series))
        holder->quota.pending++;
    if (node->series)
        avl_insert(&holder->series, &node->by_series);
}

void accounts_remove_pending(struct holder *holder, struct pending *node)
{
    if (node->series)
        avl_remove(&holder->series, &node->by_series);
    if (node->series == 0 || !accounts_has_pending(holder, node->series))
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
    mark(engine, index_group_charge(entry));
}
