/* SPDX-License-Identifier: Apache-2.0 */
/* What would fit on the devices that a request can take, in its place. It changes nothing. */
#include "internal.h"
#include "suggest.h"

#include <errno.h>
#include <stdlib.h>

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
