/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restore the engine from the store when a worker starts: settings, partitions, logs, and the
 * answers that a dead worker may not have sent. See server.h.
 */
#include "core/base/array.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/engine/accounts.h"
#include "core/gpu/identity.h"
#include "fs/tree/charge.h"
#include "fs/tree/event_text.h"
#include "fs/tree/follow.h"
#include "fs/tree/names.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Slots that hold the last restored line of each partition, to link the next one to it. Only used
 * while loading; twice as many as lines are kept. */
#define CHAIN_SLOTS (2 * EVENT_LOG_LINES_MAX)

/* The newest lines of the history are shown. */
#define HISTORY_SHOWN (EVENT_LOG_LINES_MAX / 2)

#define FOUND_SLOTS 4096

struct restore {
    struct server *server;
    struct store_history shown[HISTORY_SHOWN]; /* a ring: entry i is at i % HISTORY_SHOWN */
    struct {
        uint64_t id, seq;
    } chains[CHAIN_SLOTS];
    /* The devices that records named last, by hash: there can be a thousand of them, and a million
     * records. */
    struct {
        char key[sizeof(((struct gpu_device *)NULL)->key)]; /* "": none */
        uint32_t index;
    } found[FOUND_SLOTS];
};

static int add_device(struct server *server, const struct gpu_device *device, bool present)
{
    struct tree *tree = &server->tree;
    struct engine_device engine_device = {.memory_bytes = device->memory_bytes, .present = present};
    uint32_t index;
    if (tree->device_count == TREE_DEVICE_MAX)
        return -ENOSPC;
    int r = engine_add_device(tree->engine, &engine_device, &index);
    if (r)
        return r;
    server->devices[index] = *device;
    tree->device_count = index + 1;
    return engine_name_device(tree->engine, index, server->devices[index].key);
}

/* Return a device's index, or ENGINE_DEVICE_ANY if there is none of this key. */
static uint32_t index_of(struct restore *restore, const char *key)
{
    const struct tree *tree = &restore->server->tree;
    const size_t slot = hash_text(HASH_START, key) % FOUND_SLOTS;
    if (*key && !strcmp(restore->found[slot].key, key))
        return restore->found[slot].index;
    int index = gpu_find_key(tree->devices, tree->device_count, key);
    if (index < 0)
        return ENGINE_DEVICE_ANY;
    snprintf(restore->found[slot].key, sizeof(restore->found[slot].key), "%s", key);
    restore->found[slot].index = (uint32_t)index;
    return (uint32_t)index;
}

/* Find a device's index by its key. Add a device that is gone, so that its partitions can run to
 * their end. */
static int find_device(struct restore *restore, const struct store_device *device,
                       uint32_t *ret_index)
{
    struct server *server = restore->server;
    const struct tree *tree = &server->tree;
    uint32_t index = index_of(restore, device->key);
    if (index != ENGINE_DEVICE_ANY) {
        *ret_index = index;
        return 0;
    }
    struct gpu_device absent = {.memory_bytes = device->bytes};
    snprintf(absent.key, sizeof(absent.key), "%s", device->key);
    snprintf(absent.name, sizeof(absent.name), "%s", device->name);
    snprintf(absent.backend, sizeof(absent.backend), "absent");
    int r = add_device(server, &absent, false);
    if (!r)
        *ret_index = tree->device_count - 1;
    return r;
}

static int restore_setting(void *context, const char *key, const char *value)
{
    struct restore *restore = context;
    return engine_restore_setting(restore->server->tree.engine, key, value);
}

static int restore_waiting(struct restore *restore, const struct store_partition *stored,
                           const struct partition *partition)
{
    struct waiting waiting = *stored->waiting;
    uint32_t index = 0;
    int r = 0;
    for (size_t i = 0; i < stored->barred.count && !r; i++) {
        r = find_device(restore, stored->barred.devices[i], &index);
        if (!r)
            waiting_bar(&waiting, index);
    }
    for (size_t i = 0; i < stored->preferred.count && !r; i++) {
        r = find_device(restore, stored->preferred.devices[i], &index);
        if (!r)
            waiting_prefer(&waiting, index);
    }
    return r ? r : engine_restore_waiting(restore->server->tree.engine, partition, &waiting);
}

