/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See help.h.
 */
#include "help.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Make room for one more: twice as much, because some allocators always copy what is there. */
static void *grow(void *items, size_t count, size_t each)
{
    if ((count & (count - 1)) != 0)
        return items;
    void *more = realloc(items, (count ? 2 * count : 1) * each);
    if (!more)
        abort();
    return more;
}

static int told(struct kept *kept)
{
    return ++kept->calls == kept->stop_after ? 42 : 0;
}

static int keep_setting(void *context, const char *key, const char *value)
{
    struct kept *kept = context;
    kept->settings = grow(kept->settings, kept->setting_count, sizeof(*kept->settings));
    struct kept_setting *setting = &kept->settings[kept->setting_count++];
    snprintf(setting->key, sizeof(setting->key), "%s", key);
    snprintf(setting->value, sizeof(setting->value), "%s", value);
    return told(kept);
}

static void keep_keys(const struct partition *p, const struct store_device *const *devices,
                      char keys[SHARE_MAX][160])
{
    for (uint32_t i = 0; i < p->share_count; i++)
        snprintf(keys[i], sizeof(keys[i]), "%s", devices[i]->key);
}

static void keep_set(const struct store_device_set *set, char keys[8][160])
{
    for (size_t i = 0; i < set->count && i < 8; i++)
        snprintf(keys[i], sizeof(keys[i]), "%s", set->devices[i]->key);
}

static int keep_partition(void *context, const struct store_partition *stored)
{
    struct kept *kept = context;
    kept->partitions = grow(kept->partitions, kept->partition_count, sizeof(*kept->partitions));
    struct kept_partition *p = &kept->partitions[kept->partition_count++];
    *p = (struct kept_partition){.p = stored->partition,
                                 .device = *stored->devices[0],
                                 .barred_count = stored->barred.count,
                                 .preferred_count = stored->preferred.count,
                                 .usage = stored->usage};
    keep_keys(&stored->partition, stored->devices, p->keys);
    if (stored->waiting)
        p->waiting = *stored->waiting;
    keep_set(&stored->barred, p->barred);
    keep_set(&stored->preferred, p->preferred);
    return told(kept);
}

static int keep_guest(void *context, uint64_t id, uint32_t uid)
{
    struct kept *kept = context;
    kept->guests = grow(kept->guests, kept->guest_count, sizeof(*kept->guests));
    kept->guests[kept->guest_count++] = (struct kept_guest){id, uid};
    return told(kept);
}

static int keep_history(void *context, const struct store_history *entry)
{
    struct kept *kept = context;
    kept->history = grow(kept->history, kept->history_count, sizeof(*kept->history));
    struct kept_history *one = &kept->history[kept->history_count++];
    *one = (struct kept_history){.entry = *entry, .device = *entry->devices[0]};
    keep_keys(&entry->partition, entry->devices, one->keys);
    return told(kept);
}

static int keep_line(void *context, uint64_t seq, const char *text)
{
    struct kept *kept = context;
    kept->lines = grow(kept->lines, kept->line_count, sizeof(*kept->lines));
    struct kept_line *line = &kept->lines[kept->line_count++];
    line->seq = seq;
    snprintf(line->text, sizeof(line->text), "%s", text);
    return told(kept);
}

static int keep_reply(void *context, const struct store_reply *reply)
{
    struct kept *kept = context;
    kept->replies = grow(kept->replies, kept->reply_count, sizeof(*kept->replies));
    kept->replies[kept->reply_count++] = *reply;
    return told(kept);
}

void kept_clear(struct kept *kept)
{
    free(kept->settings);
    free(kept->partitions);
    free(kept->guests);
    free(kept->history);
    free(kept->lines);
    free(kept->replies);
    *kept = (struct kept){.stop_after = kept->stop_after};
}

int kept_load(struct kept *kept, struct store *store, const struct store_clock *clock,
              size_t max_history, struct message *why)
{
    struct store_sink sink = {.context = kept,
                              .setting = keep_setting,
                              .partition = keep_partition,
                              .guest = keep_guest,
                              .history = keep_history,
                              .line = keep_line,
                              .reply = keep_reply,
                              .max_history = max_history};
    kept_clear(kept);
    return store_load(store, clock, &sink, &kept->counters, why);
}

const struct kept_partition *kept_find(const struct kept *kept, uint64_t id)
{
    for (size_t i = 0; i < kept->partition_count; i++) {
        if (kept->partitions[i].p.id == id)
            return &kept->partitions[i];
    }
    return NULL;
}

