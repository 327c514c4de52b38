/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of live partitions: all orders in which they are looked up, and each device's timeline.
 * It decides nothing. Adding and changing allocate nothing, so no change can fail halfway.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/* Update the earliest end and warning. */
static void update_next(struct engine *engine)
{
    const struct avl_node *end = avl_first(&engine->by_end);
    const struct avl_node *warning = avl_first(&engine->by_warning);

    engine->next_end_ns = end ? RECORD(end, by_end)->end_ns : ENGINE_FOREVER;
    engine->next_warning_ns =
        warning ? ending_warning_ns(RECORD(warning, by_warning)) : ENGINE_FOREVER;
}

void index_free_entry(struct entry *entry)
{
    if (!entry)
        return;
    free(entry->guests);
    free(entry->waiter);
    free(entry->extra);
    free(entry->beside);
    if (entry->pooled)
        pool_give(entry);
    else
        free(entry);
}

_Static_assert(_Alignof(struct entry) <= _Alignof(void *), "a pool aligns no further");

/* Make room for what few partitions have, if this one has or can have some of it. */
static int add_extra(struct entry *entry, const struct partition *partition,
                     const struct waiting *waiting)
{
    bool reserved = partition->arrival || (waiting && waiting->fixed);

    if (!partition->hold && !partition->quota_group && !reserved)
        return 0;
    entry->extra = calloc(1, sizeof(*entry->extra));
    if (!entry->extra)
        return -ENOMEM;
    entry->extra->entry = entry;
    entry->extra->arrival_ns = partition->start_ns;
    return 0;
}

struct entry *index_new_entry(struct engine *engine, const struct partition *partition,
                              const struct waiting *waiting)
{
    uint32_t share_count = partition->share_count;
    bool pooled = share_count == 1;
    struct entry *entry = pooled ? pool_take(&engine->entries)
                                 : calloc(1, sizeof(*entry) + share_count * sizeof(struct place));

    if (!entry)
        return NULL;
    entry->pooled = pooled;
    entry->waiter = waiting ? queue_new_waiter(share_count) : NULL;
    if (engine->counts_beside)
        entry->beside = calloc(share_count, sizeof(*entry->beside));
    if (add_extra(entry, partition, waiting) || (waiting && !entry->waiter) ||
        (engine->counts_beside && !entry->beside)) {
        index_free_entry(entry);
        return NULL;
    }
    if (!waiting)
        return entry;
    entry->waiter->record = *waiting;
    for (uint32_t i = 0; i < share_count; i++)
        entry->places[i].promise.runs = entry->waiter->places[i].runs;
    return entry;
}

static void put_in(struct engine *engine, struct entry *entry)
{
    const struct partition *partition = &entry->partition;

    entry->account = accounts_of(engine, partition->uid);
    avl_insert(&engine->by_id, &entry->by_id);
    avl_insert(&engine->by_user, &entry->by_user);
    avl_insert(&engine->by_account, &entry->by_account);
    avl_insert(&engine->by_end, &entry->by_end);
    if (ending_warning_is_due(partition))
        avl_insert(&engine->by_warning, &entry->by_warning);
    arrival_put(engine, entry);
    if (partition->hold)
        avl_insert(&engine->by_hold, &entry->extra->by_hold);
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];
        struct device *device = &engine->devices[share->device];
        struct place *place = &entry->places[i];

        place->entry = entry;
        avl_insert(&device->partitions, &place->by_device);
        device->count++;
        if (!partition_holds(partition))
            continue;
        timeline_add(&device->timeline, &place->promise, partition->id, partition->start_ns,
                     partition->end_ns, (int64_t)share->memory_bytes);
        device->total_bytes += share->memory_bytes;
    }
    compute_put_in(engine, entry, partition);
    if (partition->state == PARTITION_PENDING)
        queue_add(engine, entry);
    else if (queue_is_low(entry))
        queue_add_low(engine, entry);
    engine->count++;
    update_next(engine);
}

