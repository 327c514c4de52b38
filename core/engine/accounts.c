/* SPDX-License-Identifier: Apache-2.0 */
/* Holders, their limits, and what they are promised; see accounts.h. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))
#define DAY_NS      (86400 * NS_PER_SECOND)

/* Days and weeks of engine time, until engine_set_calendar. */
static const int64_t first_ns[] = {0};
static const struct quota_calendar plain_calendar = {{0, first_ns, 1, DAY_NS},
                                                     {0, first_ns, 1, 7 * DAY_NS}};

static const struct holder *holder_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct holder, node);
}

static int compare_holders(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct holder *a = holder_of(node_a), *b = holder_of(node_b);

    return a->group != b->group ? ORDER(a->group, b->group) : ORDER(a->id, b->id);
}

static const struct avl_kind kind_holder = {.compare = compare_holders};

void accounts_init(struct engine *engine)
{
    engine->accounts.holders.kind = &kind_holder;
    engine->accounts.calendar = &plain_calendar;
    engine->accounts.standard = quota_standard;
    engine->accounts.standard.limit[QUOTA_PENDING] = QUOTA_UNLIMITED;
}

void accounts_free(struct engine *engine)
{
    struct avl_node *node;

    while ((node = avl_first(&engine->accounts.holders))) {
        avl_remove(&engine->accounts.holders, node);
        free(avl_entry(node, struct holder, node));
    }
}

uint32_t accounts_of(const struct engine *engine, uint32_t uid)
{
    return engine->account ? engine->account(engine->account_context, uid) : uid;
}

struct holder *accounts_find(const struct engine *engine, bool group, uint32_t id)
{
    struct holder probe = {.group = group, .id = id};
    struct avl_node *node = avl_find(&engine->accounts.holders, &probe.node);

    return node ? avl_entry(node, struct holder, node) : NULL;
}

struct holder *accounts_at_or_after(const struct engine *engine, bool group, uint32_t id)
{
    struct holder *holder = accounts_find(engine, group, id), probe = {.group = group, .id = id};
    struct avl_node *node = holder ? NULL : avl_after(&engine->accounts.holders, &probe.node);

    if (node)
        holder = avl_entry(node, struct holder, node);
    return holder && holder->group == group ? holder : NULL;
}

/* -- limits ------------------------------------------------------------------- */

/* A group has the limits that were set for it, and no others. */
struct quota_limits accounts_limits_of(const struct engine *engine, const struct holder *holder)
{
    struct quota_limits none = {0};

    if (!holder->group) {
        struct quota_limits standard =
            quota_limits_over(&engine->accounts.defaults, &engine->accounts.standard);

        return quota_limits_over(&holder->own, &standard);
    }
    for (int key = 0; key < QUOTA_KEYS; key++)
        none.limit[key] = QUOTA_UNLIMITED;
    return quota_limits_over(&holder->own, &none);
}

void accounts_put_in_force(struct engine *engine, struct holder *holder)
{
    engine->accounts.limited -= accounts_is_limited(holder);
    holder->quota.limits = accounts_limits_of(engine, holder);
    engine->accounts.limited += accounts_is_limited(holder);
}

void accounts_put_all_in_force(struct engine *engine)
{
    for (struct avl_node *node = avl_first(&engine->accounts.holders); node;
         node = avl_after(&engine->accounts.holders, node))
        accounts_put_in_force(engine, avl_entry(node, struct holder, node));
}

void engine_set_calendar(struct engine *engine, const struct quota_calendar *calendar)
{
    engine->accounts.calendar = calendar;
    engine->accounts.standard = quota_standard;
    accounts_put_all_in_force(engine);
    if (engine->accounts.limited)
        engine_replan(engine);
}

struct holder *accounts_get(struct engine *engine, bool group, uint32_t id)
{
    struct holder *holder = accounts_find(engine, group, id);

    if (holder)
        return holder;
    holder = calloc(1, sizeof(*holder));
    if (!holder)
        return NULL;
    holder->group = group;
    holder->id = id;
    struct quota_limits limits = accounts_limits_of(engine, holder);
    quota_init(&holder->quota, &limits);
    accounts_init_pending(holder);
    engine->accounts.limited += accounts_is_limited(holder);
    avl_insert(&engine->accounts.holders, &holder->node);
    return holder;
}

int accounts_prepare(struct engine *engine, const struct partition *partition)
{
    if (!accounts_get(engine, false, accounts_of(engine, partition->uid)))
        return -ENOMEM;
    if (partition->quota_group && !accounts_get(engine, true, partition->quota_group))
        return -ENOMEM;
    return 0;
}

static bool is_idle(const struct holder *holder)
{
    return holder->own.set == 0 && !avl_first(&holder->quota.tally.marks) &&
           !accounts_has_used(holder);
}

