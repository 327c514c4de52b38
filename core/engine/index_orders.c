/* SPDX-License-Identifier: Apache-2.0 */
/* The orders in which live partitions are looked up, and what each keeps about its subtrees. */
#include "internal.h"

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

static const struct partition *record_of_hold(const struct avl_node *node)
{
    return &avl_entry_const(node, struct extra, by_hold)->entry->partition;
}

static int compare_hold(const struct avl_node *a, const struct avl_node *b)
{
    const struct partition *x = record_of_hold(a), *y = record_of_hold(b);

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

static void put_latest(struct avl_node *node, const struct entry *added)
{
    uint32_t own = index_rounded(added->partition.end_ns);

    if (own > node->summary)
        node->summary = own;
}

static void put_id(struct avl_node *node, const struct avl_node *added)
{
    put_latest(node, avl_entry_const(added, struct entry, by_id));
}

static void put_user(struct avl_node *node, const struct avl_node *added)
{
    put_latest(node, avl_entry_const(added, struct entry, by_user));
}

static void put_device(struct avl_node *node, const struct avl_node *added)
{
    put_latest(node, PLACE(added)->entry);
}

/* Count the subtree. */
static void update_end(struct avl_node *node)
{
    node->summary = 1 + summary_of(node->left) + summary_of(node->right);
}

static void put_end(struct avl_node *node, const struct avl_node *added)
{
    (void)added;
    node->summary++;
}

static uint32_t guests_of(const struct entry *entry)
{
    return entry->guests ? entry->guests->count : 0;
}

/* Add up the subtree. */
static void update_account(struct avl_node *node)
{
    struct entry *entry = avl_entry(node, struct entry, by_account);

    update_latest(node, entry);
    entry->held_count = 1;
    entry->held_guests = guests_of(entry);
    entry->held_bytes = partition_held_bytes(&entry->partition);
    for (int side = 0; side < 2; side++) {
        const struct avl_node *child = side ? node->right : node->left;

        if (!child)
            continue;
        entry->held_count += avl_entry_const(child, struct entry, by_account)->held_count;
        entry->held_guests += avl_entry_const(child, struct entry, by_account)->held_guests;
        entry->held_bytes += avl_entry_const(child, struct entry, by_account)->held_bytes;
    }
}

static void put_account(struct avl_node *node, const struct avl_node *added)
{
    struct entry *entry = avl_entry(node, struct entry, by_account);
    const struct entry *other = avl_entry_const(added, struct entry, by_account);

    put_latest(node, other);
    entry->held_count++;
    entry->held_guests += guests_of(other);
    entry->held_bytes += partition_held_bytes(&other->partition);
}

static const struct avl_kind kind_id = {compare_id, update_id, put_id};
static const struct avl_kind kind_device = {compare_device, update_device, put_device};
static const struct avl_kind kind_user = {compare_user, update_user, put_user};
static const struct avl_kind kind_account = {compare_account, update_account, put_account};
static const struct avl_kind kind_hold = {.compare = compare_hold};
static const struct avl_kind kind_end = {compare_end, update_end, put_end};
static const struct avl_kind kind_warning = {.compare = compare_warning};

void index_init(struct engine *engine)
{
    pool_init(&engine->entries, sizeof(struct entry) + sizeof(struct place));
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
