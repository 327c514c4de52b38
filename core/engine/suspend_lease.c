/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a lease at whose end a partition is suspended. Only bookkeeping: suspend.c
 * decides what its owner may ask for.
 */
#include "internal.h"

#include <inttypes.h>

bool suspend_can_be(const struct engine *engine, const struct partition *partition)
{
    const uint32_t kind = engine->devices[partition->shares[0].device].sharing.kind;

    return partition->share_count == 1 && (kind == SHARING_NONE || kind == SHARING_TIMESLICE);
}

bool suspend_is_due(const struct engine *engine, const struct partition *partition)
{
    bool runs =
        partition->state == PARTITION_ACTIVE || partition->state == PARTITION_EXPIRING ||
        (partition->state == PARTITION_SUSPENDED && partition->suspend_stage == SUSPEND_RETURNING);

    return runs && partition->on_expiry == ON_EXPIRY_SUSPEND && suspend_can_be(engine, partition) &&
           engine->policy.suspend == POLICY_SUSPEND_ON;
}

int suspend_check_changes(const struct call *call, const struct partition *partition,
                          const char *what)
{
    if (partition->suspend_stage == SUSPEND_NONE)
        return 0;
    return refuse(REFUSED_BUSY, call->why,
                  "Partition p%" PRIu64 " is suspended; its %s can be changed once it was resumed.",
                  partition->id, what);
}

void suspend_lease(struct engine *engine, struct engine_event *event, struct entry *entry)
{
    bool early = event->at_ns < entry->partition.end_ns;

    journal_of(event, entry);
    event->after.state = PARTITION_SUSPENDED;
    event->after.suspend_stage = SUSPEND_LEAVING;
    event->after.arrival = ARRIVAL_NONE;
    event->after.end_ns = timeline_later(event->at_ns, engine->policy.suspend_keep_ns);
    if (event->after.end_ns > ENGINE_TIME_MAX)
        event->after.end_ns = ENGINE_TIME_MAX;
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
    queue_mark_order(engine);
    queue_mark_shares(engine, &event->before, early ? event->at_ns : QUEUE_FILL);
}
