/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: hands each call to the adapter behind it, after checking what
 * no adapter can keep. It must not know any adapter.
 */
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int store_load(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
               struct store_counters *ret_counters, char *sentence, size_t size)
{
    return store->ops->load(store, clock, sink, ret_counters, sentence, size);
}

int store_devices(struct store *store, const struct gpu_device *devices, uint32_t count,
                  char *sentence, size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        if (devices[i].key[0] == '\0' || devices[i].memory_bytes == 0 ||
            devices[i].memory_bytes > INT64_MAX) {
            snprintf(sentence, size, "device %u has no key or no memory, so it cannot be kept", i);
            return -EINVAL;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(devices[i].key, devices[j].key) == 0) {
                snprintf(sentence, size, "devices %u and %u have the same key %s", j, i,
                         devices[i].key);
                return -EINVAL;
            }
        }
    }
    return store->ops->devices(store, devices, count, sentence, size);
}

static bool partition_fits(const struct partition *p)
{
    return p->id > 0 && p->id < INT64_MAX && p->memory_bytes > 0 && p->memory_bytes <= INT64_MAX;
}

int store_commit(struct store *store, const struct store_batch *batch, char *sentence, size_t size)
{
    uint64_t seq = 0;

    for (size_t i = 0; i < batch->item_count; i++) {
        const struct engine_event *event = batch->items[i].event;
        if (event->seq <= seq || event->seq >= INT64_MAX ||
            (event->kind != EVENT_SETTING && !partition_fits(&event->after))) {
            snprintf(sentence, size, "event %llu cannot be kept: its numbers make no sense",
                     (unsigned long long)event->seq);
            return -EINVAL;
        }
        seq = event->seq;
    }
    return store->ops->commit(store, batch, sentence, size);
}

struct store *store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
    return NULL;
}
