/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on partitions: check the caller and the policy, then make one event and one change of
 * the index. Everything that can fail comes before the change.
 */
#include "internal.h"

#include "core/base/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Root of another pid namespace has the same uid as the host's root but is a different user. */
bool operations_is_owner(const struct caller *caller, const struct partition *partition)
{
    return caller->uid == partition->uid &&
           (caller->uid != 0 ||
            (caller->ns == partition->creator_ns && caller->ns != ENGINE_NS_UNKNOWN));
}

bool engine_may_act(const struct caller *caller, const struct partition *partition)
{
    return caller->root || operations_is_owner(caller, partition);
}

int operations_find(const struct engine *engine, const struct call *call, uint64_t id, bool also,
                    struct entry **ret_entry)
{
    struct entry *entry = index_find(engine, id);

    if (!entry || entry->partition.end_ns <= call->now_ns)
        return refuse(REFUSED_GONE, call->why,
                      "There is no partition p%" PRIu64 "; it may have ended.", id);
    if (!engine_may_act(call->caller, &entry->partition) && !also)
        return refuse(REFUSED_OWNER, call->why,
                      "Permission denied: p%" PRIu64 " is owned by uid %" PRIu32 ".", id,
                      entry->partition.uid);
    *ret_entry = entry;
    return 0;
}

/* Whether a change of end_ns or warn.ns makes the warning due now. A warning that was due before is
 * left to engine_advance. */
static bool warns_now(const struct partition *before, struct partition *after, int64_t now_ns)
{
    if (after->state == PARTITION_PENDING)
        return false;
    if (before->end_ns == after->end_ns && before->warn.ns == after->warn.ns)
        return false;
    return ending_settle(after, now_ns);
}

int operations_change(struct engine *engine, struct entry *entry, enum event_kind kind,
                      const struct call *call, const struct partition *wanted,
                      const struct waiting *waiting)
{
    struct partition after = *wanted;
    bool warns = warns_now(&entry->partition, &after, call->now_ns);
    struct engine_event *event = journal_new(kind, call->now_ns, call->caller->uid);
    struct engine_event *warning =
        warns ? journal_new(EVENT_WARNED, call->now_ns, after.uid) : NULL;

    if (!event || (warns && !warning)) {
        engine_events_free(event);
        engine_events_free(warning);
        return -ENOMEM;
    }
    journal_of(event, entry);
    event->after = after;
    if (waiting)
        event->waiting_after = *waiting;
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    if (entry->waiter)
        index_move(engine, entry, &event->after, &event->waiting_after);
    else
        index_change(engine, entry, &event->after);
    if (warning)
        expiry_warn(engine, warning, entry);
    return 0;
}

static int change(struct engine *engine, struct entry *entry, enum event_kind kind,
                  const struct call *call, const struct partition *wanted)
{
    return operations_change(engine, entry, kind, call, wanted, NULL);
}

int engine_check_release(const struct engine *engine, const struct call *call, uint64_t id)
{
    struct entry *entry;

    return operations_find(engine, call, id, call->caller->admin, &entry);
}

int engine_release(struct engine *engine, const struct call *call, uint64_t id)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->admin, &entry);

    if (r)
        return r;
    struct engine_event *event = journal_new(
        operations_is_owner(call->caller, &entry->partition) ? EVENT_RELEASED : EVENT_REVOKED,
        call->now_ns, call->caller->uid);
    if (!event)
        return -ENOMEM;
    expiry_end(engine, event, entry);
    return 0;
}

/* What runs has no class any more. */
static uint32_t priority_of(const struct entry *entry)
{
    return entry->partition.state == PARTITION_PENDING ? entry->waiter->record.priority : 0;
}

/* A partition gave memory back, from this moment on. */
static void freed(struct engine *engine, const struct entry *entry, int64_t from_ns)
{
    queue_mark_order(engine);
    queue_mark_shares(engine, &entry->partition, from_ns);
    if (entry->partition.state == PARTITION_PENDING)
        queue_mark_itself(engine, entry);
}

/* Set the shares of a record to this amount of each device. *ret_more, *ret_less: some get more or
 * less. */
static void set_amount(const struct engine *engine, const struct amount *amount,
                       struct partition *partition, bool *ret_more, bool *ret_less)
{
    *ret_more = *ret_less = false;
    for (uint32_t i = 0; i < partition->share_count; i++) {
        struct share *share = &partition->shares[i];
        uint64_t bytes = units_amount_bytes(amount, admission_memory(engine, share->device));

        *ret_more = *ret_more || bytes > share->memory_bytes;
        *ret_less = *ret_less || bytes < share->memory_bytes;
        share->memory_bytes = bytes;
    }
}