void attempt_begin(struct attempt *attempt, const struct store_clock *clock)
{
    memset(&attempt->batch, 0, sizeof(attempt->batch));
    attempt->batch.items = attempt->items;
    attempt->batch.replies = attempt->replies;
    attempt->batch.usages = attempt->usages;
    attempt->batch.clock = *clock;
    attempt->batch.retention_ns = INT64_MAX;
}

static struct engine_event *add(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                const char *line)
{
    size_t i = attempt->batch.item_count++;
    if (i >= TRY_MAX)
        abort();
    struct engine_event *event = &attempt->events[i];
    memset(event, 0, sizeof(*event));
    event->seq = seq;
    event->kind = kind;
    snprintf(attempt->lines[i], sizeof(attempt->lines[i]), "%s", line ? line : "");
    attempt->items[i] = (struct store_item){.event = event, .line = attempt->lines[i]};
    return event;
}

struct engine_event *attempt_add(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                 const struct partition *after, const char *line)
{
    struct engine_event *event = add(attempt, seq, kind, line);
    event->after = *after;
    event->after.change_seq = seq;
    event->by_uid = after->uid;
    attempt->items[attempt->batch.item_count - 1].account = after->uid;
    event->at_ns = event_kind_is_end(kind) ? after->end_ns : after->start_ns;
    return event;
}

struct engine_event *attempt_wait(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                  const struct partition *after, const struct waiting *waiting)
{
    struct engine_event *event = attempt_add(attempt, seq, kind, after, NULL);
    event->waiting_after = *waiting;
    return event;
}

struct engine_event *attempt_note(struct attempt *attempt, uint64_t seq,
                                  const struct partition *about, bool moves, const char *line)
{
    struct engine_event *event = add(attempt, seq, EVENT_NOTE, line);
    event->before = event->after = *about;
    event->before.change_seq = 0;
    event->after.change_seq = moves ? seq : 0;
    return event;
}

struct engine_event *attempt_share(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                   const struct partition *p, uint32_t uid)
{
    struct engine_event *event = attempt_add(attempt, seq, kind, p, "shared");
    event->guest = uid;
    return event;
}

void attempt_set(struct attempt *attempt, uint64_t seq, const char *key, const char *value)
{
    struct engine_event *event = add(attempt, seq, EVENT_SETTING, NULL);
    snprintf(event->key, sizeof(event->key), "%s", key);
    snprintf(event->value, sizeof(event->value), "%s", value);
}

void attempt_usage(struct attempt *attempt, uint64_t id, uint64_t peak_bytes, uint64_t gpu_ns)
{
    attempt->usages[attempt->batch.usage_count++] =
        (struct store_partition_usage){id, {peak_bytes, gpu_ns}};
}

void attempt_reply(struct attempt *attempt, uint64_t unique, uint64_t result)
{
    attempt->replies[attempt->batch.reply_count++] = (struct store_reply){unique, result};
}

struct partition partition_make(uint64_t id, int64_t start_ns, int64_t end_ns)
{
    return (struct partition){.id = id,
                              .uid = 1000,
                              .gid = 100,
                              .mode = 0755,
                              .state = PARTITION_ACTIVE,
                              .share_count = 1,
                              .shares[0].memory_bytes = 5 << 20,
                              .start_ns = start_ns,
                              .end_ns = end_ns,
                              .created_wall_ns = 1795226304146806967,
                              .creator_uid = 1000,
                              .creator_pid = 4711};
}

struct partition partition_waits(uint64_t id, int64_t start_ns, int64_t end_ns, uint32_t shares)
{
    struct partition p = partition_make(id, start_ns, end_ns);
    p.state = PARTITION_PENDING;
    p.share_count = shares;
    for (uint32_t i = 0; i < shares; i++)
        p.shares[i] = (struct share){.device = i, .memory_bytes = (5 + i) << 20};
    return p;
}

struct waiting waiting_make(int64_t promised_ns)
{
    return (struct waiting){.promised_ns = promised_ns,
                            .asked_ns = -7,
                            .give_up_ns = INT64_MAX,
                            .amount = {true, 25, 100, 0},
                            .priority = PRIORITY_NORMAL,
                            .anywhere = true};
}

void devices_make(struct store_device *devices, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        memset(&devices[i], 0, sizeof(devices[i]));
        snprintf(devices[i].key, sizeof(devices[i].key), "key%u", i);
        snprintf(devices[i].name, sizeof(devices[i].name), "dev%u", i);
        devices[i].bytes = UINT64_C(80) << 30;
    }
}

void directory_remove(const char *path)
{
    char name[PATH_MAX];
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        snprintf(name, sizeof(name), "%.2000s/%.255s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(name);
    }
    if (directory)
        closedir(directory);
    rmdir(path);
}
