/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of live partitions: all orders in which they are looked up, and each device's timeline.
 * It decides nothing. Adding and changing allocate nothing, so no change can fail halfway.
 */
#include "internal.h"

#include <stdlib.h>

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_id(const struct avl_node *a, const struct avl_node *b)
{
    return ORDER(RECORD(a, by_id)->id, RECORD(b, by_id)->id);
}

static int compare_device(const struct avl_node *a, const struct avl_node *b)
{
    return ORDER(PLACE(a)->entry->partition.id, PLACE(b)->entry->partition.id);
}

static int compare_user(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = RECORD(a, by_user), *y = RECORD(b, by_user);

    return x->uid != y->uid ? ORDER(x->uid, y->uid) : ORDER(x->id, y->id);
}

static int compare_account(const struct avl_node *a, const struct avl_node *b)
{
    uint32_t x = avl_entry_const(a, struct entry, by_account)->account;
    uint32_t y = avl_entry_const(b, struct entry, by_account)->account;
    const struct partition *p = RECORD(a, by_account), *q = RECORD(b, by_account);

    if (x != y)
        return ORDER(x, y);
    return p->uid != q->uid ? ORDER(p->uid, q->uid) : ORDER(p->id, q->id);
}

static int compare_hold(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = RECORD(a, by_hold), *y = RECORD(b, by_hold);

    return x->hold != y->hold ? ORDER(x->hold, y->hold) : ORDER(x->id, y->id);
}

static int compare_end(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = RECORD(a, by_end), *y = RECORD(b, by_end);

    return x->end_ns != y->end_ns ? ORDER(x->end_ns, y->end_ns) : ORDER(x->id, y->id);
}

static int compare_warning(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = RECORD(a, by_warning), *y = RECORD(b, by_warning);
    int64_t x_ns = ending_warning_ns(x), y_ns = ending_warning_ns(y);

    return x_ns != y_ns ? ORDER(x_ns, y_ns) : ORDER(x->id, y->id);
}

static uint32_t summary_of(const struct avl_node *node)
{
    return node ? node->summary : 0;
}

/* Store the latest end in the subtree. */
static void update_latest(struct avl_node *node, const struct entry *entry)
{
    uint32_t left = summary_of(node->left), right = summary_of(node->right);
    uint32_t own = index_rounded(entry->partition.end_ns);

    node->summary = left > right ? left : right;
    if (own > node->summary)
        node->summary = own;
}

static void update_id(struct avl_node *node)
{
    update_latest(node, avl_entry_const(node, struct entry, by_id));
}

static void update_user(struct avl_node *node)
{
    update_latest(node, avl_entry_const(node, struct entry, by_user));
}

static void update_device(struct avl_node *node)
{
    update_latest(node, PLACE(node)->entry);
}

/* Count the subtree. */
static void update_end(struct avl_node *node)
{
    node->summary = 1 + summary_of(node->left) + summary_of(node->right);
}

/* Add up the subtree. */
static void update_account(struct avl_node *node)
{
    struct entry *entry = avl_entry(node, struct entry, by_account);

    update_latest(node, entry);
    entry->held_count = 1;
    entry->held_guests = entry->guests ? entry->guests->count : 0;
    entry->held_bytes = 0;
    for (uint32_t i = 0; partition_holds(&entry->partition) && i < entry->partition.share_count;
         i++)
        entry->held_bytes += entry->partition.shares[i].memory_bytes;
    for (int side = 0; side < 2; side++) {
        const struct avl_node *child = side ? node->right : node->left;

        if (!child)
            continue;
        entry->held_count += avl_entry_const(child, struct entry, by_account)->held_count;
        entry->held_guests += avl_entry_const(child, struct entry, by_account)->held_guests;
        entry->held_bytes += avl_entry_const(child, struct entry, by_account)->held_bytes;
    }
}

static const struct avl_kind kind_id = {compare_id, update_id};
static const struct avl_kind kind_device = {compare_device, update_device};
static const struct avl_kind kind_user = {compare_user, update_user};
static const struct avl_kind kind_account = {compare_account, update_account};
static const struct avl_kind kind_hold = {compare_hold, NULL};
static const struct avl_kind kind_end = {compare_end, update_end};
static const struct avl_kind kind_warning = {compare_warning, NULL};

void index_init(struct engine *engine)
{
    engine->by_id.kind = &kind_id;
    engine->by_user.kind = &kind_user;
    engine->by_account.kind = &kind_account;
    engine->by_hold.kind = &kind_hold;
    engine->by_end.kind = &kind_end;
    engine->by_warning.kind = &kind_warning;
    engine->next_end_ns = engine->next_warning_ns = ENGINE_FOREVER;
    engine->over_ns = INT64_MIN;
    queue_init(&engine->queue);
    accounts_init(engine);
    arrival_init(engine);
}

void index_init_device(struct device *device)
{
    device->partitions = (struct avl){.kind = &kind_device};
    timeline_init(&device->timeline);
    for (uint32_t i = 0; i < BESIDES; i++)
        timeline_init(&device->beside[i]);
    queue_init_device(&device->waiting);
    queue_init_low(&device->low);
    device->freed_ns = ENGINE_FOREVER;
}

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
    free(entry->group_charge);
    free(entry->beside);
    free(entry);
}

struct entry *index_new_entry(const struct engine *engine, const struct partition *partition,
                              const struct waiting *waiting)
{
    uint32_t share_count = partition->share_count;
    struct entry *entry = calloc(1, sizeof(struct entry) + share_count * sizeof(struct place));

    if (!entry)
        return NULL;
    entry->arrival_ns = partition->start_ns;
    entry->waiter = waiting ? queue_new_waiter(share_count) : NULL;
    entry->group_charge = partition->quota_group ? calloc(1, sizeof(struct charge)) : NULL;
    if (engine->counts_beside)
        entry->beside = calloc(share_count, sizeof(*entry->beside));
    if ((waiting && !entry->waiter) || (partition->quota_group && !entry->group_charge) ||
        (engine->counts_beside && !entry->beside)) {
        index_free_entry(entry);
        return NULL;
    }
    if (!waiting)
        return entry;
    entry->waiter->record = *waiting;
    for (uint32_t i = 0; i < share_count; i++) {
        entry->places[i].start.runs = &entry->waiter->places[i].runs[0];
        entry->places[i].end.runs = &entry->waiter->places[i].runs[1];
    }
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
        avl_insert(&engine->by_hold, &entry->by_hold);
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];
        struct device *device = &engine->devices[share->device];
        struct place *place = &entry->places[i];

        place->entry = entry;
        avl_insert(&device->partitions, &place->by_device);
        device->count++;
        if (!partition_holds(partition))
            continue;
        timeline_add(&device->timeline, &place->start, &place->end, partition->id,
                     partition->start_ns, partition->end_ns, (int64_t)share->memory_bytes);
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
        avl_remove(&engine->by_hold, &entry->by_hold);
    for (uint32_t i = 0; i < partition->share_count; i++) {
        struct device *device = &engine->devices[partition->shares[i].device];
        struct place *place = &entry->places[i];

        avl_remove(&device->partitions, &place->by_device);
        device->count--;
        if (!partition_holds(partition))
            continue;
        timeline_remove(&device->timeline, &place->start, &place->end);
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
    struct entry probe = {.partition = {.hold = hold, .id = after_id}};
    struct avl_node *node = avl_after(&engine->by_hold, &probe.by_hold);

    if (!node || RECORD(node, by_hold)->hold != hold)
        return NULL;
    return avl_entry(node, struct entry, by_hold);
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
        count += node->summary - summary_of(node->right);
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
