/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live partitions, in their orders and added up. Those that are over and not ended yet are still in
 * the indexes; no query shows them.
 */
#include "internal.h"

/* Return whether an entry is before (account, uid, id) in the order of accounts. */
static bool is_before(const struct entry *entry, uint64_t account, uint64_t uid, uint64_t id)
{
    if (entry->account != account)
        return entry->account < account;
    if (entry->partition.uid != uid)
        return entry->partition.uid < uid;
    return entry->partition.id < id;
}

/* Sum up what is held before (account, uid, id) in the order of accounts. */
static struct held held_before(const struct engine *engine, uint64_t account, uint64_t uid,
                               uint64_t id)
{
    const struct avl_node *node = engine->by_account.root;
    struct held held = {0};

    while (node) {
        const struct entry *entry = avl_entry_const(node, struct entry, by_account);

        if (!is_before(entry, account, uid, id)) {
            node = node->left;
            continue;
        }
        /* This node and everything to its left: the subtree minus its right side. */
        held.count += entry->held_count;
        held.bytes += entry->held_bytes;
        held.guests += entry->held_guests;
        node = node->right;
        if (node) {
            held.count -= avl_entry_const(node, struct entry, by_account)->held_count;
            held.bytes -= avl_entry_const(node, struct entry, by_account)->held_bytes;
            held.guests -= avl_entry_const(node, struct entry, by_account)->held_guests;
        }
    }
    return held;
}

static bool is_over(const struct engine *engine, const struct partition *partition)
{
    return partition->end_ns <= engine->over_ns && !suspend_is_due(engine, partition);
}

/* Return whether all partitions of a subtree are surely over. */
static bool all_over(const struct engine *engine, const struct avl_node *node)
{
    return node->summary < index_rounded(engine->over_ns);
}

/* A part of the order of accounts: from (account, uid, id) until before (account, uid, id). */
struct range {
    uint64_t account, uid, id, until_account, until_uid;
};

/* Add up what is not over. */
static void add_live(const struct engine *engine, const struct avl_node *node,
                     const struct range *range, struct held *held)
{
    while (node && !all_over(engine, node)) {
        const struct entry *entry = avl_entry_const(node, struct entry, by_account);

        if (is_before(entry, range->account, range->uid, range->id)) {
            node = node->right;
            continue;
        }
        if (!is_before(entry, range->until_account, range->until_uid, 0)) {
            node = node->left;
            continue;
        }
        add_live(engine, node->left, range, held);
        if (!is_over(engine, &entry->partition)) {
            held->count++;
            held->guests += entry->guests ? entry->guests->count : 0;
            held->bytes += partition_held_bytes(&entry->partition);
        }
        node = node->right;
    }
}

/* Sum up a range: from the sums of subtrees if nothing is over. */
static struct held held_within(const struct engine *engine, const struct range *range)
{
    struct held held = {0};

    if (engine->next_end_ns <= engine->over_ns) {
        add_live(engine, engine->by_account.root, range, &held);
        return held;
    }
    struct held before = held_before(engine, range->account, range->uid, range->id);
    struct held until = held_before(engine, range->until_account, range->until_uid, 0);

    return (struct held){until.count - before.count, until.bytes - before.bytes,
                         until.guests - before.guests};
}

static struct held held_by_user(const struct engine *engine, uint32_t uid, uint64_t from_id)
{
    uint32_t account = accounts_of(engine, uid);

    return held_within(engine, &(struct range){account, uid, from_id, account, (uint64_t)uid + 1});
}

uint64_t engine_count(const struct engine *engine)
{
    return engine->count - index_count_ends(engine, engine->over_ns);
}

uint64_t engine_device_partitions(const struct engine *engine, uint32_t device)
{
    if (device >= engine->device_count)
        return 0;
    return engine->devices[device].count -
           timeline_ends_until(&engine->devices[device].timeline, engine->over_ns);
}

void engine_user_holds(const struct engine *engine, uint32_t uid, uint64_t *ret_count,
                       uint64_t *ret_bytes)
{
    struct held held = held_by_user(engine, uid, 0);

    *ret_count = held.count;
    *ret_bytes = held.bytes;
}

uint64_t engine_user_holds_from(const struct engine *engine, uint32_t uid, uint64_t id)
{
    return held_by_user(engine, uid, id).count;
}

struct held queries_account(const struct engine *engine, uint32_t uid)
{
    uint32_t account = accounts_of(engine, uid);

    return held_within(engine, &(struct range){account, 0, 0, (uint64_t)account + 1, 0});
}

uint64_t engine_account_holds(const struct engine *engine, uint32_t uid)
{
    return queries_account(engine, uid).count;
}

const struct waiting *engine_waiting(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);
    bool waits = entry && entry->partition.state == PARTITION_PENDING;

    return waits && !is_over(engine, &entry->partition) ? &entry->waiter->record : NULL;
}

uint64_t engine_waiting_count(const struct engine *engine)
{
    return engine->queue.count;
}