static int restore_partition(void *context, const struct store_partition *stored)
{
    struct restore *restore = context;
    struct tree *tree = &restore->server->tree;
    const struct store_usage *usage = &stored->usage;
    struct partition copy = stored->partition;
    int r = ledger_restore(tree->ledger, copy.id, usage->peak_bytes, usage->gpu_ns);
    for (uint32_t i = 0; i < copy.share_count && !r; i++)
        r = find_device(restore, stored->devices[i], &copy.shares[i].device);
    if (r)
        return r;
    return stored->waiting ? restore_waiting(restore, stored, &copy)
                           : engine_restore(tree->engine, &copy);
}

static int restore_usage(void *context, const struct usage_record *record)
{
    struct restore *restore = context;
    return engine_restore_usage(restore->server->tree.engine, record);
}

static int restore_origin(void *context, int64_t origin_ns)
{
    struct restore *restore = context;
    engine_restore_origin(restore->server->tree.engine, origin_ns);
    return 0;
}

static int restore_guest(void *context, uint64_t id, uint32_t uid)
{
    struct restore *restore = context;
    struct engine *engine = restore->server->tree.engine;
    return engine_is_known(engine, id) ? engine_restore_guest(engine, id, uid) : 0;
}

/* Partitions that have ended may still have running processes, however many ended since. */
static int keep_ended(struct restore *restore, const struct store_history *entry)
{
    struct server *server = restore->server;
    int r = array_reserve(server->ended, server->ended_capacity, server->ended_count + 1);
    if (r)
        return r;
    struct host_partition *ended = &server->ended[server->ended_count++];
    struct partition *partition = &ended->partition;
    ended->account = names_account(server->tree.names, entry->partition.uid);
    *partition = entry->partition;
    partition->share_count = 0;
    for (uint32_t i = 0; i < entry->partition.share_count; i++) {
        uint32_t device = index_of(restore, entry->devices[i]->key);
        if (device == ENGINE_DEVICE_ANY)
            continue;
        partition->shares[partition->share_count] = entry->partition.shares[i];
        partition->shares[partition->share_count++].device = device;
    }
    return 0;
}

static int restore_history(void *context, const struct store_history *entry)
{
    struct restore *restore = context;
    restore->shown[restore->server->ended_count % HISTORY_SHOWN] = *entry;
    return keep_ended(restore, entry);
}

static int show_ended(struct restore *restore, const struct store_history *entry)
{
    struct tree *tree = &restore->server->tree;
    char line[STORE_LINE_MAX];
    struct partition partition = entry->partition;
    for (uint32_t i = 0; i < partition.share_count; i++)
        partition.shares[i].device = index_of(restore, entry->devices[i]->key);
    struct tree_ended ended = {.partition = &partition,
                               .start_wall_ns = entry->start_wall_ns,
                               .end_wall_ns = entry->end_wall_ns,
                               .how = entry->how,
                               .by_uid = entry->by_uid,
                               .peak_bytes = entry->usage.peak_bytes,
                               .gpu_ns = entry->usage.gpu_ns};
    tree_history_line(tree, &ended, line, sizeof(line));
    return event_log_append(&tree->history, entry->partition.change_seq, 0,
                            names_account(tree->names, entry->partition.uid), line);
}

/* Show the newest of the history. */
static int finish_history(struct restore *restore)
{
    struct server *server = restore->server;
    size_t count = server->ended_count;
    int r = 0;
    for (size_t i = count > HISTORY_SHOWN ? count - HISTORY_SHOWN : 0; i < count && !r; i++)
        r = show_ended(restore, &restore->shown[i % HISTORY_SHOWN]);
    return r;
}

