/* SPDX-License-Identifier: Apache-2.0 */
/* What would fit on the devices that a request can take, in its place. It changes nothing. */
#include "internal.h"
#include "suggest.h"

#include <errno.h>
#include <stdlib.h>

/* The most gaps that a search backwards looks at. */
#define GAPS_MAX 64

static bool is_named(const struct creation_terms *terms, uint32_t device)
{
    for (uint32_t i = 0; i < terms->gpus; i++) {
        if (terms->devices[i] == device)
            return true;
    }
    return false;
}

/* Whether the request can take this device. */
static bool takes(const struct engine *engine, const struct call *call,
                  const struct creation *creation, const struct creation_terms *terms,
                  uint32_t device)
{
    if (!engine->devices[device].device.present)
        return false;
    if (terms && terms->devices)
        return is_named(terms, device);
    if (creation->device != ENGINE_DEVICE_ANY)
        return creation->device == device;
    return !call->caller->barred || !call->caller->barred[device];
}

int engine_suggest(const struct engine *engine, const struct call *call,
                   const struct creation *creation, const struct creation_terms *terms,
                   struct suggestions *ret_suggestions)
{
    const struct request *request = creation->request;
    struct suggest_site *sites = calloc(engine->device_count + (size_t)1, sizeof(*sites));
    struct quota_holder stand_in;
    struct quota_scope scope;
    struct suggest suggest = {.sites = sites,
                              .take = terms && terms->gpus > 1 ? terms->gpus : 1,
                              .start_ns = terms && terms->fixed ? terms->start_ns : call->now_ns};

    if (!sites)
        return -ENOMEM;
    for (uint32_t i = 0; i < engine->device_count; i++) {
        const struct device *device = &engine->devices[i];

        if (takes(engine, call, creation, terms, i))
            sites[suggest.site_count++] =
                (struct suggest_site){&device->timeline, device->device.memory_bytes};
    }
    accounts_scope(engine, creation->owner_uid, request->quota_group, &stand_in, &scope);
    if (!call->caller->admin)
        suggest.scope = &scope;
    uint32_t most_ppm = call->caller->admin ? 1000000 : engine->policy.max_fraction_ppm;
    int64_t most_ns = request->duration_ns;

    if (!call->caller->admin && most_ns > engine->policy.max_duration_ns)
        most_ns = engine->policy.max_duration_ns;
    *ret_suggestions =
        (struct suggestions){suggest_largest(&suggest, request->duration_ns, most_ppm),
                             suggest_longest(&suggest, &request->amount, most_ns)};
    free(sites);
    return 0;
}

int64_t engine_latest(const struct engine *engine, uint32_t device, int64_t from_ns,
                      int64_t before_ns, uint64_t bytes, int64_t duration_ns)
{
    const struct engine_device *known = &engine->devices[device].device;
    struct timeline *timeline = &engine->devices[device].timeline;
    int64_t last_ns = INT64_MIN;

    if (!known->present || bytes > known->memory_bytes)
        return INT64_MIN;
    int64_t limit = (int64_t)(known->memory_bytes - bytes);
    for (int gap = 0; gap < GAPS_MAX; gap++) {
        from_ns = timeline_earliest(timeline, from_ns, before_ns, duration_ns, limit);
        if (from_ns == TIMELINE_NEVER)
            return last_ns;
        int64_t until_ns = timeline_exceeds(timeline, from_ns, limit);

        last_ns = before_ns - 1;
        if (until_ns == TIMELINE_NEVER || until_ns - duration_ns >= last_ns)
            return last_ns;
        last_ns = until_ns - duration_ns;
        from_ns = until_ns;
    }
    return last_ns;
}
