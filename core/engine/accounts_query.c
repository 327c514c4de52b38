/* SPDX-License-Identifier: Apache-2.0 */
/* What holders hold, have used, and may have; see accounts.h. */
#include "internal.h"

#include <string.h>

void engine_set_holder_name(struct engine *engine, engine_holder_name_fn *name, void *context)
{
    engine->accounts.name = name;
    engine->accounts.name_context = context;
}

const struct quota_limits *engine_quota(const struct engine *engine, enum holder_kind kind,
                                        uint32_t id)
{
    if (kind == HOLDER_DEFAULT)
        return &engine->accounts.defaults;
    const struct holder *holder = accounts_find(engine, kind == HOLDER_GROUP, id);
    return holder && holder->own.set ? &holder->own : NULL;
}

struct quota_limits engine_quota_in_force(const struct engine *engine, enum holder_kind kind,
                                          uint32_t id)
{
    const struct quota_limits *own = engine_quota(engine, kind, id);
    struct quota_limits limits =
        quota_limits_over(&engine->accounts.defaults, &engine->accounts.standard);

    for (int key = 0; kind == HOLDER_GROUP && key < QUOTA_KEYS; key++)
        limits.limit[key] = QUOTA_UNLIMITED;
    return own ? quota_limits_over(own, &limits) : limits;
}

bool engine_next_quota(const struct engine *engine, enum holder_kind kind, uint64_t from_id,
                       uint32_t *ret_id)
{
    bool group = kind == HOLDER_GROUP;

    for (; from_id <= UINT32_MAX; from_id++) {
        const struct holder *holder = accounts_at_or_after(engine, group, (uint32_t)from_id);

        if (!holder)
            return false;
        if (holder->own.set) {
            *ret_id = holder->id;
            return true;
        }
        from_id = holder->id;
    }
    return false;
}

/* Usage of all accounts, added up at most once a second: it takes as long as there are accounts. */
static uwide total_usage(struct engine *engine, int64_t now_ns)
{
    struct accounts *accounts = &engine->accounts;
    bool old = now_ns < accounts->total_ns || now_ns - accounts->total_ns >= NS_PER_SECOND;

    if (accounts->total_known && !old)
        return accounts->total;
    accounts->total = 0;
    for (struct avl_node *node = avl_first(&accounts->holders); node;
         node = avl_after(&accounts->holders, node)) {
        struct holder *holder = avl_entry(node, struct holder, node);

        accounts->total += holder->group ? 0 : accounts_usage(engine, holder, now_ns);
    }
    accounts->total_ns = now_ns;
    accounts->total_known = true;
    return accounts->total;
}

/* The part of an account in the usage of all. */
static uint32_t share_ppm(struct engine *engine, struct holder *holder, int64_t now_ns)
{
    uwide own = accounts_usage(engine, holder, now_ns), all = total_usage(engine, now_ns);

    all = all > own ? all : own;
    for (; own > UINT64_MAX; own >>= 1)
        all >>= 1;
    return fairshare_part_ppm(own, all);
}

struct engine_use engine_use(struct engine *engine, enum holder_kind kind, uint32_t id,
                             int64_t now_ns)
{
    const struct quota_calendar *calendar = engine->accounts.calendar;
    struct holder *holder = accounts_find(engine, kind == HOLDER_GROUP, id);
    struct window day = windows_at(&calendar->day, now_ns);
    struct window week = windows_at(&calendar->week, now_ns);
    struct engine_use use = {.day_end_ns = day.end_ns, .week_end_ns = week.end_ns};

    if (!holder)
        return use;
    use.held_ppm = quota_used(&holder->quota, calendar, QUOTA_FRACTION, now_ns, &day);
    use.waiting = holder->quota.pending;
    use.day_ppm_s = quota_used(&holder->quota, calendar, QUOTA_HOURS_DAY, now_ns, &day);
    use.week_ppm_s = quota_used(&holder->quota, calendar, QUOTA_HOURS_WEEK, now_ns, &week);
    use.usage = holder->group ? 0 : accounts_usage(engine, holder, now_ns);
    use.share_ppm = holder->group ? 0 : share_ppm(engine, holder, now_ns);
    return use;
}