/* The id of a line's partition is its fourth word. */
static uint64_t line_partition(const char *line)
{
    for (int word = 0; word < 3; word++) {
        line = strchr(line, ' ');
        if (!line)
            return 0;
        line++;
    }
    return tree_partition_number(line, strcspn(line, " "));
}

static int restore_line(void *context, uint64_t seq, const char *line)
{
    struct restore *restore = context;
    uint64_t id = line_partition(line), previous = 0;
    for (size_t i = 0; id && i < CHAIN_SLOTS; i++) {
        size_t slot = (id + i) % CHAIN_SLOTS;
        if (restore->chains[slot].id && restore->chains[slot].id != id)
            continue;
        previous = restore->chains[slot].seq;
        restore->chains[slot].id = id;
        restore->chains[slot].seq = seq;
        break;
    }
    struct tree *tree = &restore->server->tree;
    event_log_skip(&tree->events, tree_line_silent(line));
    return event_log_append(&tree->events, seq, previous, tree_line_account(tree, line), line);
}

static int restore_reply(void *context, const struct store_reply *reply)
{
    struct restore *restore = context;
    struct server *server = restore->server;
    int r = array_reserve(server->replies, server->reply_capacity, server->reply_count + 1);
    if (r)
        return r;
    server->replies[server->reply_count++] = *reply;
    return 0;
}

static int load(struct server *server, struct store_counters *ret_counters, struct message *message)
{
    struct restore *restore = calloc(1, sizeof(*restore));
    struct store_clock clock;
    struct store_sink sink = {.context = restore,
                              .setting = restore_setting,
                              .usage = restore_usage,
                              .origin = restore_origin,
                              .partition = restore_partition,
                              .guest = restore_guest,
                              .history = restore_history,
                              .line = restore_line,
                              .reply = restore_reply,
                              .max_history = SIZE_MAX};
    if (!restore)
        return -ENOMEM;
    restore->server = server;
    int r = store_clock_now(&clock);
    server->tree.offset_ns = r ? 0 : clock.offset_ns;
    submit_set_calendar(server);
    if (!r)
        r = store_load(server->store, &clock, &sink, ret_counters, message);
    if (!r)
        r = finish_history(restore);
    free(restore);
    return r;
}

static const struct store_kind *find_kind(const char *name)
{
    return !strcmp(name, store_memory.name) ? &store_memory : &store_sqlite;
}

int recover_state(struct server *server)
{
    struct tree *tree = &server->tree;
    const struct gpu_list *list = &tree->shared->devices;
    struct store_counters counters = {0};
    struct message message = {"There is not enough memory."};
    int r = 0;
    for (uint32_t i = 0; i < list->count && !r; i++)
        r = add_device(server, &list->device[i], true);
    if (!r)
        r = find_kind(tree->shared->store)
                ->open(tree->shared->state_dir, false, &server->store, &message);
    if (!r)
        r = load(server, &counters, &message);
    if (r) {
        log_say("Cannot use the state in %s. %s", tree->shared->state_dir, message.text);
        return r;
    }
    engine_restore_counters(tree->engine, counters.next_id, counters.next_seq);
    follow_take_back(&server->handles, counters.next_seq); /* what was not durable */
    /* Do not reuse the id of a reverted grant if a process was about to join it. */
    engine_restore_counters(tree->engine, tree->shared->next_id, 0);
    if (counters.mount_id != tree->shared->mount_id)
        server->reply_count = 0; /* of an earlier mount: its requests are gone */
    /* Let users with partitions be found by name from the first request on. */
    uint32_t uid;
    for (uint64_t from = 0; engine_next_user(tree->engine, from, &uid); from = (uint64_t)uid + 1)
        names_user(tree->names, uid);
    ledger_forget_ended(tree->ledger);
    return charge_restore(tree, &server->handles);
}
