/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations on partitions: who may do it, is it allowed, then one event and
 * one change of the book. Everything that can fail comes before the change.
 */
#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MODE_NEW 0755

/* Root of another pid namespace has the number of this machine's root, and is
 * somebody else. */
static bool is_owner(const struct caller *caller, const struct partition *partition)
{
    return caller->uid == partition->uid &&
           (caller->uid != 0 ||
            (caller->ns == partition->creator_ns && caller->ns != ENGINE_NS_UNKNOWN));
}

bool engine_may_act(const struct caller *caller, const struct partition *partition)
{
    return caller->admin || is_owner(caller, partition);
}

/* The live partition `id`, when the caller may act on it. */
static int reach(const struct engine *engine, int64_t now_ns, const struct caller *caller,
                 uint64_t id, bool by_mode, struct refusal *why, struct entry **ret_entry)
{
    struct entry *entry = book_find(engine, id);

    if (!entry || entry->partition.end_ns <= now_ns)
        return refuse(REFUSED_GONE, why, "there is no partition p%" PRIu64 "; it may have ended",
                      id);
    if (!engine_may_act(caller, &entry->partition) && !(by_mode && caller->by_mode))
        return refuse(REFUSED_PERMISSION, why,
                      "Permission denied: partition p%" PRIu64 " is owned by uid %" PRIu32, id,
                      entry->partition.uid);
    *ret_entry = entry;
    return 0;
}

/* Makes `entry` the record `after`, with its event. */
static int change(struct engine *engine, struct entry *entry, enum event_kind kind, int64_t now_ns,
                  const struct caller *caller, const struct partition *after)
{
    struct engine_event *event = event_new(kind, now_ns, caller->uid);

    if (!event)
        return -ENOMEM;
    event->before = entry->partition;
    event->after = *after;
    event_append(engine, event);
    event->after.change_seq = event->seq;
    book_change(engine, entry, &event->after);
    return 0;
}

static int check_create(const struct caller *caller, const struct request *request,
                        uint32_t owner_uid, uint64_t hold, struct refusal *why)
{
    if (owner_uid != caller->uid && !caller->admin)
        return refuse(
            REFUSED_PERMISSION, why,
            "Permission denied: only administrators can create partitions for other users");
    if (request->hold && hold == 0)
        return refuse(REFUSED_INVALID, why,
                      "hold ties a partition to an open file; it must be written to `new` through "
                      "a file that stays open, like exec 3<>new; echo \"0.5 3600 hold\" >&3");
    if (request->name[0])
        return label_check(request->name, strnlen(request->name, sizeof request->name),
                           why->sentence, sizeof why->sentence);
    return 0;
}

int engine_create(struct engine *engine, int64_t now_ns, int64_t wall_ns,
                  const struct caller *caller, uint32_t device, const struct request *request,
                  uint32_t owner_uid, uint32_t owner_gid, uint64_t hold, struct refusal *why,
                  uint64_t *ret_id)
{
    struct partition partition = {.uid = owner_uid,
                                  .gid = owner_gid,
                                  .mode = MODE_NEW,
                                  .on_expiry = request->on_expiry,
                                  .start_ns = now_ns,
                                  .end_ns = timeline_later(now_ns, request->duration_ns),
                                  .created_wall_ns = wall_ns,
                                  .hold = request->hold ? hold : 0,
                                  .creator_ns = caller->ns,
                                  .creator_uid = caller->uid,
                                  .creator_pid = caller->pid};
    struct engine_event *event;
    struct entry *entry = NULL;
    int r = check_create(caller, request, owner_uid, hold, why);

    if (r == 0)
        r = admit_create(engine, now_ns, caller, device, request, why, &partition.device,
                         &partition.memory_bytes);
    if (r)
        return r;
    if (partition.on_expiry == UINT32_MAX)
        partition.on_expiry = engine->policy.default_on_expiry;
    memcpy(partition.name, request->name, sizeof partition.name);
    entry = calloc(1, sizeof *entry);
    event = event_new(EVENT_CREATED, now_ns, caller->uid);
    if (!entry || !event) {
        free(entry);
        free(event);
        return -ENOMEM;
    }
    partition.id = engine->next_id++;
    event_append(engine, event);
    partition.change_seq = event->seq;
    event->after = entry->partition = partition;
    book_add(engine, entry);
    *ret_id = partition.id;
    return 0;
}