static void take_out(struct engine *engine, struct entry *entry)
{
    const struct partition *partition = &entry->partition;

    if (partition->state == PARTITION_PENDING)
        queue_remove(engine, entry);
    else if (queue_is_low(entry))
        queue_remove_low(engine, entry);
    avl_remove(&engine->by_id, &entry->by_id);
    avl_remove(&engine->by_user, &entry->by_user);
    avl_remove(&engine->by_account, &entry->by_account);
    avl_remove(&engine->by_end, &entry->by_end);
    if (ending_warning_is_due(partition))
        avl_remove(&engine->by_warning, &entry->by_warning);
    arrival_take(engine, entry);
    if (partition->hold)
        avl_remove(&engine->by_hold, &entry->extra->by_hold);
    for (uint32_t i = 0; i < partition->share_count; i++) {
        struct device *device = &engine->devices[partition->shares[i].device];
        struct place *place = &entry->places[i];

        avl_remove(&device->partitions, &place->by_device);
        device->count--;
        if (!partition_holds(partition))
            continue;
        timeline_remove(&device->timeline, &place->promise);
        device->total_bytes -= partition->shares[i].memory_bytes;
    }
    compute_take_out(engine, entry, partition);
    engine->count--;
    update_next(engine);
}

void index_add(struct engine *engine, struct entry *entry)
{
    put_in(engine, entry);
    accounts_add(engine, entry);
}

void index_remove(struct engine *engine, struct entry *entry)
{
    accounts_remove(engine, entry);
    take_out(engine, entry);
}

void index_change(struct engine *engine, struct entry *entry, const struct partition *partition)
{
    bool alike = accounts_alike(&entry->partition, partition);

    if (accounts_frees(&entry->partition, partition))
        accounts_freed(engine, entry);
    if (!alike)
        accounts_remove(engine, entry);
    take_out(engine, entry);
    arrival_note(engine, entry, partition);
    entry->partition = *partition;
    put_in(engine, entry);
    if (!alike)
        accounts_add(engine, entry);
}

void index_move(struct engine *engine, struct entry *entry, const struct partition *partition,
                const struct waiting *waiting)
{
    if (accounts_frees(&entry->partition, partition))
        accounts_freed(engine, entry);
    index_remove(engine, entry);
    arrival_note(engine, entry, partition);
    entry->partition = *partition;
    entry->waiter->record = *waiting;
    index_add(engine, entry);
}

struct entry *index_find(const struct engine *engine, uint64_t id)
{
    struct entry probe = {.partition.id = id};
    struct avl_node *node = avl_find(&engine->by_id, &probe.by_id);

    return node ? avl_entry(node, struct entry, by_id) : NULL;
}

struct entry *index_next_held(const struct engine *engine, uint64_t hold, uint64_t after_id)
{
    struct entry entry = {.partition = {.hold = hold, .id = after_id}};
    struct extra probe = {.entry = &entry};
    struct avl_node *node = avl_after(&engine->by_hold, &probe.by_hold);
    struct entry *next = node ? avl_entry(node, struct extra, by_hold)->entry : NULL;

    return next && next->partition.hold == hold ? next : NULL;
}

struct entry *index_next_end(const struct engine *engine, int64_t end_ns, uint64_t after_id)
{
    struct entry probe = {.partition = {.end_ns = end_ns, .id = after_id}};
    struct avl_node *node = avl_after(&engine->by_end, &probe.by_end);

    return node ? avl_entry(node, struct entry, by_end) : NULL;
}

uint32_t index_count_ends(const struct engine *engine, int64_t end_ns)
{
    const struct avl_node *node = engine->by_end.root;
    uint32_t count = 0;

    while (node) {
        if (RECORD(node, by_end)->end_ns > end_ns) {
            node = node->left;
            continue;
        }
        count += node->summary - (node->right ? node->right->summary : 0);
        node = node->right;
    }
    return count;
}

struct entry *index_first_warning(const struct engine *engine)
{
    struct avl_node *node = avl_first(&engine->by_warning);

    return node ? avl_entry(node, struct entry, by_warning) : NULL;
}

struct entry *index_next_warning(const struct engine *engine, const struct entry *entry)
{
    struct avl_node *node = avl_after(&engine->by_warning, &entry->by_warning);

    return node ? avl_entry(node, struct entry, by_warning) : NULL;
}

void engine_set_accounts(struct engine *engine, engine_account_fn *account, void *context)
{
    engine->account = account;
    engine->account_context = context;
    for (struct avl_node *node = avl_first(&engine->by_id); node;
         node = avl_after(&engine->by_id, node)) {
        struct entry *entry = avl_entry(node, struct entry, by_id);
        uint32_t now = accounts_of(engine, entry->partition.uid);

        if (now == entry->account)
            continue;
        accounts_get(engine, false, now); /* out of memory: it is not charged */
        index_remove(engine, entry);
        index_add(engine, entry); /* asks again */
    }
    accounts_refresh(engine);
}
