/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises that the world does not let stand: a device that is gone or has become smaller since
 * they were given, and a wall clock that was set, on which appointments are. It must not know why
 * devices go.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

/* Appointments this close to their time are kept. */
#define APPOINTMENT_SLACK_NS NS_PER_SECOND

/* -- places that are gone ------------------------------------------------------------ */

/* A request that is to be planned elsewhere, out of all indexes, and the event of that. */
struct displaced {
    struct entry *entry;
    struct engine_event *event;
};

/* Whether a device holds what is promised on it in that time, and more. */
static bool device_holds(const struct device *device, int64_t from_ns, int64_t until_ns,
                         uint64_t more_bytes)
{
    int64_t peak = timeline_peak(&device->timeline, from_ns, until_ns);

    return device->device.present && (uint64_t)peak <= device->device.memory_bytes &&
           more_bytes <= device->device.memory_bytes - (uint64_t)peak;
}

static bool any_is_short(const struct engine *engine, int64_t now_ns)
{
    for (uint32_t i = 0; i < engine->device_count; i++) {
        if (!device_holds(&engine->devices[i], now_ns, ENGINE_FOREVER, 0))
            return true;
    }
    return false;
}

/* Whether all devices of a request have room for it at its time; `out`: it is in no index. */
static bool place_holds(const struct engine *engine, const struct partition *partition, bool out)
{
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];

        if (!device_holds(&engine->devices[share->device], partition->start_ns, partition->end_ns,
                          out ? share->memory_bytes : 0))
            return false;
    }
    return true;
}

/* Sort in fair order: a shell sort, since qsort has no context. */
static void sort(const struct engine *engine, struct displaced *all, size_t count)
{
    size_t gap = 1;

    while (gap < count / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) {
        for (size_t i = gap; i < count; i++) {
            struct displaced one = all[i];
            struct queue_key key = queue_key_of(one.entry);
            size_t at = i;

            for (; at >= gap; at -= gap) {
                struct queue_key before = queue_key_of(all[at - gap].entry);

                if (!queue_is_before(engine, &key, &before))
                    break;
                all[at] = all[at - gap];
            }
            all[at] = one;
        }
    }
}

/* Whether the request has enough devices to be planned on. */
static bool has_sites(struct engine *engine, const struct entry *entry)
{
    return plan_gather(engine, &entry->partition, &entry->waiter->record, ENGINE_DEVICE_ANY) >=
           entry->partition.share_count;
}

/* Take out those that have no room where they are, last in order first, until the others have. */
static int displace(struct engine *engine, struct displaced *all, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        struct entry *entry = all[i].entry;

        if (place_holds(engine, &entry->partition, false) || !has_sites(engine, entry))
            continue;
        all[i].event = journal_new(EVENT_MOVED, 0, entry->partition.uid);
        if (!all[i].event)
            return -ENOMEM;
        index_remove(engine, entry);
    }
    return 0;
}

/* Find the earliest place from a moment on for a request that was taken out; `fixed`: exactly then.
 */
static bool find_place(struct engine *engine, const struct entry *entry, int64_t from_ns,
                       bool fixed, struct partition *to)
{
    const struct waiting *waiting = &entry->waiter->record;

    *to = entry->partition;
    to->state = PARTITION_ACTIVE; /* nothing is promised to it now */
    uint32_t count = plan_gather(engine, to, waiting, ENGINE_DEVICE_ANY);
    bool found =
        plan_place(engine, waiting, count, from_ns, fixed ? from_ns + 1 : ENGINE_FOREVER, to);
    to->state = PARTITION_PENDING;
    return found;
}

/* Put a request that was taken out to another place, which it has until its start. */
static void put(struct engine *engine, const struct displaced *one, int64_t now_ns,
                const struct partition *to, const struct waiting *waiting)
{
    struct engine_event *event = one->event;

    event->at_ns = now_ns;
    journal_of(event, one->entry);
    event->after = *to;
    event->waiting_after = *waiting;
    journal_append(engine, event);
    if (event->kind == EVENT_DELAYED)
        event->after.change_seq = event->seq;
    one->entry->partition = event->after;
    one->entry->waiter->record = *waiting;
    index_add(engine, one->entry);
    queue_mark_shares(engine, &event->before, event->before.start_ns);
    accounts_freed(engine, one->entry);
}

/* Put a request that was taken out where it fits: where it was, else at its earliest place; if
 * there is none, its promise stays on record. */
