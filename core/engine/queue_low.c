/* SPDX-License-Identifier: Apache-2.0 */
/* Active leases of the class low, which can be preempted: on each device, in order of their start.
 */
#include "internal.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

struct entry *queue_entry_of_low(const struct avl_node *node)
{
    return avl_entry_const(node, struct queue_node, node)->entry;
}

/* Those that began last first. */
static int compare_low(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = &queue_entry_of_low(a)->partition,
                           *y = &queue_entry_of_low(b)->partition;

    return x->start_ns != y->start_ns ? ORDER(y->start_ns, x->start_ns) : ORDER(y->id, x->id);
}

static const struct avl_kind kind_low = {.compare = compare_low};

void queue_init_low(struct avl *low)
{
    low->kind = &kind_low;
}

bool queue_is_low(const struct entry *entry)
{
    const uint32_t state = entry->partition.state;

    return state != PARTITION_PENDING && state != PARTITION_SUSPENDED && entry->waiter &&
           waiting_is_set(&entry->waiter->record) && entry->waiter->record.priority == PRIORITY_LOW;
}

void queue_add_low(struct engine *engine, struct entry *entry)
{
    for (uint32_t i = 0; i < entry->partition.share_count; i++) {
        entry->waiter->places[i].on_device.entry = entry;
        avl_insert(&engine->devices[entry->partition.shares[i].device].low,
                   &entry->waiter->places[i].on_device.node);
    }
}

void queue_remove_low(struct engine *engine, struct entry *entry)
{
    for (uint32_t i = 0; i < entry->partition.share_count; i++)
        avl_remove(&engine->devices[entry->partition.shares[i].device].low,
                   &entry->waiter->places[i].on_device.node);
}
