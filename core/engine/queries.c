/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live partitions, in their orders and added up. Those that are over and not ended yet are still in
 * the indexes; no query shows them.
 */
#include "internal.h"

struct held {
    uint64_t count, bytes;
};

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
        node = node->right;
        if (node) {
            held.count -= avl_entry_const(node, struct entry, by_account)->held_count;
            held.bytes -= avl_entry_const(node, struct entry, by_account)->held_bytes;
        }
    }
    return held;
}

static bool is_over(const struct engine *engine, const struct partition *partition)
{
    return partition->end_ns <= engine->over_ns;
}

/* Partitions to add up. */
struct sum {
    const uint32_t *uid, *account, *device; /* NULL: of all */
    uint64_t from_id;
    struct held held;
};

/* Add up partitions that are over and not ended yet. */
static void sum_over(const struct engine *engine, const struct avl_node *node, struct sum *sum)
{
    while (node) {
        const struct entry *entry = avl_entry_const(node, struct entry, by_end);

        if (!is_over(engine, &entry->partition)) {
            node = node->left;
            continue;
        }
        sum_over(engine, node->left, sum);
        bool counts = entry->partition.id >= sum->from_id &&
                      (!sum->uid || entry->partition.uid == *sum->uid) &&
                      (!sum->account || entry->account == *sum->account);
        for (uint32_t i = 0; counts && i < entry->partition.share_count; i++) {
            const struct share *share = &entry->partition.shares[i];
            bool first = sum->device ? share->device == *sum->device : i == 0;

            sum->held.count += first;
            sum->held.bytes += share->memory_bytes;
        }
        node = node->right;
    }
}

uint64_t engine_count(const struct engine *engine)
{
    struct sum over = {.uid = NULL};

    sum_over(engine, engine->by_end.root, &over);
    return engine->count - over.held.count;
}

uint64_t engine_device_partitions(const struct engine *engine, uint32_t device)
{
    struct sum over = {.device = &device};

    if (device >= engine->device_count)
        return 0;
    sum_over(engine, engine->by_end.root, &over);
    return engine->devices[device].count - over.held.count;
}

void engine_user_holds(const struct engine *engine, uint32_t uid, uint64_t *ret_count,
                       uint64_t *ret_bytes)
{
    uint32_t account = index_account_of(engine, uid);
    struct held before = held_before(engine, account, uid, 0);
    struct held until = held_before(engine, account, (uint64_t)uid + 1, 0);
    struct sum over = {.uid = &uid};

    sum_over(engine, engine->by_end.root, &over);
    *ret_count = until.count - before.count - over.held.count;
    *ret_bytes = until.bytes - before.bytes - over.held.bytes;
}

uint64_t engine_user_holds_from(const struct engine *engine, uint32_t uid, uint64_t id)
{
    uint32_t account = index_account_of(engine, uid);
    struct sum over = {.uid = &uid, .from_id = id};

    sum_over(engine, engine->by_end.root, &over);
    return held_before(engine, account, (uint64_t)uid + 1, 0).count -
           held_before(engine, account, uid, id).count - over.held.count;
}

uint64_t engine_account_holds(const struct engine *engine, uint32_t uid)
{
    uint32_t account = index_account_of(engine, uid);
    struct sum over = {.account = &account};

    sum_over(engine, engine->by_end.root, &over);
    return held_before(engine, (uint64_t)account + 1, 0, 0).count -
           held_before(engine, account, 0, 0).count - over.held.count;
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

const struct partition *engine_next(const struct engine *engine, uint64_t after_id)
{
    struct entry probe = {.partition.id = after_id};
    const struct avl_node *node;

    while ((node = avl_after(&engine->by_id, &probe.by_id)) && is_over(engine, RECORD(node, by_id)))
        probe.partition.id = RECORD(node, by_id)->id;
    return node ? RECORD(node, by_id) : NULL;
}

const struct partition *engine_next_on_device(const struct engine *engine, uint32_t device,
                                              uint64_t after_id)
{
    struct entry entry = {.partition.id = after_id};
    struct place probe = {.entry = &entry};
    const struct avl_node *node;

    if (device >= engine->device_count)
        return NULL;
    const struct avl *partitions = &engine->devices[device].partitions;
    while ((node = avl_after(partitions, &probe.by_device)) &&
           is_over(engine, &PLACE(node)->entry->partition))
        entry.partition.id = PLACE(node)->entry->partition.id;
    return node ? &PLACE(node)->entry->partition : NULL;
}

/* Return the first partition of this user with a higher id or, if it has none, of the next user. */
static const struct partition *next_by_user(const struct engine *engine, uint32_t uid,
                                            uint64_t after_id)
{
    struct entry probe = {.partition = {.uid = uid, .id = after_id}};
    const struct avl_node *node;

    while ((node = avl_after(&engine->by_user, &probe.by_user)) &&
           is_over(engine, RECORD(node, by_user))) {
        probe.partition.uid = RECORD(node, by_user)->uid;
        probe.partition.id = RECORD(node, by_user)->id;
    }
    return node ? RECORD(node, by_user) : NULL;
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
