/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: forwards each call to the adapter behind it, after rejecting what no adapter can
 * store. It must not know any adapter.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int store_load(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
               struct store_counters *ret_counters, struct message *message)
{
    return store->ops->load(store, clock, sink, ret_counters, message);
}

bool store_label_fits(const char *label)
{
    size_t length = strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-");
    return label[length] == '\0' && length <= PARTITION_NAME_MAX;
}

int store_devices(struct store *store, const struct store_device *devices, uint32_t count,
                  struct message *message)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!line_fits(devices[i].key, 1, sizeof(devices[i].key)) ||
            !line_fits(devices[i].name, 0, sizeof(devices[i].name)) || devices[i].bytes == 0 ||
            devices[i].bytes > INT64_MAX) {
            return message_set(-EINVAL, message, "Device %u has no valid key, name or memory.", i);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(devices[i].key, devices[j].key) == 0)
                return message_set(-EINVAL, message, "Devices %u and %u have the same key %s.", j,
                                   i, devices[i].key);
        }
    }
    return store->ops->devices(store, devices, count, message);
}

static bool time_fits(int64_t ns)
{
    return ns >= -STORE_TIME_MAX && ns <= STORE_TIME_MAX;
}

bool store_waiting_fits(const struct partition *p, const struct waiting *waiting)
{
    return waiting_is_sound(waiting) && waiting->promised_ns >= p->start_ns;
}

static bool shares_fit(const struct partition *p)
{
    bool fits = p->share_count > 0 && p->share_count <= SHARE_MAX;
    for (uint32_t i = 0; fits && i < p->share_count; i++) {
        fits = p->shares[i].memory_bytes > 0 && p->shares[i].memory_bytes <= INT64_MAX;
        for (uint32_t j = 0; fits && j < i; j++)
            fits = p->shares[i].device != p->shares[j].device;
    }
    return fits;
}

/* Whether it has a row for this (see waiting_is_kept). */
static bool keeps_waiting(const struct engine_event *event)
{
    return event->after.state == PARTITION_PENDING ||
           waiting_is_kept(&event->waiting_after, event->after.state);
}

static bool partition_fits(const struct engine_event *event)
{
    const struct partition *p = &event->after;
    bool ends = event_kind_is_end(event->kind);
    return p->id > 0 && p->id < INT64_MAX && shares_fit(p) && p->mode <= 07777 &&
           ending_is_sound(p) && p->creator_pid >= 0 && p->change_seq <= event->seq &&
           time_fits(p->start_ns) && time_fits(p->end_ns) && time_fits(p->created_wall_ns) &&
           store_label_fits(p->name) && (ends || p->end_ns > p->start_ns) &&
           (ends || !keeps_waiting(event) || store_waiting_fits(p, &event->waiting_after));
}

bool store_note_moves(const struct engine_event *event)
{
    return event->kind == EVENT_NOTE && event->after.change_seq != event->before.change_seq;
}

static bool usage_fits(const struct store_usage *usage)
{
    return usage->peak_bytes <= INT64_MAX && usage->gpu_ns <= INT64_MAX;
}

bool store_record_fits(const struct usage_record *record)
{
    const wide sums[] = {record->booked, record->day.ppm_ns, record->week.ppm_ns};
    bool fits = true;
    for (size_t i = 0; i < ARRAY_COUNT(sums); i++)
        fits = fits && sums[i] >> 120 == (sums[i] < 0 ? -1 : 0);
    return fits;
}

static bool item_fits(const struct store_item *item)
{
    const struct engine_event *event = item->event;
    if (item->line && !line_fits(item->line, 0, STORE_LINE_MAX))
        return false;
    for (uint32_t i = 0; i < event->usage_count; i++) {
        if (!store_record_fits(&event->usage[i].after))
            return false;
    }
    if (event->kind == EVENT_NOTE)
        return event->after.change_seq <= event->seq;
    if (event->kind == EVENT_SETTING)
        return line_fits(event->key, 1, sizeof(event->key)) &&
               line_fits(event->value, 0, sizeof(event->value));
    if ((event->kind == EVENT_SHARED || event->kind == EVENT_UNSHARED) &&
        event->guest == ENGINE_UID_NONE)
        return false;
    return partition_fits(event) && usage_fits(&item->usage);
}

int store_commit(struct store *store, const struct store_batch *batch, struct message *message)
{
    uint64_t seq = 0;
    bool fits = line_fits(batch->clock.boot_id, 0, sizeof(batch->clock.boot_id)) &&
                time_fits(batch->clock.offset_ns) && batch->clock.now_ns >= 0 &&
                batch->clock.now_ns <= STORE_UPTIME_MAX;

    for (size_t i = 0; fits && i < batch->item_count; i++) {
        const struct engine_event *event = batch->items[i].event;
        fits = event->seq > seq && event->seq < INT64_MAX && item_fits(&batch->items[i]);
        seq = event->seq;
    }
    for (size_t i = 0; fits && i < batch->usage_count; i++)
        fits = usage_fits(&batch->usages[i].usage) && batch->usages[i].id <= INT64_MAX;
    if (!fits)
        return message_set(-EINVAL, message, "Event %llu is invalid and cannot be stored.",
                           (unsigned long long)seq);
    return store->ops->commit(store, batch, message);
}

void store_settle(struct store *store)
{
    store->ops->settle(store);
}

int store_copy(struct store *store, struct store_copy **ret_copy, struct message *message)
{
    return store->ops->copy(store, ret_copy, message);
}

struct store *store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
    return NULL;
}
