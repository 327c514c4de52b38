/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspended partitions. At the end of its lease one with on_expiry `suspend` keeps its id and loses
 * its place on the device: at once for the plan, though its processes still have to leave. Resuming
 * it is admitted as a new request. The engine says what is to happen; that it has is reported back
 * by those who act on the machine. It must not know how processes leave a device.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* -- what its owner asks for -------------------------------------------------------------- */

int engine_suspend(struct engine *engine, const struct call *call, uint64_t id)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (r)
        return r;
    const struct partition *partition = &entry->partition;
    if (partition->state == PARTITION_SUSPENDED && partition->suspend_stage != SUSPEND_RETURNING)
        return 0;
    if (partition->state == PARTITION_PENDING)
        return refuse(REFUSED_BUSY, call->why,
                      "Partition p%" PRIu64 " has not started: there is nothing to suspend.", id);
    if (partition->on_expiry != ON_EXPIRY_SUSPEND)
        return refuse(REFUSED_INVALID, call->why,
                      "The on_expiry of p%" PRIu64 " is %s; write suspend there first.", id,
                      ending_on_expiry_text(partition->on_expiry));
    r = ending_check_suspend(engine, call, partition);
    if (!r && !suspend_can_be(engine, partition))
        r = refuse(REFUSED_BUSY, call->why,
                   "Partition p%" PRIu64 " cannot be suspended: its device is shared by %s.", id,
                   sharing_mode_word(engine->devices[partition->shares[0].device].sharing.kind));
    if (r)
        return r;
    struct engine_event *event = journal_new(EVENT_SUSPENDING, call->now_ns, call->caller->uid);
    if (!event)
        return -ENOMEM;
    suspend_lease(engine, event, entry);
    return 0;
}

static int check_away(const struct call *call, const struct partition *partition)
{
    const char *why = partition->suspend_stage == SUSPEND_NONE      ? "is not suspended"
                      : partition->state == PARTITION_PENDING       ? "waits to be resumed already"
                      : partition->suspend_stage == SUSPEND_LEAVING ? "is still being suspended"
                                                                    : "is being resumed";

    if (partition->state == PARTITION_SUSPENDED && partition->suspend_stage == SUSPEND_AWAY)
        return 0;
    return refuse(REFUSED_BUSY, call->why, "Partition p%" PRIu64 " %s.", partition->id, why);
}

/* Explain that there is no room now. */
static int refuse_room(struct engine *engine, const struct call *call,
                       const struct partition *wanted)
{
    const struct share *share = &wanted->shares[0];
    int64_t at_ns = engine_earliest(engine, share->device, call->now_ns, share->memory_bytes,
                                    wanted->end_ns - wanted->start_ns);
    char when[40];

    if (at_ns == ENGINE_FOREVER)
        return refuse(REFUSED_NO_SPACE, call->why,
                      ADMISSION_NO_SPACE "p%" PRIu64 " never has room on gpu%" PRIu32 ".",
                      wanted->id, share->device);
    engine->time_text(engine->context, at_ns, when, sizeof(when));
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "p%" PRIu64 " has room on gpu%" PRIu32
                                     " from %s; add the word queue (--queue) to wait for it.",
                  wanted->id, share->device, when);
}

/* Find the earliest start for one that is to wait. */
static int place(struct engine *engine, const struct call *call, struct partition *wanted,
                 struct waiting *waiting)
{
    wanted->state = PARTITION_ACTIVE; /* nothing is promised to it now */
    engine->accounts.unbound = call->caller->admin;
    bool found = plan_place_new(engine, waiting, call->now_ns, ENGINE_FOREVER, wanted);
    engine->accounts.unbound = false;
    if (!found)
        return refuse_room(engine, call, wanted);
    waiting->promised_ns = plan_promise(engine, wanted->start_ns, call->now_ns);
    wanted->state = PARTITION_PENDING;
    wanted->suspend_stage = SUSPEND_AWAY;
    return 0;
}