void accounts_forget_idle(struct engine *engine, struct holder *holder)
{
    if (holder && is_idle(holder)) {
        engine->accounts.limited -= accounts_is_limited(holder);
        avl_remove(&engine->accounts.holders, &holder->node);
        free(holder);
    }
}

void accounts_forget(struct engine *engine, const struct partition *partition)
{
    accounts_forget_idle(engine, accounts_find(engine, false, accounts_of(engine, partition->uid)));
    if (partition->quota_group)
        accounts_forget_idle(engine, accounts_find(engine, true, partition->quota_group));
}

bool accounts_alike(const struct partition *a, const struct partition *b)
{
    return a->uid == b->uid && a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
           (a->state == PARTITION_PENDING) == (b->state == PARTITION_PENDING) &&
           partition_holds(a) == partition_holds(b) && a->share_count == b->share_count &&
           memcmp(a->shares, b->shares, a->share_count * sizeof(struct share)) == 0;
}

/* -- what is promised ----------------------------------------------------------- */

uint64_t accounts_ppm(const struct engine *engine, const struct partition *partition)
{
    uint64_t ppm = 0;

    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];

        ppm += fairshare_dominant_ppm(share->memory_bytes,
                                      engine->devices[share->device].device.memory_bytes,
                                      share->compute_ppm);
    }
    return ppm;
}

struct fairshare_scale accounts_scale(const struct engine *engine)
{
    return (struct fairshare_scale){engine->policy.half_life_ns, engine->accounts.origin_ns};
}

/* What was used of it is booked with events (accounts_book), so here it begins at its start.
 * `pending` is for what waits. */
static void charge(struct engine *engine, struct charge *charge, struct holder *holder,
                   struct pending *pending, const struct partition *partition)
{
    uint64_t ppm = accounts_ppm(engine, partition);
    const struct fairshare_scale scale = accounts_scale(engine);

    charge->holder = partition_holds(partition) ? holder : NULL;
    if (!charge->holder)
        return;
    quota_put(&holder->quota, engine->accounts.calendar, &charge->quota, partition->id, ppm,
              partition->start_ns, partition->end_ns, partition->start_ns);
    holder->known = false;
    if (partition->state == PARTITION_PENDING)
        accounts_add_pending(holder, pending, partition);
    else if (!holder->group && !holder->stale)
        fairshare_hold(&holder->share, &scale, ppm, partition->start_ns, partition->start_ns);
}

static void take_back(struct engine *engine, struct charge *charge, struct pending *pending,
                      const struct partition *partition)
{
    struct holder *holder = charge->holder;
    const struct fairshare_scale scale = accounts_scale(engine);

    if (!holder)
        return;
    uint64_t ppm = (uint64_t)charge->quota.span.start.delta_ppm;
    if (partition->state == PARTITION_PENDING)
        accounts_remove_pending(holder, pending);
    quota_take(&holder->quota, engine->accounts.calendar, &charge->quota, partition->start_ns);
    holder->known = false;
    if (partition->state != PARTITION_PENDING && !holder->group && !holder->stale)
        fairshare_drop(&holder->share, &scale, ppm, partition->start_ns, partition->start_ns);
    charge->holder = NULL;
    engine->accounts.any_idle |= is_idle(holder);
}

static struct pending *pending_of(struct entry *entry)
{
    return entry->waiter ? &entry->waiter->pending : NULL;
}

void accounts_add(struct engine *engine, struct entry *entry)
{
    const struct partition *partition = &entry->partition;

    charge(engine, &entry->charge, accounts_find(engine, false, entry->account), pending_of(entry),
           partition);
    if (partition->quota_group)
        charge(engine, &entry->extra->group_charge,
               accounts_find(engine, true, partition->quota_group), &entry->extra->pending,
               partition);
}

void accounts_remove(struct engine *engine, struct entry *entry)
{
    const struct partition *partition = &entry->partition;

    take_back(engine, &entry->charge, pending_of(entry), partition);
    if (partition->quota_group)
        take_back(engine, &entry->extra->group_charge, &entry->extra->pending, partition);
}

bool accounts_frees(const struct partition *before, const struct partition *after)
{
    bool frees = before->uid != after->uid || before->start_ns != after->start_ns ||
                 before->end_ns > after->end_ns || before->share_count != after->share_count ||
                 (partition_holds(before) && !partition_holds(after));

    for (uint32_t i = 0; !frees && i < before->share_count; i++)
        frees = before->shares[i].device != after->shares[i].device ||
                before->shares[i].memory_bytes > after->shares[i].memory_bytes ||
                before->shares[i].compute_ppm > after->shares[i].compute_ppm;
    return frees;
}
