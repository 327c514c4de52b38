/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine as a whole: creation, devices, restoring durable state, and queries that need no
 * search. A map of the rest:
 *   create.c      new partitions
 *   operations.c  changes that callers request
 *   amend.c       those that only what waits allows
 *   sharing.c     who may use a partition; guests.c, a set of users
 *   admission.c   checks for free memory and policy; admission_place.c, of requests that may wait;
 *                 admission_change.c, of changes
 *   ending.c      how partitions end, and the warning before
 *   expiry.c      ends and warnings that become due
 *   compute.c     shares of a device's time, and slots; sharing_mode.c, how it is shared
 *   arrival.c     reservations that were not used yet; arrival_use.c, that they are
 *   settings.c    durable settings; policy.c and policy.def: meaning of those in config/
 *   journal.c     events, in order; revert.c undoes them
 *   index.c       live partitions, in all orders
 *   queue.c       those that wait; plan.c moves them, plan_order.c in fair order,
 *                 plan_reorder.c within their promises; plan_place.c finds places
 *   preempt.c     the room of low leases (queue_low.c) for high requests; preempt_choose.c, whose
 *   repair.c      plans again what has no room any more, and appointments
 *   placement.c   the earliest moment on several devices
 *   timeline.c    promised memory over time; timeline_search.c, the first gap in it
 *   request.c, request.def  grammar of requests
 *   units.c       amounts and durations
 */
#include "internal.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int engine_new(engine_time_text_fn *time_text, void *context, struct engine **ret_engine)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    if (!engine)
        return -ENOMEM;
    engine->time_text = time_text;
    engine->context = context;
    engine->next_id = engine->next_seq = 1;
    index_init(engine);
    settings_init(engine);
    policy_init(&engine->policy);
    *ret_engine = engine;
    return 0;
}

struct engine *engine_free(struct engine *engine)
{
    struct entry *entry;

    if (!engine)
        return NULL;
    while ((entry = index_next_end(engine, INT64_MIN, 0))) {
        index_remove(engine, entry);
        index_free_entry(entry);
    }
    pool_end(&engine->entries);
    settings_free(engine);
    engine_events_free(engine->first_event);
    queue_free(&engine->queue);
    accounts_free(engine);
    free(engine->devices);
    free(engine->sites);
    free(engine->site_shares);
    free(engine);
    return NULL;
}

int engine_add_device(struct engine *engine, const struct engine_device *device,
                      uint32_t *ret_index)
{
    /* The timeline counts in int64_t. */
    if (device->memory_bytes > INT64_MAX || engine->device_count == ENGINE_DEVICE_ANY)
        return -EINVAL;
    size_t count = engine->device_count + (size_t)1;
    int r = array_reserve(engine->devices, engine->device_capacity, count);
    if (!r)
        r = array_reserve(engine->sites, engine->site_capacity, count);
    if (!r)
        r = array_reserve(engine->site_shares, engine->site_share_capacity, count);
    if (r)
        return r;
    if (device->memory_bytes > engine->largest_bytes)
        engine->largest_bytes = device->memory_bytes;
    engine->devices[engine->device_count] = (struct device){.device = *device};
    index_init_device(&engine->devices[engine->device_count]);
    *ret_index = engine->device_count++;
    return 0;
}

/* A setting can be older than the device. */
int engine_name_device(struct engine *engine, uint32_t index, const char *key)
{
    char name[ENGINE_KEY_MAX];
    int length = snprintf(name, sizeof(name), SHARING_MODE_SETTING "%s", key);

    engine->devices[index].key = key;
    const char *value = length < (int)sizeof(name) ? engine_setting(engine, name) : NULL;
    if (!value)
        return 0;
    int r = compute_begin(engine);
    if (!r)
        compute_apply_setting(engine, name, value);
    return r;
}

const struct engine_device *engine_device(const struct engine *engine, uint32_t index)
{
    return index < engine->device_count ? &engine->devices[index].device : NULL;
}

