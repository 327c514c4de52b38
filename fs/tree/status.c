/* SPDX-License-Identifier: Apache-2.0 */
/* One message per user; see status.h. */
#include "status.h"

#include "core/engine/engine.h"

#include <stdio.h>
#include <string.h>

/* A user's message is in one of this many slots, starting at a hash of the uid; the oldest message
 * makes room. */
#define STATUS_PROBES 8u

_Static_assert(SHARED_MESSAGE_MAX >= ENGINE_MESSAGE_MAX, "status holds every refusal");

static uint32_t status_first(uint32_t uid)
{
    return uid * 2654435761u % SHARED_STATUS_COUNT;
}

void status_set(struct shared *shared, uint32_t uid, const char *message)
{
    struct shared_status *best = NULL;
    for (uint32_t i = 0; i < STATUS_PROBES; i++) {
        struct shared_status *slot = &shared->status[(status_first(uid) + i) % SHARED_STATUS_COUNT];
        if (slot->used && slot->uid == uid) {
            best = slot;
            break;
        }
        if (!best || (best->used && (!slot->used || slot->when < best->when)))
            best = slot;
    }
    snprintf(best->message, sizeof(best->message), "%s", message);
    best->uid = uid;
    best->when = ++shared->status_clock;
    best->used = 1;
}

const char *status_get(const struct shared *shared, uint32_t uid)
{
    for (uint32_t i = 0; i < STATUS_PROBES; i++) {
        const struct shared_status *slot =
            &shared->status[(status_first(uid) + i) % SHARED_STATUS_COUNT];
        if (slot->used && slot->uid == uid)
            return slot->message;
    }
    return "You have not written anything yet.";
}