int engine_resize(struct engine *engine, const struct call *call, uint64_t id, uint64_t bytes)
{
    return engine_resize_to(engine, call, id, &(struct amount){.bytes = bytes});
}

int engine_resize_to(struct engine *engine, const struct call *call, uint64_t id,
                     const struct amount *amount)
{
    struct entry *entry = NULL;
    struct partition after;
    bool grows, frees;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r)
        r = suspend_check_changes(call, &entry->partition, "size");
    if (r)
        return r;
    after = entry->partition;
    set_amount(engine, amount, &after, &grows, &frees);
    if (grows)
        r = drain_check_more(engine, call, &entry->partition, "made larger");
    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (r)
        return r;
    after = entry->partition; /* finishing the plan can have moved it */
    set_amount(engine, amount, &after, &grows, &frees);
    r = admission_resize(engine, call, &entry->partition, &after);
    if (r || (!grows && !frees))
        return r;
    if (accounts_ppm(engine, &after) > accounts_ppm(engine, &entry->partition))
        r = accounts_check(engine, call, &after, priority_of(entry), entry);
    if (r)
        return r;
    /* One that waits, or will again, is asked for with what it has then. */
    struct waiting waiting = entry->waiter ? entry->waiter->record : (struct waiting){0};
    waiting.amount = *amount;
    admission_bar(engine, call, &waiting);
    r = operations_change(engine, entry, EVENT_RESIZED, call, &after,
                          entry->waiter ? &waiting : NULL);
    /* The same bytes may be less than it would have had on another device. */
    if (!r && (frees || after.state == PARTITION_PENDING))
        freed(engine, entry, call->now_ns);
    return r;
}

int engine_set_end(struct engine *engine, const struct call *call, uint64_t id, int64_t end_ns)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r && entry->partition.state == PARTITION_SUSPENDED)
        r = suspend_check_changes(call, &entry->partition, "end");
    if (!r && end_ns > entry->partition.end_ns)
        r = drain_check_more(engine, call, &entry->partition, "extended");
    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (!r)
        r = admission_end(engine, call, &entry->partition, end_ns);
    if (r || entry->partition.end_ns == end_ns)
        return r;
    struct partition after = entry->partition;
    bool frees = end_ns < after.end_ns;
    after.end_ns = end_ns;
    if (!frees)
        r = accounts_check(engine, call, &after, priority_of(entry), entry);
    if (r)
        return r;
    r = change(engine, entry, frees ? EVENT_SHORTENED : EVENT_EXTENDED, call, &after);
    if (!r && frees)
        freed(engine, entry, end_ns);
    return r;
}

int engine_set_ending(struct engine *engine, const struct call *call, uint64_t id,
                      const struct ending_change *wanted)
{
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (r)
        return r;
    const struct partition *now = &entry->partition;
    struct partition after = *now;
    r = ending_apply(engine, call, wanted, &after);
    if (r || (after.on_expiry == now->on_expiry && after.grace_ns == now->grace_ns &&
              after.warn.ns == now->warn.ns && after.warn.signal == now->warn.signal))
        return r;
    return change(engine, entry, EVENT_ENDING, call, &after);
}

int engine_rename(struct engine *engine, const struct call *call, uint64_t id, const char *name)
{
    size_t length = strlen(name);
    struct entry *entry = NULL;
    int r = operations_find(engine, call, id, call->caller->by_mode, &entry);

    if (!r && length > 0)
        r = request_label_check(name, length, call->why->message, sizeof(call->why->message));
    if (r || strcmp(entry->partition.name, name) == 0)
        return r;
    struct partition after = entry->partition;
    memset(after.name, 0, sizeof(after.name));
    memcpy(after.name, name, length);
    return change(engine, entry, EVENT_RENAMED, call, &after);
}

static bool is_word(const char *text)
{
    size_t length = strnlen(text, ENGINE_WORD_MAX);

    return length > 0 && length < ENGINE_WORD_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

int engine_note(struct engine *engine, int64_t now_ns, const struct partition *about,
                uint32_t by_uid, const char *word, const char *details)
{
    struct entry *entry = index_find(engine, about->id);

    if (!is_word(word) || !line_fits(details, 0, ENGINE_VALUE_MAX))
        return -EINVAL;
    struct engine_event *event = journal_new(EVENT_NOTE, now_ns, by_uid);
    if (!event)
        return -ENOMEM;
    memcpy(event->key, word, strlen(word) + 1);
    memcpy(event->value, details, strlen(details) + 1);
    event->before = event->after = *about;
    if (entry)
        journal_of(event, entry);
    journal_append(engine, event);
    if (entry) {
        event->after.change_seq = event->seq;
        index_change(engine, entry, &event->after);
    }
    return 0;
}
