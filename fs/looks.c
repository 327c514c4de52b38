/* SPDX-License-Identifier: Apache-2.0 */
/* What was last seen of partitions' processes; see looks.h. */
#include "looks.h"

const struct look *looks_find(const struct looks *looks, uint64_t id, int64_t since_ns)
{
    const struct look *look = &looks->slots[id % LOOKS_SLOTS];
    return look->id == id && look->at_ns >= since_ns ? look : NULL;
}

void looks_put(struct looks *looks, uint64_t id, int64_t at_ns, const char *pids, size_t length)
{
    struct look *look = &looks->slots[id % LOOKS_SLOTS];
    text_clear(&look->pids);
    text_add(&look->pids, pids, length);
    look->id = look->pids.failed ? 0 : id;
    look->at_ns = at_ns;
}

void looks_drop(struct looks *looks, uint64_t id)
{
    struct look *look = &looks->slots[id % LOOKS_SLOTS];
    if (look->id == id)
        look->id = 0;
}