int engine_release(struct engine *engine, int64_t now_ns, const struct caller *caller, uint64_t id,
                   struct refusal *why)
{
    struct engine_event *event;
    struct entry *entry = NULL;
    int r = reach(engine, now_ns, caller, id, false, why, &entry);

    if (r)
        return r;
    event = event_new(is_owner(caller, &entry->partition) ? EVENT_RELEASED : EVENT_REVOKED, now_ns,
                      caller->uid);
    if (!event)
        return -ENOMEM;
    event_end(engine, event, entry);
    return 0;
}

int engine_resize(struct engine *engine, int64_t now_ns, const struct caller *caller, uint64_t id,
                  uint64_t bytes, struct refusal *why)
{
    struct partition after;
    struct entry *entry = NULL;
    int r = reach(engine, now_ns, caller, id, true, why, &entry);

    if (r == 0)
        r = admit_resize(engine, now_ns, caller, &entry->partition, bytes, why);
    if (r || entry->partition.memory_bytes == bytes)
        return r;
    after = entry->partition;
    after.memory_bytes = bytes;
    return change(engine, entry, EVENT_RESIZED, now_ns, caller, &after);
}

int engine_set_end(struct engine *engine, int64_t now_ns, const struct caller *caller, uint64_t id,
                   int64_t end_ns, struct refusal *why)
{
    struct partition after;
    struct entry *entry = NULL;
    int r = reach(engine, now_ns, caller, id, true, why, &entry);

    if (r == 0)
        r = admit_end(engine, now_ns, caller, &entry->partition, end_ns, why);
    if (r || entry->partition.end_ns == end_ns)
        return r;
    after = entry->partition;
    after.end_ns = end_ns;
    return change(engine, entry,
                  end_ns > entry->partition.end_ns ? EVENT_EXTENDED : EVENT_SHORTENED, now_ns,
                  caller, &after);
}

int engine_rename(struct engine *engine, int64_t now_ns, const struct caller *caller, uint64_t id,
                  const char *name, struct refusal *why)
{
    size_t length = strlen(name);
    struct partition after;
    struct entry *entry = NULL;
    int r = reach(engine, now_ns, caller, id, true, why, &entry);

    if (r == 0 && length > 0)
        r = label_check(name, length, why->sentence, sizeof why->sentence);
    if (r || strcmp(entry->partition.name, name) == 0)
        return r;
    after = entry->partition;
    memset(after.name, 0, sizeof after.name);
    memcpy(after.name, name, length);
    return change(engine, entry, EVENT_RENAMED, now_ns, caller, &after);
}

int engine_hand_over(struct engine *engine, int64_t now_ns, const struct caller *caller,
                     uint64_t id, uint32_t uid, uint32_t gid, uint32_t mode, struct refusal *why)
{
    struct partition after;
    struct entry *entry = NULL;
    int r = reach(engine, now_ns, caller, id, false, why, &entry);

    if (r)
        return r;
    after = entry->partition;
    if (uid != after.uid && !caller->admin)
        return refuse(REFUSED_PERMISSION, why,
                      "Permission denied: only administrators can hand partition p%" PRIu64
                      " to another user",
                      id);
    after.uid = uid;
    after.gid = gid;
    after.mode = mode & 07777;
    if (after.uid == entry->partition.uid && after.gid == entry->partition.gid &&
        after.mode == entry->partition.mode)
        return 0;
    return change(engine, entry, EVENT_HANDED, now_ns, caller, &after);
}