uint64_t engine_promised(const struct engine *engine, uint32_t device, int64_t now_ns)
{
    if (device >= engine->device_count)
        return 0;
    return (uint64_t)timeline_value(&engine->devices[device].timeline, now_ns);
}

uint64_t engine_available(const struct engine *engine, uint32_t device, int64_t now_ns)
{
    uint64_t promised = engine_promised(engine, device, now_ns);
    const struct engine_device *known = engine_device(engine, device);

    if (!known || !known->present || promised > known->memory_bytes)
        return 0;
    return known->memory_bytes - promised;
}

bool engine_next_step(const struct engine *engine, uint32_t device, int64_t after_ns,
                      int64_t *ret_at_ns, uint64_t *ret_promised_bytes)
{
    int64_t value;

    if (device >= engine->device_count ||
        !timeline_next(&engine->devices[device].timeline, after_ns, ret_at_ns, &value))
        return false;
    *ret_promised_bytes = (uint64_t)value;
    return true;
}

int64_t engine_earliest(const struct engine *engine, uint32_t device, int64_t now_ns,
                        uint64_t bytes, int64_t duration_ns)
{
    const struct engine_device *known = engine_device(engine, device);

    if (!known || !known->present || bytes > known->memory_bytes)
        return ENGINE_FOREVER;
    return timeline_earliest(&engine->devices[device].timeline, now_ns, ENGINE_FOREVER, duration_ns,
                             (int64_t)(known->memory_bytes - bytes));
}

static bool shares_are_sound(const struct engine *engine, const struct partition *partition)
{
    if (partition->share_count == 0 || partition->share_count > SHARE_MAX)
        return false;
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct share *share = &partition->shares[i];

        if (share->device >= engine->device_count || share->memory_bytes == 0 ||
            share->memory_bytes > INT64_MAX - engine->devices[share->device].total_bytes ||
            !compute_is_sound(engine, share))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (partition->shares[j].device == share->device)
                return false;
        }
    }
    return true;
}

static int restore(struct engine *engine, const struct partition *partition,
                   const struct waiting *waiting)
{
    if (partition->id == 0 || partition->end_ns <= partition->start_ns ||
        !shares_are_sound(engine, partition) ||
        !memchr(partition->name, 0, sizeof(partition->name)) || !ending_is_sound(partition) ||
        (waiting ? !waiting_is_kept(waiting, partition->state)
                 : partition->state == PARTITION_PENDING) ||
        index_find(engine, partition->id))
        return -EINVAL;
    if (partition->shares[0].compute_ppm && compute_begin(engine))
        return -ENOMEM;
    struct entry *entry = index_new_entry(engine, partition, waiting);
    if (!entry || accounts_prepare(engine, partition)) {
        index_free_entry(entry);
        return -ENOMEM;
    }
    entry->partition = *partition;
    index_add(engine, entry);
    engine_restore_counters(engine, partition->id + 1, partition->change_seq + 1);
    return 0;
}

int engine_restore(struct engine *engine, const struct partition *partition)
{
    return restore(engine, partition, NULL);
}

/* The plan may not have been finished: go through it once. */
int engine_restore_waiting(struct engine *engine, const struct partition *partition,
                           const struct waiting *waiting)
{
    if (!waiting_is_sound(waiting))
        return -EINVAL;
    int r = restore(engine, partition, waiting);
    if (r || partition->state != PARTITION_PENDING)
        return r;
    queue_mark_order(engine);
    queue_mark_shares(engine, partition, INT64_MIN);
    queue_mark_itself(engine, index_find(engine, partition->id));
    return 0;
}

void engine_restore_counters(struct engine *engine, uint64_t next_id, uint64_t next_seq)
{
    if (next_id > engine->next_id)
        engine->next_id = next_id;
    if (next_seq > engine->next_seq)
        engine->next_seq = next_seq;
}

const struct policy *engine_policy(const struct engine *engine)
{
    return &engine->policy;
}