/* Let it wait: where it has never waited, it needs another entry. */
static int add_waiting(struct engine *engine, const struct call *call, struct entry *entry,
                       const struct partition *wanted, const struct waiting *waiting)
{
    struct entry *fresh = entry->waiter ? entry : index_new_entry(engine, wanted, waiting);
    struct engine_event *event = journal_new(EVENT_RESUMING, call->now_ns, call->caller->uid);

    if (!fresh || !event) {
        if (fresh != entry)
            index_free_entry(fresh);
        engine_events_free(event);
        return -ENOMEM;
    }
    journal_of(event, entry);
    event->after = *wanted;
    event->waiting_after = *waiting;
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    if (fresh == entry) {
        index_move(engine, entry, &event->after, waiting);
    } else {
        index_remove(engine, entry);
        fresh->guests = entry->guests;
        entry->guests = NULL;
        index_free_entry(entry);
        fresh->partition = event->after;
        index_add(engine, fresh);
    }
    queue_mark_order(engine);
    return 0;
}

int engine_resume(struct engine *engine, const struct call *call, uint64_t id, int64_t duration_ns,
                  bool waits)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r)
        r = check_away(call, &entry->partition);
    if (!r)
        r = drain_check_more(engine, call, &entry->partition, "resumed");
    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (r)
        return r;
    struct partition wanted = entry->partition;
    const struct share *share = &wanted.shares[0];
    bool was_low = entry->waiter && waiting_is_set(&entry->waiter->record) &&
                   entry->waiter->record.priority == PRIORITY_LOW;
    struct waiting waiting = {.asked_ns = call->now_ns,
                              .give_up_ns = ENGINE_FOREVER,
                              .amount = {.bytes = share->memory_bytes},
                              .priority = was_low ? PRIORITY_LOW : engine->policy.default_priority};
    wanted.start_ns = call->now_ns;
    wanted.end_ns = timeline_later(call->now_ns, duration_ns);
    wanted.suspend_stage = SUSPEND_RETURNING;
    if (!engine->devices[share->device].device.present)
        return refuse(REFUSED_BUSY, call->why, "Device gpu%" PRIu32 " is absent.", share->device);
    r = admission_duration(engine, call, duration_ns, true);
    if (!r && wanted.end_ns > ENGINE_TIME_MAX)
        r = refuse(REFUSED_INVALID, call->why,
                   "The end of p%" PRIu64 " would be too far away; write a shorter time.", id);
    if (!r)
        r = admission_fraction(engine, call, share->device, share->memory_bytes);
    if (!r)
        r = accounts_prepare(engine, &wanted);
    if (r)
        return r;
    bool fits = share->memory_bytes <=
                admission_free(engine, share->device, call->now_ns, wanted.end_ns, 0);
    if (fits && !waits)
        r = compute_check(engine, call, share, NULL, call->now_ns, wanted.end_ns);
    fits = fits && compute_fits(engine, share, NULL, call->now_ns, wanted.end_ns);
    if (!r && !fits)
        r = waits ? place(engine, call, &wanted, &waiting) : refuse_room(engine, call, &wanted);
    if (!r && fits)
        r = admission_limit(engine, call, &wanted);
    if (!r)
        r = accounts_check(engine, call, &wanted, waiting.priority, entry);
    if (r)
        return r;
    return fits ? operations_change(engine, entry, EVENT_RESUMING, call, &wanted, NULL)
                : add_waiting(engine, call, entry, &wanted, &waiting);
}

/* -- what has become of it ------------------------------------------------------------------ */

/* Change what has reached this stage; nothing if it has not, or no longer. */
static int report(struct engine *engine, int64_t now_ns, uint64_t id, uint32_t stage,
                  enum event_kind kind, const struct partition *wanted, const char *value)
{
    struct entry *entry = index_find(engine, id);