const struct partition *engine_next_waiting(const struct engine *engine, int64_t start_ns,
                                            uint64_t after_id)
{
    const struct entry *entry = queue_next_start(engine, start_ns, after_id);

    return entry ? &entry->partition : NULL;
}

const struct partition *engine_next_waiting_on(const struct engine *engine, uint32_t device,
                                               int64_t start_ns, uint64_t after_id)
{
    struct timeline_promise probe = {.start = {.at_ns = start_ns, .delta_bytes = 1},
                                     .owner = after_id};
    const struct avl *points = &engine->devices[device].timeline.points;
    const struct avl_node *node;

    /* Pass by the starts of what has started. */
    if (probe.start.at_ns < engine->queue.next_start_ns - 1)
        probe.start.at_ns = engine->queue.next_start_ns - 1;
    for (node = avl_after(points, &probe.start.node); node; node = avl_after(points, node)) {
        const struct timeline_point *point = timeline_point_of(node);

        if (point->delta_bytes <= 0) /* an end */
            continue;
        const struct partition *partition =
            &avl_entry_const(point, struct place, promise.start)->entry->partition;

        if (partition->state == PARTITION_PENDING && !is_over(engine, partition))
            return partition;
    }
    return NULL;
}

static const struct waiter *waiter_of(const struct avl_node *by_start)
{
    return by_start ? avl_entry_const(by_start, struct waiter, by_start) : NULL;
}

int64_t engine_oldest_waiting(const struct engine *engine)
{
    const struct waiter *root = waiter_of(engine->queue.by_start.root);

    return root ? root->oldest_ns : ENGINE_FOREVER;
}

int64_t engine_last_start(const struct engine *engine)
{
    const struct avl_node *node = engine->queue.by_start.root;

    while (node && node->right)
        node = node->right;
    return node ? waiter_of(node)->common.entry->partition.start_ns : INT64_MIN;
}

uint64_t engine_ends_at(const struct engine *engine, uint32_t device, int64_t at_ns)
{
    return timeline_ends_at(&engine->devices[device].timeline, at_ns);
}

bool engine_plan_is_finished(const struct engine *engine)
{
    return plan_is_finished(engine);
}

bool engine_is_known(const struct engine *engine, uint64_t id)
{
    return index_find(engine, id);
}

const struct partition *engine_find(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);

    return entry && !is_over(engine, &entry->partition) ? &entry->partition : NULL;
}

/* The partition of a node in the order that is walked. */
typedef const struct partition *partition_of_fn(const struct avl_node *node);

static const struct partition *of_id(const struct avl_node *node)
{
    return RECORD(node, by_id);
}

static const struct partition *of_user(const struct avl_node *node)
{
    return RECORD(node, by_user);
}

static const struct partition *of_device(const struct avl_node *node)
{
    return &PLACE(node)->entry->partition;
}

/* Return the first partition of a subtree after `probe` (NULL: of all) that is not over. */
static const struct partition *next_live(const struct engine *engine, const struct avl *avl,
                                         const struct avl_node *node, const struct avl_node *probe,
                                         partition_of_fn *partition_of)
{
    while (node && !all_over(engine, node)) {
        if (!probe || avl->kind->compare(probe, node) < 0) {
            const struct partition *first = next_live(engine, avl, node->left, probe, partition_of);

            if (first)
                return first;
            if (!is_over(engine, partition_of(node)))
                return partition_of(node);
            probe = NULL;
        }
        node = node->right;
    }
    return NULL;
}

const struct partition *engine_next(const struct engine *engine, uint64_t after_id)
{
    struct entry probe = {.partition.id = after_id};

    return next_live(engine, &engine->by_id, engine->by_id.root, &probe.by_id, of_id);
}

const struct partition *engine_next_on_device(const struct engine *engine, uint32_t device,
                                              uint64_t after_id)
{
    struct entry entry = {.partition.id = after_id};
    struct place probe = {.entry = &entry};

    if (device >= engine->device_count)
        return NULL;
    const struct avl *partitions = &engine->devices[device].partitions;
    return next_live(engine, partitions, partitions->root, &probe.by_device, of_device);
}

/* Return the first partition of this user with a higher id or, if it has none, of the next user. */
static const struct partition *next_by_user(const struct engine *engine, uint32_t uid,
                                            uint64_t after_id)
{
    struct entry probe = {.partition = {.uid = uid, .id = after_id}};

    return next_live(engine, &engine->by_user, engine->by_user.root, &probe.by_user, of_user);
}

const struct partition *engine_next_of_user(const struct engine *engine, uint32_t uid,
                                            uint64_t after_id)
{
    const struct partition *next = next_by_user(engine, uid, after_id);

    return next && next->uid == uid ? next : NULL;
}

bool engine_next_user(const struct engine *engine, uint64_t from_uid, uint32_t *ret_uid)
{
    const struct partition *next =
        from_uid > UINT32_MAX ? NULL : next_by_user(engine, (uint32_t)from_uid, 0);

    if (!next)
        return false;
    *ret_uid = next->uid; /* ids start at 1 */
    return true;
}