static void replace(struct engine *engine, const struct displaced *one, int64_t now_ns)
{
    struct entry *entry = one->entry;
    struct waiting waiting = entry->waiter->record;
    int64_t from_ns = waiting.fixed ? entry->partition.start_ns : now_ns;
    struct partition to;

    if (place_holds(engine, &entry->partition, true) ||
        !find_place(engine, entry, from_ns, waiting.fixed, &to)) {
        index_add(engine, entry);
        free(one->event);
        return;
    }
    if (to.start_ns > waiting.promised_ns) {
        one->event->kind = EVENT_DELAYED;
        waiting.promised_ns = to.start_ns;
    }
    put(engine, one, now_ns, &to, &waiting);
}

int engine_repair_plan(struct engine *engine, int64_t now_ns)
{
    size_t count = 0;

    if (engine->queue.count == 0 || !any_is_short(engine, now_ns))
        return 0;
    struct displaced *all = calloc(engine->queue.count, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (struct entry *entry = queue_next_start(engine, INT64_MIN, 0); entry;
         entry = queue_next_start(engine, entry->partition.start_ns, entry->partition.id))
        all[count++].entry = entry;
    sort(engine, all, count);
    int r = displace(engine, all, count);
    for (size_t i = 0; i < count; i++) {
        if (all[i].event)
            replace(engine, &all[i], now_ns);
    }
    free(all);
    return r;
}

/* -- appointments ---------------------------------------------------------------------- */

/* When a fixed start should be, by the wall clock as it is now; not in the past. */
static int64_t appointed_ns(const struct entry *entry, int64_t now_ns, int64_t offset_ns)
{
    int64_t at_ns = entry->waiter->record.fixed_wall_ns;

    if (__builtin_sub_overflow(at_ns, offset_ns, &at_ns))
        at_ns = offset_ns < 0 ? ENGINE_TIME_MAX : INT64_MIN;
    return at_ns < now_ns ? now_ns : at_ns;
}

static bool is_kept(const struct entry *entry, int64_t now_ns, int64_t offset_ns)
{
    int64_t at_ns = appointed_ns(entry, now_ns, offset_ns);

    if (!entry->waiter->record.fixed || entry->partition.start_ns <= now_ns)
        return true;
    return at_ns - entry->partition.start_ns <= APPOINTMENT_SLACK_NS &&
           entry->partition.start_ns - at_ns <= APPOINTMENT_SLACK_NS;
}

/* Move an appointment with the wall clock if there is room, else let it be at another time of the
 * wall clock. */
static int keep(struct engine *engine, struct entry *entry, int64_t now_ns, int64_t offset_ns)
{
    int64_t at_ns = appointed_ns(entry, now_ns, offset_ns);
    struct displaced one = {entry, journal_new(EVENT_MOVED, now_ns, entry->partition.uid)};
    struct waiting waiting = entry->waiter->record;
    struct partition to;

    if (!one.event)
        return -ENOMEM;
    index_remove(engine, entry);
    if (find_place(engine, entry, at_ns, true, &to)) {
        waiting.promised_ns = to.start_ns;
    } else {
        one.event->kind = EVENT_DELAYED;
        to = entry->partition;
        waiting.fixed_wall_ns = to.start_ns + offset_ns;
    }
    put(engine, &one, now_ns, &to, &waiting);
    return 0;
}

int engine_keep_appointments(struct engine *engine, int64_t now_ns, int64_t wall_ns)
{
    int64_t offset_ns = wall_ns - now_ns;
    bool later = false;
    size_t count = 0;
    int r = 0;

    struct entry **all = engine->queue.count ? calloc(engine->queue.count, sizeof(*all)) : NULL;
    if (engine->queue.count && !all)
        return -ENOMEM;
    for (struct entry *entry = queue_next_start(engine, INT64_MIN, 0); entry;
         entry = queue_next_start(engine, entry->partition.start_ns, entry->partition.id)) {
        if (is_kept(entry, now_ns, offset_ns))
            continue;
        later = appointed_ns(entry, now_ns, offset_ns) > entry->partition.start_ns;
        all[count++] = entry;
    }
    /* All move alike: each goes where the one ahead of it was. */
    for (size_t i = 0; i < count && !r; i++)
        r = keep(engine, all[later ? count - 1 - i : i], now_ns, offset_ns);
    free(all);
    return r;
}