    if (!entry || entry->partition.state != PARTITION_SUSPENDED ||
        entry->partition.suspend_stage != stage)
        return 0;
    struct engine_event *event = journal_new(kind, now_ns, entry->partition.uid);
    if (!event)
        return -ENOMEM;
    bool held = partition_holds(&entry->partition);
    snprintf(event->value, sizeof(event->value), "%s", value);
    journal_of(event, entry);
    event->after.state = wanted->state;
    event->after.suspend_stage = wanted->suspend_stage;
    event->after.suspended_bytes = wanted->suspended_bytes;
    event->after.suspended_count = wanted->suspended_count;
    event->after.end_ns = wanted->end_ns;
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    index_change(engine, entry, &event->after);
    if (held && !partition_holds(&event->after)) {
        queue_mark_order(engine);
        queue_mark_shares(engine, &event->before, now_ns);
    }
    return 0;
}

struct seconds {
    char text[32];
};

/* "5.65" */
static struct seconds seconds_of(int64_t ns)
{
    struct seconds seconds;
    int64_t hundredths = ns / (NS_PER_SECOND / 100);

    snprintf(seconds.text, sizeof(seconds.text), "%" PRId64 ".%02" PRId64, hundredths / 100,
             hundredths % 100);
    return seconds;
}

/* The record to change; all zero if there is none. */
static struct partition record_of(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);

    return entry ? entry->partition : (struct partition){.id = 0};
}

int engine_suspend_measured(struct engine *engine, int64_t now_ns, uint64_t id, uint64_t bytes,
                            uint32_t count)
{
    struct partition wanted = record_of(engine, id);

    wanted.suspended_bytes = bytes;
    wanted.suspended_count = count;
    return report(engine, now_ns, id, SUSPEND_LEAVING, EVENT_MEASURED, &wanted, "");
}

int engine_suspended(struct engine *engine, int64_t now_ns, uint64_t id, int64_t took_ns)
{
    struct partition wanted = record_of(engine, id);

    wanted.suspend_stage = SUSPEND_AWAY;
    return report(engine, now_ns, id, SUSPEND_LEAVING, EVENT_SUSPENDED, &wanted,
                  seconds_of(took_ns).text);
}

int engine_resumed(struct engine *engine, int64_t now_ns, uint64_t id, int64_t took_ns)
{
    struct partition wanted = record_of(engine, id);

    wanted.state = PARTITION_ACTIVE;
    wanted.suspend_stage = SUSPEND_NONE;
    wanted.suspended_bytes = 0;
    wanted.suspended_count = 0;
    return report(engine, now_ns, id, SUSPEND_RETURNING, EVENT_RESUMED, &wanted,
                  seconds_of(took_ns).text);
}

int engine_resume_failed(struct engine *engine, int64_t now_ns, uint64_t id, const char *why)
{
    struct partition wanted = record_of(engine, id);

    wanted.suspend_stage = SUSPEND_AWAY;
    wanted.end_ns = timeline_later(now_ns, engine->policy.suspend_keep_ns);
    if (wanted.end_ns > ENGINE_TIME_MAX)
        wanted.end_ns = ENGINE_TIME_MAX;
    return report(engine, now_ns, id, SUSPEND_RETURNING, EVENT_RESUME_FAILED, &wanted, why);
}

int engine_suspend_end(struct engine *engine, int64_t now_ns, uint64_t id, uint32_t on_expiry)
{
    struct entry *entry = index_find(engine, id);

    if (!entry || entry->partition.suspend_stage == SUSPEND_NONE ||
        entry->partition.end_ns <= now_ns)
        return 0;
    struct engine_event *event = journal_new(EVENT_EXPIRED, now_ns, entry->partition.uid);
    if (!event)
        return -ENOMEM;
    expiry_end(engine, event, entry);
    event->after.on_expiry = on_expiry;
    return 0;
}
