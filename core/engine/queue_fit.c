/* SPDX-License-Identifier: Apache-2.0 */
/* What fits on a device, by size of request; see queue.h. */
#include "internal.h"

__extension__ typedef unsigned __int128 uint128;

/* What people ask for most is a size of its own. */
const uint32_t queue_sizes[QUEUE_SIZES] = {4096, 3072, 2048, 1536, 1024, 768, 512, 384,
                                           256,  128,  64,   32,   16,   4,   1,   0};

struct queue_fit queue_fit_of(const struct engine *engine, uint32_t device, int64_t now_ns)
{
    const struct timeline *timeline = &engine->devices[device].timeline;
    uint64_t memory = engine->devices[device].device.memory_bytes;
    int64_t value = timeline_value(timeline, now_ns);
    struct queue_fit fit = {0};

    for (uint32_t i = 0; i < QUEUE_SIZES; i++) {
        uint64_t least = (uint64_t)((uint128)memory * queue_sizes[i] / QUEUE_SIZE_WHOLE);
        int64_t room = (int64_t)(memory - (least > 0 ? least : 1));

        if (value > room || !engine->devices[device].device.present)
            continue;
        int64_t until_ns = timeline_exceeds(timeline, now_ns, room);
        uint64_t seconds = ((uint64_t)until_ns - (uint64_t)now_ns) / NS_PER_SECOND + 1;
        fit.most_s[i] =
            until_ns == TIMELINE_NEVER || seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
        fit.until[i] = index_rounded(until_ns);
    }
    if (memory > 0 && value < (int64_t)memory) {
        uint64_t next = memory - (uint64_t)value + 1; /* shares are rounded down to bytes */
        uint128 part = (((uint128)next << 32) + memory - 1) / memory;

        fit.most_part = part > UINT32_MAX ? UINT32_MAX : (uint32_t)part;
    }
    return fit;
}

bool queue_fit_is_within(const struct queue_fit *a, const struct queue_fit *b)
{
    bool within = a->most_part <= b->most_part;

    for (uint32_t i = 0; within && i < QUEUE_SIZES; i++)
        within = a->most_s[i] <= b->most_s[i] && a->until[i] <= b->until[i];
    return within;
}
