/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a partition: its owner, group and mode, and the guests that the owner lets in. Every
 * guest who comes or goes is an event of its own.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Make events of one kind, without the partition, for the users who are in `guests` and not in
 * `others`. Return where to add more; NULL: out of memory. */
static struct engine_event **make_events(struct engine_event **last, enum event_kind kind,
                                         const struct call *call, const struct guests *guests,
                                         const struct guests *others)
{
    for (uint32_t i = 0; guests && i < guests->count; i++) {
        if (guests_has(others, guests->uid[i]))
            continue;
        *last = journal_new(kind, call->now_ns, call->caller->uid);
        if (!*last)
            return NULL;
        (*last)->guest = guests->uid[i];
        last = &(*last)->next;
    }
    return last;
}

/* Make the events that lead from one set of guests to another. False: out of memory. */
static bool make_changes(const struct call *call, const struct guests *now,
                         const struct guests *wanted, struct engine_event **ret_events)
{
    struct engine_event *first = NULL;
    struct engine_event **last = make_events(&first, EVENT_UNSHARED, call, now, wanted);

    if (last)
        last = make_events(last, EVENT_SHARED, call, wanted, now);
    if (!last) {
        engine_events_free(first);
        return false;
    }
    *ret_events = first;
    return true;
}

/* Append the events, each with the partition as it then is. */
static void append(struct engine *engine, struct entry *entry, struct engine_event *events)
{
    while (events) {
        struct engine_event *event = events;

        events = event->next;
        journal_of(event, entry);
        journal_append(engine, event);
        event->after.change_seq = event->seq;
        index_change(engine, entry, &event->after);
    }
}

/* Each guest is in the lists of device nodes, which take time to sort. */
static int check_account(const struct engine *engine, const struct call *call,
                         const struct entry *entry, const struct guests *wanted)
{
    uint32_t now = entry->guests ? entry->guests->count : 0;

    if (wanted->count <= now ||
        queries_account(engine, entry->partition.uid).guests + wanted->count - now <=
            GUESTS_ACCOUNT_MAX)
        return 0;
    return refuse(
        REFUSED_QUOTA, call->why,
        "All partitions of an owner together can be shared with %d users, each counted as "
        "often as they are in. Take some out, or share with a group: chgrp and chmod "
        "g+w.",
        GUESTS_ACCOUNT_MAX);
}

int engine_share(struct engine *engine, const struct call *call, uint64_t id,
                 const struct guests *wanted)
{
    struct entry *entry = NULL;
    struct engine_event *events = NULL;
    int r = operations_find(engine, call, id, false, &entry);

    if (!r)
        r = check_account(engine, call, entry, wanted);
    if (r)
        return r;
    if (!entry->guests && wanted->count)
        entry->guests = calloc(1, sizeof(*wanted));
    if ((!entry->guests && wanted->count) || !make_changes(call, entry->guests, wanted, &events))
        return -ENOMEM;
    if (events)
        *entry->guests = *wanted;
    append(engine, entry, events);
    return 0;
}

int engine_hand_over(struct engine *engine, const struct call *call, uint64_t id, uint32_t uid,
                     uint32_t gid, uint32_t mode)
{
    static const struct guests none = {0};
    struct entry *entry = NULL;
    struct engine_event *events = NULL;
    int r = operations_find(engine, call, id, false, &entry);

    if (r)
        return r;
    struct partition after = entry->partition;
    if (uid != after.uid && !call->caller->root)
        return refuse(
            REFUSED_PERMISSION, call->why,
            "Permission denied: only root can hand partition p%" PRIu64 " to another user.", id);
    after.uid = uid;
    after.gid = gid;
    after.mode = mode & 07777;
    if (after.uid == entry->partition.uid && after.gid == entry->partition.gid &&
        after.mode == entry->partition.mode)
        return 0;
    r = accounts_prepare(engine, &after);
    if (!r)
        r = accounts_check_owner(engine, call, entry, uid);
    if (!r && uid != entry->partition.uid)
        r = admission_limit(engine, call, &after);
    if (r)
        return r;
    /* Another owner has other friends. */
    bool all_go = uid != entry->partition.uid && entry->guests;
    struct engine_event *handed = journal_new(EVENT_HANDED, call->now_ns, call->caller->uid);
    if (!handed || (all_go && !make_changes(call, entry->guests, &none, &events))) {
        engine_events_free(handed);
        return -ENOMEM;
    }
    if (all_go)
        *entry->guests = none;
    append(engine, entry, events);
    journal_of(handed, entry);
    handed->after = after;
    journal_append(engine, handed);
    handed->after.change_seq = handed->seq;
    index_change(engine, entry, &handed->after);
    if (after.state == PARTITION_PENDING) { /* the new owner may have it earlier */
        queue_mark_itself(engine, entry);
        queue_mark_order(engine);
    }
    return 0;
}

int engine_restore_guest(struct engine *engine, uint64_t id, uint32_t uid)
{
    struct entry *entry = index_find(engine, id);

    if (!entry)
        return -EINVAL;
    if (!entry->guests)
        entry->guests = calloc(1, sizeof(*entry->guests));
    if (!entry->guests)
        return -ENOMEM;
    if (!guests_put(entry->guests, uid))
        return -EINVAL;
    const struct partition same = entry->partition;
    index_change(engine, entry, &same); /* adds them up */
    return 0;
}

const struct guests *engine_guests(const struct engine *engine, uint64_t id)
{
    const struct entry *entry = index_find(engine, id);

    return entry && entry->guests && entry->guests->count ? entry->guests : NULL;
}
