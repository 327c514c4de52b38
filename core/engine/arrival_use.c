/* SPDX-License-Identifier: Apache-2.0 */
/* The use of reservations whose users are awaited; see arrival.h. */
#include "internal.h"

#include <errno.h>

int64_t engine_no_show_ns(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);
    int64_t no_show_ns = engine->policy.no_show_ns;

    if (!entry || !entry->partition.arrival || no_show_ns == 0)
        return ENGINE_FOREVER;
    int64_t due_ns = arrival_due_ns(engine, entry);
    return entry->partition.arrival == ARRIVAL_MISSED
               ? due_ns
               : timeline_later(due_ns, no_show_ns - no_show_ns / 2);
}

int engine_arrive(struct engine *engine, int64_t now_ns, uint64_t id)
{
    struct entry *entry = index_find(engine, id);

    if (!entry || !entry->partition.arrival || entry->partition.end_ns <= now_ns)
        return 0;
    struct engine_event *event = journal_new(EVENT_USED, now_ns, entry->partition.uid);
    if (!event)
        return -ENOMEM;
    journal_of(event, entry);
    event->after.arrival = ARRIVAL_NONE;
    ending_settle(&event->after, now_ns);
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
    return 0;
}
