/* SPDX-License-Identifier: Apache-2.0 */
/* Cache invalidation; see invalidate.h. */
#include "invalidate.h"

#include "cached.h"
#include "core/gpu/gpu.h"
#include "fs/tree/files.h"
#include "session.h"

/* Those in `set` (cached.h). */
static void forget_files(struct session *session, enum dir_kind dir, uint64_t object, uint64_t set)
{
    for (const struct file_row *row = tree_table[dir].rows; row->name; row++) {
        struct node file = {.dir = dir, .object = object, .file = tree_node_hash(row->name)};
        if (row->fresh != FRESH_NEVER && cached_has(set, &file))
            session_forget_node(session, tree_node_id(&file));
    }
}

/* `links`: the one in `partitions`, and those in directories of devices. */
static void forget_partition(struct session *session, uint64_t id, uint32_t links)
{
    struct node partition = {.dir = DIR_PARTITION, .object = id};
    struct node in_list = {.dir = DIR_PARTITIONS, .object = id, .link = true};
    const uint64_t set = session_cached(session, id);
    if (!set)
        return;
    if (cached_has(set, &partition))
        session_forget_node(session, tree_node_id(&partition));
    for (in_list.share = 0; cached_has(set, &in_list) && in_list.share < links; in_list.share++)
        session_forget_node(session, tree_node_id(&in_list));
    forget_files(session, DIR_PARTITION, id, set);
}

/* Return whether settings are among the events. */
static bool forget(struct session *session, const struct engine_event *events, bool taken_back)
{
    bool setting = false;
    for (; events; events = events->next) {
        enum event_kind kind = events->kind;
        if (!taken_back && (kind == EVENT_CREATED || kind == EVENT_EXPIRED))
            continue;
        /* These change only files that are never cached. */
        if (kind == EVENT_NOTE || kind == EVENT_WARNED || kind == EVENT_MISSED ||
            kind == EVENT_USED || kind == EVENT_SHARED || kind == EVENT_UNSHARED)
            continue;
        setting |= kind == EVENT_SETTING;
        if (kind != EVENT_SETTING)
            forget_partition(session, events->after.id, events->after.share_count);
    }
    if (setting) {
        forget_files(session, DIR_CONFIG, 0, UINT64_MAX);
        forget_files(session, DIR_ROOT, 0, UINT64_MAX);
    }
    return setting;
}

void invalidate_events(struct session *session, const struct engine_event *events)
{
    forget(session, events, false);
}

void invalidate_taken_back(struct session *session, const struct engine_event *events,
                           uint32_t device_count)
{
    bool setting = forget(session, events, true);
    for (uint32_t device = 0; setting && device < device_count; device++)
        forget_files(session, DIR_DEVICE, device, UINT64_MAX);
}
