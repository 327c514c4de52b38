/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the share of time that a partition has; see compute.c. */
#include "internal.h"

#include <inttypes.h>

/* Whether some share has less, or more, than before. */
static bool is_more(const struct engine *engine, const struct partition *a,
                    const struct partition *b)
{
    for (uint32_t i = 0; i < a->share_count; i++) {
        if (engine_share_ppm(engine, &a->shares[i]) > engine_share_ppm(engine, &b->shares[i]))
            return true;
    }
    return false;
}

static int check(struct engine *engine, const struct call *call, struct entry *entry,
                 const struct partition *after)
{
    const struct partition *now = &entry->partition;
    int64_t from_ns = call->now_ns > now->start_ns ? call->now_ns : now->start_ns;
    uint32_t priority = now->state == PARTITION_PENDING ? entry->waiter->record.priority : 0;
    int r = 0;

    if (is_more(engine, after, now))
        r = drain_check_more(engine, call, now, "given more time");
    for (uint32_t i = 0; !r && i < now->share_count; i++)
        r = compute_check(engine, call, &after->shares[i], &now->shares[i], from_ns, now->end_ns);
    if (!r && accounts_ppm(engine, after) > accounts_ppm(engine, now))
        r = accounts_check(engine, call, after, priority, entry);
    return r;
}

int engine_set_compute(struct engine *engine, const struct call *call, uint64_t id, uint32_t ppm)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r)
        r = suspend_check_changes(call, &entry->partition, "share");
    if (!r && ppm > 1000000)
        r = refuse(REFUSED_INVALID, call->why, "At most 100 per cent can go to p%" PRIu64 ".", id);
    if (!r && ppm > entry->partition.shares[0].compute_ppm)
        r = compute_check_policy(engine, call, ppm);
    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (!r && ppm)
        r = compute_begin(engine);
    if (r || entry->partition.shares[0].compute_ppm == ppm)
        return r;
    const struct partition before = entry->partition;
    struct partition after = before;
    for (uint32_t i = 0; i < after.share_count; i++)
        after.shares[i].compute_ppm = ppm;
    r = check(engine, call, entry, &after);
    if (!r)
        r = operations_change(engine, entry, EVENT_COMPUTE, call, &after, NULL);
    if (r || !is_more(engine, &before, &after))
        return r;
    queue_mark_order(engine);
    queue_mark_shares(engine, &after, call->now_ns);
    if (after.state == PARTITION_PENDING)
        queue_mark_itself(engine, entry);
    return 0;
}
