/* SPDX-License-Identifier: Apache-2.0 */
/* The places that a request may take: its devices, and the limits on its owner. */
#include "internal.h"

/* What is promised to one that waits on a device. */
static uint64_t own_bytes(const struct partition *partition, uint32_t device)
{
    for (uint32_t i = 0; partition->state == PARTITION_PENDING && i < partition->share_count; i++) {
        if (partition->shares[i].device == device)
            return partition->shares[i].memory_bytes;
    }
    return 0;
}

static void add_site(struct engine *engine, const struct partition *partition,
                     const struct waiting *waiting, uint32_t *count, uint32_t device,
                     uint64_t bytes)
{
    struct device *known = &engine->devices[device];
    uint64_t own = own_bytes(partition, device);

    if (!known->device.present || bytes == 0 || bytes > known->device.memory_bytes)
        return;
    engine->sites[*count] =
        (struct placement_site){.timeline = &known->timeline,
                                .room = (int64_t)(known->device.memory_bytes - bytes),
                                .preferred = waiting_prefers(waiting, device),
                                .own = own >= bytes ? (int64_t)own : 0,
                                .own_ns = partition->start_ns,
                                .memory = (int64_t)known->device.memory_bytes};
    engine->site_shares[*count] = (struct share){.device = device, .memory_bytes = bytes};
    (*count)++;
}

uint32_t plan_gather(struct engine *engine, const struct partition *partition,
                     const struct waiting *waiting, uint32_t only)
{
    uint32_t count = 0;

    for (uint32_t i = 0; !waiting->anywhere && i < partition->share_count; i++) {
        if (only == ENGINE_DEVICE_ANY || only == partition->shares[i].device)
            add_site(engine, partition, waiting, &count, partition->shares[i].device,
                     partition->shares[i].memory_bytes);
    }
    for (uint32_t i = 0; waiting->anywhere && i < engine->device_count; i++) {
        if ((only == ENGINE_DEVICE_ANY || only == i) && !waiting_is_barred(waiting, i))
            add_site(engine, partition, waiting, &count, i,
                     units_amount_bytes(&waiting->amount, engine->devices[i].device.memory_bytes));
    }
    return count;
}

struct limit {
    const struct queue *queue;
    const struct partition *partition;
};

static int64_t limit_earliest(void *context, int64_t from_ns, int64_t before_ns,
                              int64_t duration_ns)
{
    const struct limit *limit = context;

    return limit->queue->rules.limit(limit->queue->rules.context, limit->partition, from_ns,
                                     before_ns, duration_ns);
}

bool plan_place(struct engine *engine, enum placement_rule rule, uint32_t count, int64_t from_ns,
                int64_t before_ns, struct partition *partition)
{
    struct limit limit = {&engine->queue, partition};
    int64_t duration_ns = partition->end_ns - partition->start_ns;
    int64_t last_ns = ENGINE_TIME_MAX - duration_ns;
    const struct placement_limit limits[] = {{limit_earliest, &limit}};
    const struct placement placement = {.sites = engine->sites,
                                        .site_count = count,
                                        .take = partition->share_count,
                                        .limits = limits,
                                        .limit_count = engine->queue.rules.limit ? 1 : 0,
                                        .from_ns = from_ns,
                                        .before_ns = before_ns > last_ns ? last_ns + 1 : before_ns,
                                        .duration_ns = duration_ns,
                                        .rule = rule};
    uint32_t sites[SHARE_MAX];
    int64_t at_ns = placement_earliest(&placement, sites);

    if (at_ns == TIMELINE_NEVER)
        return false;
    partition->start_ns = at_ns;
    partition->end_ns = timeline_later(at_ns, placement.duration_ns);
    for (uint32_t i = 0; i < partition->share_count; i++)
        partition->shares[i] = engine->site_shares[sites[i]];
    return true;
}
