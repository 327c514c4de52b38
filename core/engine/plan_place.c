/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places that a request may take: its devices, and the limits on its owner; and moving it
 * there.
 */
#include "internal.h"

/* What is promised to one that waits on a device, or NULL. */
static const struct share *own_share(const struct partition *partition, uint32_t device)
{
    for (uint32_t i = 0; partition->state == PARTITION_PENDING && i < partition->share_count; i++) {
        if (partition->shares[i].device == device)
            return &partition->shares[i];
    }
    return NULL;
}

static void add_site(const struct engine *engine, const struct partition *partition,
                     const struct waiting *waiting, uint32_t *count, uint32_t device,
                     uint64_t bytes)
{
    struct device *known = &engine->devices[device];
    const struct share share = {
        .device = device, .memory_bytes = bytes, .compute_ppm = partition->shares[0].compute_ppm};
    const struct share *own = own_share(partition, device);

    if (!known->device.present || bytes == 0 || bytes > known->device.memory_bytes)
        return;
    engine->sites[*count] = (struct placement_site){
        .timeline = &known->timeline,
        .room = (int64_t)(known->device.memory_bytes - bytes),
        .preferred = waiting_prefers(waiting, device),
        .own = own && own->memory_bytes >= bytes ? (int64_t)own->memory_bytes : 0,
        .own_ns = partition->start_ns,
        .memory = (int64_t)known->device.memory_bytes};
    if (engine->counts_beside)
        compute_add_site(engine, &share, own, &engine->sites[*count]);
    engine->site_shares[*count] = share;
    (*count)++;
}

uint32_t plan_gather(const struct engine *engine, const struct partition *partition,
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

/* Move a share to its place among the first `count` of a list, which counts most first; drop the
 * last one. */
static void put_largest(const struct engine *engine, struct share *shares, uint32_t count,
                        struct share share)
{
    const struct partition one = {.share_count = 1, .shares = {share}};
    uint64_t ppm = accounts_ppm(engine, &one);

    for (uint32_t i = 0; i < count; i++) {
        const struct partition other = {.share_count = 1, .shares = {shares[i]}};
        struct share rest = shares[i];

        if (rest.memory_bytes > 0 && accounts_ppm(engine, &other) >= ppm)
            continue;
        shares[i] = share;
        share = rest;
        if (share.memory_bytes == 0)
            break;
        ppm = accounts_ppm(engine, &other);
    }
}

void plan_take_largest(const struct engine *engine, uint32_t count, struct partition *partition)
{
    for (uint32_t i = 0; i < partition->share_count; i++)
        partition->shares[i] = (struct share){.device = 0};
    for (uint32_t i = 0; i < count; i++)
        put_largest(engine, partition->shares, partition->share_count, engine->site_shares[i]);
}

struct limit {
    struct engine *engine;
    const struct partition *partition;
    uint64_t ppm; /* what it counts at most, wherever it is placed */
};

static int64_t quota_earliest_of(void *context, int64_t from_ns, int64_t before_ns,
                                 int64_t duration_ns)
{
    const struct limit *limit = context;

    return accounts_earliest(limit->engine, limit->partition, limit->ppm, from_ns, before_ns,
                             duration_ns);
}

static int64_t limit_earliest(void *context, int64_t from_ns, int64_t before_ns,
                              int64_t duration_ns)
{
    const struct limit *limit = context;
    const struct engine_rules *rules = &limit->engine->queue.rules;

    return rules->limit(rules->context, limit->partition, from_ns, before_ns, duration_ns);
}

bool plan_place(struct engine *engine, const struct waiting *waiting, uint32_t count,
                int64_t from_ns, int64_t before_ns, struct partition *partition)
{
    struct limit limit = {.engine = engine, .partition = partition};
    struct placement_limit limits[2];
    uint32_t limit_count = 0;
    int64_t duration_ns = partition->end_ns - partition->start_ns;
    int64_t last_ns = ENGINE_TIME_MAX - duration_ns;

    if (engine->queue.rules.limit)
        limits[limit_count++] = (struct placement_limit){limit_earliest, &limit};
    if (accounts_limit(engine, partition)) {
        struct partition largest = *partition;

        plan_take_largest(engine, count, &largest);
        limit.ppm = accounts_ppm(engine, &largest);
        limits[limit_count++] = (struct placement_limit){quota_earliest_of, &limit};
    }
    const struct placement placement = {.sites = engine->sites,
                                        .site_count = count,
                                        .take = partition->share_count,
                                        .limits = limits,
                                        .limit_count = limit_count,
                                        .from_ns = from_ns,
                                        .before_ns = before_ns > last_ns ? last_ns + 1 : before_ns,
                                        .duration_ns = duration_ns,
                                        .rule =
                                            waiting->spread ? PLACEMENT_SPREAD : PLACEMENT_PACK};
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

void plan_take_out(struct engine *engine, struct entry *entry, const struct partition *where)
{
    const struct partition was = entry->partition;

    entry->partition = *where;
    accounts_remove(engine, entry);
    for (uint32_t i = 0; i < where->share_count; i++)
        timeline_remove(&engine->devices[where->shares[i].device].timeline,
                        &entry->places[i].promise);
    compute_take_out(engine, entry, where);
    entry->partition = was;
}

void plan_put_in(struct engine *engine, struct entry *entry, const struct partition *where)
{
    const struct partition was = entry->partition;

    entry->partition = *where;
    accounts_add(engine, entry);
    for (uint32_t i = 0; i < where->share_count; i++)
        timeline_add(&engine->devices[where->shares[i].device].timeline, &entry->places[i].promise,
                     where->id, where->start_ns, where->end_ns,
                     (int64_t)where->shares[i].memory_bytes);
    compute_put_in(engine, entry, where);
    entry->partition = was;
}

bool plan_place_new(struct engine *engine, const struct waiting *waiting, int64_t from_ns,
                    int64_t before_ns, struct partition *partition)
{
    struct partition to = *partition;

    /* Nothing that is promised to it counts as its own. */
    to.id = 0;
    to.state = PARTITION_ACTIVE;
    uint32_t count = plan_gather(engine, &to, waiting, ENGINE_DEVICE_ANY);
    if (!plan_place(engine, waiting, count, from_ns, before_ns, &to))
        return false;
    to.id = partition->id;
    to.state = partition->state;
    *partition = to;
    return true;
}

/* Memory was freed where the request was planned. On the device of the pass, the rest of the pass
 * sees it. */
static void mark_left(struct engine *engine, const struct partition *was)
{
    const struct pass *pass = &engine->queue.pass;

    for (uint32_t i = 0; i < was->share_count; i++) {
        if (pass->phase != PASS_FORWARD || was->shares[i].device != pass->device)
            queue_mark(engine, was->shares[i].device, was->start_ns);
    }
}

void plan_move(struct engine *engine, struct engine_event *event, struct entry *entry,
               const struct partition *to)
{
    journal_of(event, entry);
    event->after = *to;
    if (engine->policy.promise_slack_ppm == 0)
        event->waiting_after.promised_ns = to->start_ns;
    journal_append(engine, event);
    index_move(engine, entry, &event->after, &event->waiting_after);
    mark_left(engine, &event->before);
}
