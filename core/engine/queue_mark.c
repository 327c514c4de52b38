/* SPDX-License-Identifier: Apache-2.0 */
/* What the plan has to look at again: devices with freed memory, and the order of requests. */
#include "internal.h"

void queue_mark(struct engine *engine, uint32_t device, int64_t from_ns)
{
    int64_t *freed_ns = &engine->devices[device].freed_ns;

    if (engine->queue.count == 0)
        return;
    engine->queue.freed_count += *freed_ns == ENGINE_FOREVER;
    if (from_ns < *freed_ns)
        *freed_ns = from_ns < QUEUE_FILL ? from_ns : QUEUE_FILL;
}

void queue_mark_shares(struct engine *engine, const struct partition *partition, int64_t from_ns)
{
    for (uint32_t i = 0; i < partition->share_count; i++)
        queue_mark(engine, partition->shares[i].device, from_ns);
}

void queue_mark_order(struct engine *engine)
{
    engine->queue.reorder.due = true;
    engine->queue.pass.listed = false;
}

void queue_mark_itself(struct engine *engine, const struct entry *entry)
{
    queue_mark_shares(engine, &entry->partition, entry->partition.start_ns - 1);
    for (uint32_t i = 0; entry->waiter->record.anywhere && i < engine->device_count; i++)
        queue_mark(engine, i, QUEUE_FILL);
}

void engine_replan(struct engine *engine)
{
    queue_mark_order(engine);
    for (struct entry *entry = queue_next_start(engine, INT64_MIN, 0); entry;
         entry = queue_next_start(engine, entry->partition.start_ns, entry->partition.id))
        queue_mark_shares(engine, &entry->partition, INT64_MIN);
}

void engine_set_rules(struct engine *engine, const struct engine_rules *rules)
{
    struct queue *queue = &engine->queue;
    bool resort = !queue->rules.order != !rules->order;

    queue->rules = *rules;
    queue->pass.sorted = false;
    for (struct entry *entry = queue_next_start(engine, INT64_MIN, 0); resort && entry;
         entry = queue_next_start(engine, entry->partition.start_ns, entry->partition.id)) {
        queue_remove(engine, entry); /* accounts count from now on, or no longer */
        queue_add(engine, entry);
    }
    engine_replan(engine);
}
