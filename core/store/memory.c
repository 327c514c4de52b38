/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port in memory: for tests, and for whoever wants nothing kept. States
 * live as long as the process, by the name of their directory, so that closing
 * and opening again finds them. It must not touch any file.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A growing array; room is made before a batch is applied, so that applying
 * cannot fail half-way. */
struct list {
    void *items;
    size_t count, room, each;
};

static int list_reserve(struct list *list, size_t each, size_t more)
{
    list->each = each;
    if (list->count + more <= list->room)
        return 0;
    size_t room = (list->count + more) * 2;
    void *items = realloc(list->items, room * each);
    if (items == NULL)
        return -ENOMEM;
    list->items = items;
    list->room = room;
    return 0;
}

static void *list_at(const struct list *list, size_t index)
{
    return (char *)list->items + index * list->each;
}

static void *list_insert(struct list *list, size_t index, const void *item)
{
    char *at = list_at(list, index);
    memmove(at + list->each, at, (list->count - index) * list->each);
    memcpy(at, item, list->each);
    list->count++;
    return at;
}

static void list_remove(struct list *list, size_t index, size_t count)
{
    if (count == 0)
        return;
    char *at = list_at(list, index);
    list->count -= count;
    memmove(at, at + count * list->each, (list->count - index) * list->each);
}

struct setting {
    char key[ENGINE_KEY_MAX], value[ENGINE_VALUE_MAX];
};
struct line {
    uint64_t seq;
    char text[STORE_LINE_MAX];
};
struct kept_device {
    char key[160], name[128];
    uint64_t memory_bytes;
};

/* `device` of partitions and of history is the index in `devices` here. */
struct state {
    struct state *next;
    char *directory;
    bool open;
    struct list settings, partitions, history, lines, replies, devices;
    struct store_counters counters;
    struct store_clock clock;
    int64_t prune_at_ns, pruned_retention_ns;
};

struct memory_store {
    struct store base;
    struct state *state;
    struct store_clock loaded;
    uint32_t *device_rows; /* engine index -> index in state->devices */
    uint32_t index_count;
};

/* What "disk" is to the other adapter. */
static struct state *states;

/* -- finding ---------------------------------------------------------------- */

