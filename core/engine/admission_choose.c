/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the devices with room a request takes. It changes nothing. */
#include "internal.h"

enum placement_rule admission_rule(const struct engine *engine, const struct request *request)
{
    if (request->pack || request->spread)
        return request->spread ? PLACEMENT_SPREAD : PLACEMENT_PACK;
    return engine->policy.placement;
}

static bool prefers(const struct request *request, uint32_t device)
{
    for (uint32_t i = 0; i < request->prefer.count; i++) {
        if (request->prefer.device[i] == device)
            return true;
    }
    return false;
}

void admission_choose(const struct engine *engine, const struct request *request, uint32_t device,
                      uint64_t free_bytes, uint64_t bytes, struct admission_choice *choice)
{
    uint64_t memory = engine->devices[device].device.memory_bytes;
    const struct placement_offer offer = {.left = (int64_t)(free_bytes - bytes),
                                          .memory = (int64_t)memory,
                                          .free = free_bytes == memory,
                                          .preferred = prefers(request, device)};

    for (int few = 0; few < 2; few++) {
        if (choice->any &&
            !placement_is_better(admission_rule(engine, request), few, &offer, &choice->best[few]))
            continue;
        choice->best[few] = offer;
        choice->device[few] = device;
    }
    choice->any = true;
    choice->free += offer.free;
}