static size_t partition_index(const struct state *state, uint64_t id)
{
    size_t low = 0, high = state->partitions.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct partition *p = list_at(&state->partitions, middle);
        if (p->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool partition_is_at(const struct state *state, size_t index, uint64_t id)
{
    if (index >= state->partitions.count)
        return false;
    const struct partition *p = list_at(&state->partitions, index);
    return p->id == id;
}

static size_t setting_index(const struct state *state, const char *key)
{
    size_t i = 0;
    while (i < state->settings.count &&
           strcmp(((const struct setting *)list_at(&state->settings, i))->key, key) < 0)
        i++;
    return i;
}

static size_t device_find(const struct state *state, const char *key)
{
    size_t i = 0;
    while (i < state->devices.count &&
           strcmp(((const struct kept_device *)list_at(&state->devices, i))->key, key) != 0)
        i++;
    return i;
}

/* -- loading ------------------------------------------------------------------ */

static uint32_t engine_index(const struct memory_store *store, uint32_t row)
{
    for (uint32_t i = 0; i < store->index_count; i++) {
        if (store->device_rows[i] == row)
            return i;
    }
    return ENGINE_DEVICE_ANY;
}

static int load_partitions(const struct memory_store *store, const struct store_clock *clock,
                           const struct store_sink *sink)
{
    const struct state *state = store->state;
    int rc = 0;
    for (size_t i = 0; rc == 0 && sink->partition != NULL && i < state->partitions.count; i++) {
        struct partition p = *(const struct partition *)list_at(&state->partitions, i);
        const struct kept_device *device = list_at(&state->devices, p.device);
        p.device = engine_index(store, p.device);
        p.start_ns = store_clock_rebase(p.start_ns, &state->clock, clock);
        p.end_ns = store_clock_rebase(p.end_ns, &state->clock, clock);
        rc = sink->partition(sink->context, &p, device->key, device->name, device->memory_bytes);
    }
    return rc;
}

static int load_history(const struct memory_store *store, const struct store_clock *clock,
                        const struct store_sink *sink)
{
    const struct list *history = &store->state->history;
    size_t i = history->count > sink->max_history ? history->count - sink->max_history : 0;
    int rc = 0;
    for (; rc == 0 && sink->history != NULL && i < history->count; i++) {
        struct store_history entry = *(const struct store_history *)list_at(history, i);
        const struct kept_device *device = list_at(&store->state->devices, entry.partition.device);
        memcpy(entry.device_key, device->key, sizeof(entry.device_key));
        memcpy(entry.device_name, device->name, sizeof(entry.device_name));
        entry.device_bytes = device->memory_bytes;
        entry.partition.device = engine_index(store, entry.partition.device);
        entry.partition.hold = 0;
        entry.partition.start_ns = entry.start_wall_ns - clock->offset_ns;
        entry.partition.end_ns = entry.end_wall_ns - clock->offset_ns;
        rc = sink->history(sink->context, &entry);
    }
    return rc;
}

static int memory_load(struct store *base, const struct store_clock *clock,
                       const struct store_sink *sink, struct store_counters *ret_counters,
                       char *message, size_t size)
{
    struct memory_store *store = (struct memory_store *)base;
    const struct state *state = store->state;
    int rc = 0;
    (void)message, (void)size;

    for (size_t i = 0; rc == 0 && sink->setting != NULL && i < state->settings.count; i++) {
        const struct setting *setting = list_at(&state->settings, i);
        rc = sink->setting(sink->context, setting->key, setting->value);
    }
    if (rc == 0)
        rc = load_partitions(store, clock, sink);
    if (rc == 0)
        rc = load_history(store, clock, sink);
    for (size_t i = 0; rc == 0 && sink->line != NULL && i < state->lines.count; i++) {
        const struct line *line = list_at(&state->lines, i);
        rc = sink->line(sink->context, line->seq, line->text);
    }
    for (size_t i = 0; rc == 0 && sink->reply != NULL && i < state->replies.count; i++)
        rc = sink->reply(sink->context, list_at(&state->replies, i));
    if (rc != 0)
        return rc;
    store->loaded = *clock;
    *ret_counters = state->counters;
    return 0;
}

/* -- committing ---------------------------------------------------------------- */

/* Whether the partition is there when item `index` comes: the items before it
 * in the batch say so, or else the state. */
static bool is_there(const struct state *state, const struct store_batch *batch, size_t index)
{
    uint64_t id = batch->items[index].event->after.id;
    while (index-- > 0) {
        const struct engine_event *event = batch->items[index].event;
        if (event->kind != EVENT_SETTING && event->kind != EVENT_NOTE && event->after.id == id)
            return !event_kind_is_end(event->kind);
    }
    return partition_is_at(state, partition_index(state, id), id);
}

static bool makes_sense(const struct memory_store *store, const struct store_batch *batch)
{
    if (batch->item_count > 0 && batch->items[0].event->seq < store->state->counters.next_seq)
        return false;
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct engine_event *event = batch->items[i].event;
        if (event->kind == EVENT_SETTING || event->kind == EVENT_NOTE) {
            if (store_note_moves(event) && !is_there(store->state, batch, i))
                return false;
            continue;
        }
        if (event->after.device >= store->index_count ||
            is_there(store->state, batch, i) == (event->kind == EVENT_CREATED))
            return false;
    }
    return true;
}

static int reserve(struct state *state, const struct store_batch *batch)
{
    size_t n = batch->item_count;
    if (list_reserve(&state->settings, sizeof(struct setting), n) < 0 ||
        list_reserve(&state->partitions, sizeof(struct partition), n) < 0 ||
        list_reserve(&state->history, sizeof(struct store_history), n) < 0 ||
        list_reserve(&state->lines, sizeof(struct line), n) < 0 ||
        list_reserve(&state->replies, sizeof(struct store_reply), batch->reply_count) < 0)
        return -ENOMEM;
    return 0;
}

static void apply_setting(struct state *state, const struct engine_event *event)
{
    size_t index = setting_index(state, event->key);
    struct setting *old = index < state->settings.count ? list_at(&state->settings, index) : NULL;
    if (old != NULL && strcmp(old->key, event->key) == 0)
        list_remove(&state->settings, index, 1);
    if (event->value[0] == '\0')
        return;
    struct setting setting = {0};
    snprintf(setting.key, sizeof(setting.key), "%s", event->key);
    snprintf(setting.value, sizeof(setting.value), "%s", event->value);
    list_insert(&state->settings, index, &setting);
}

static void apply_end(struct state *state, const struct engine_event *event,
                      const struct partition *p, int64_t offset_ns)
{
    struct store_history entry = {.partition = *p,
                                  .start_wall_ns = p->start_ns + offset_ns,
                                  .end_wall_ns = p->end_ns + offset_ns,
                                  .how = event->kind,
                                  .by_uid = event->by_uid};
    entry.partition.change_seq = event->seq;
    list_insert(&state->history, state->history.count, &entry);
}

static void apply_note(struct state *state, const struct engine_event *event)
{
    if (!store_note_moves(event))
        return;
    struct partition *p = list_at(&state->partitions, partition_index(state, event->after.id));
    p->change_seq = event->seq;
}

static void apply_event(struct memory_store *store, const struct engine_event *event,
                        int64_t offset_ns)
{
    struct state *state = store->state;
    if (event->kind == EVENT_SETTING) {
        apply_setting(state, event);
        return;
    }
    if (event->kind == EVENT_NOTE) {
        apply_note(state, event);
        return;
    }
    struct partition p = event->after;
    p.device = store->device_rows[p.device];
    size_t index = partition_index(state, p.id);
    if (event->kind != EVENT_CREATED)
        list_remove(&state->partitions, index, 1);
    if (event_kind_is_end(event->kind))
        apply_end(state, event, &p, offset_ns);
    else
        list_insert(&state->partitions, index, &p);
    if (p.id >= state->counters.next_id)
        state->counters.next_id = p.id + 1;
}

static void apply_item(struct memory_store *store, const struct store_item *item, int64_t offset_ns)
{
    apply_event(store, item->event, offset_ns);
    store->state->counters.next_seq = item->event->seq + 1;
    if (item->line == NULL || item->line[0] == '\0')
        return;
    struct line line = {.seq = item->event->seq};
    snprintf(line.text, sizeof(line.text), "%s", item->line);
    list_insert(&store->state->lines, store->state->lines.count, &line);
}

static void apply_clock(struct memory_store *store, const struct store_batch *batch)
{
    struct state *state = store->state;
    if (strcmp(state->clock.boot_id, batch->clock.boot_id) != 0) {
        bool same = strcmp(store->loaded.boot_id, batch->clock.boot_id) == 0;
        const struct store_clock *to = same ? &store->loaded : &batch->clock;
        for (size_t i = 0; i < state->partitions.count; i++) {
            struct partition *p = list_at(&state->partitions, i);
            p->start_ns = store_clock_rebase(p->start_ns, &state->clock, to);
            p->end_ns = store_clock_rebase(p->end_ns, &state->clock, to);
        }
    }
    if (store_clock_differs(&state->clock, &batch->clock))
        state->clock = batch->clock;
    state->counters.mount_id = batch->mount_id;
}

static void drop_old(struct state *state, const struct store_batch *batch)
{
    int64_t now_ns, before_ns;
    size_t n = 0;
    while (n < state->lines.count &&
           ((const struct line *)list_at(&state->lines, n))->seq < batch->first_line_seq)
        n++;
    list_remove(&state->lines, 0, n);
    if (!store_prune_before(batch, &now_ns, &before_ns))
        return;
    for (n = 0; n < state->history.count; n++) {
        if (((const struct store_history *)list_at(&state->history, n))->end_wall_ns >= before_ns)
            break;
    }
    list_remove(&state->history, 0, n);
}

static int memory_commit(struct store *base, const struct store_batch *batch, char *message,
                         size_t size)
{
    struct memory_store *store = (struct memory_store *)base;
    struct state *state = store->state;

    if (!makes_sense(store, batch)) {
        snprintf(message, size, "the events do not follow from what is kept");
        return -EINVAL;
    }
    if (reserve(state, batch) < 0)
        return -ENOMEM;
    apply_clock(store, batch);
    for (size_t i = 0; i < batch->item_count; i++)
        apply_item(store, &batch->items[i], batch->clock.offset_ns);
    state->replies.count = 0;
    for (size_t i = 0; i < batch->reply_count; i++)
        list_insert(&state->replies, i, &batch->replies[i]);
    drop_old(state, batch);
    return 0;
}

static int memory_devices(struct store *base, const struct gpu_device *devices, uint32_t count,
                          char *message, size_t size)
{
    struct memory_store *store = (struct memory_store *)base;
    struct list *kept = &store->state->devices;
    uint32_t *rows = calloc(count + 1, sizeof(*rows));
    (void)message, (void)size;

    if (rows == NULL || list_reserve(kept, sizeof(struct kept_device), count) < 0) {
        free(rows);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct kept_device device = {.memory_bytes = devices[i].memory_bytes};
        snprintf(device.key, sizeof(device.key), "%s", devices[i].key);
        snprintf(device.name, sizeof(device.name), "%s", devices[i].name);
        size_t index = device_find(store->state, device.key);
        rows[i] = (uint32_t)index;
        if (index < kept->count)
            list_remove(kept, index, 1);
        list_insert(kept, index, &device);
    }
    free(store->device_rows);
    store->device_rows = rows;
    store->index_count = count;
    return 0;
}

/* -- opening ------------------------------------------------------------------- */

static void memory_close(struct store *base)
{
    struct memory_store *store = (struct memory_store *)base;
    if (store->state != NULL)
        store->state->open = false;
    free(store->device_rows);
    free(store);
}

static const struct store_ops memory_ops = {
    .load = memory_load, .devices = memory_devices, .commit = memory_commit, .close = memory_close};

static struct state *state_named(const char *directory)
{
    struct state *state = states;
    while (state != NULL && strcmp(state->directory, directory) != 0)
        state = state->next;
    if (state != NULL)
        return state;
    state = calloc(1, sizeof(*state));
    char *copy = strdup(directory);
    if (state == NULL || copy == NULL) {
        free(state);
        free(copy);
        return NULL;
    }
    state->directory = copy;
    state->counters = (struct store_counters){.next_id = 1, .next_seq = 1};
    state->next = states;
    states = state;
    return state;
}

static int memory_open(const char *directory, bool check, struct store **ret_store, char *message,
                       size_t size)
{
    struct memory_store *store = calloc(1, sizeof(*store));
    struct state *state = state_named(directory);
    (void)check;
    if (store == NULL || state == NULL || state->open) {
        bool busy = state != NULL && state->open;
        snprintf(message, size, "%s is %s", directory, busy ? "in use" : "too much: no memory");
        free(store);
        return busy ? -EBUSY : -ENOMEM;
    }
    store->base.ops = &memory_ops;
    store->state = state;
    state->open = true;
    *ret_store = &store->base;
    return 0;
}

const struct store_kind store_memory = {.name = "memory", .open = memory_open};
