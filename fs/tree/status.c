/* SPDX-License-Identifier: Apache-2.0 */
/* The latest message of each user; see status.h. */
#include "status.h"

#include "core/engine/engine.h"
#include "names.h"

#include <stdio.h>
#include <string.h>

/* The messages of an account are in this many slots, starting at a hash of the account. Others'
 * slots can overlap them. */
#define STATUS_PROBES 8u
/* The messages of one account that can be kept there at a time. */
#define STATUS_ACCOUNT_MAX 4u

_Static_assert(SHARED_MESSAGE_MAX >= ENGINE_MESSAGE_MAX, "status holds every refusal");

/* The slots of an account. */
struct slots {
    struct shared_status *slot[STATUS_PROBES];
};

static struct slots slots_of(struct shared *shared, uint32_t account)
{
    struct slots slots;
    uint32_t first = account * 2654435761u % SHARED_STATUS_COUNT;
    for (uint32_t i = 0; i < STATUS_PROBES; i++)
        slots.slot[i] = &shared->status[(first + i) % SHARED_STATUS_COUNT];
    return slots;
}

static struct shared_status *find(const struct slots *slots, uint32_t account, uint32_t uid)
{
    for (uint32_t i = 0; i < STATUS_PROBES; i++)
        if (slots->slot[i]->account == account + 1 && slots->slot[i]->uid == uid)
            return slots->slot[i];
    return NULL;
}

/* Return how many of the slots an account has; as an argument, 0 counts the free ones. */
static uint32_t count(const struct slots *slots, uint32_t account_plus_1)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < STATUS_PROBES; i++)
        n += slots->slot[i]->account == account_plus_1;
    return n;
}

/* Choose the slot for a new message: a free one, else the oldest of the account that has most.
 * STATUS_ACCOUNT_MAX leaves room for others, and the account's own oldest makes room then. */
static struct shared_status *choose(const struct slots *slots, uint32_t account)
{
    struct shared_status *best = NULL;
    bool own = count(slots, account + 1) >= STATUS_ACCOUNT_MAX;
    uint32_t best_count = 0;
    for (uint32_t i = 0; i < STATUS_PROBES; i++) {
        struct shared_status *slot = slots->slot[i];
        if (own && slot->account != account + 1)
            continue;
        uint32_t has = slot->account ? count(slots, slot->account) : STATUS_PROBES + 1;
        if (!best || has > best_count || (has == best_count && slot->when < best->when)) {
            best = slot;
            best_count = has;
        }
    }
    return best;
}

static void set_latest(struct tree *tree, uint32_t account, uint32_t uid, const char *message)
{
    struct shared *shared = tree->shared;
    struct slots slots = slots_of(shared, account);
    struct shared_status *slot = find(&slots, account, uid);
    if (!slot)
        slot = choose(&slots, account);
    snprintf(slot->message, sizeof(slot->message), "%s", message);
    slot->uid = uid;
    slot->when = ++shared->status_clock;
    slot->account = account + 1;
}

uint64_t status_set(struct tree *tree, const struct status_writer *writer, const char *message)
{
    uint32_t account = names_account(tree->names, writer->uid);
    set_latest(tree, account, writer->uid, message);
    return writer->tid > 0 ? status_thread_set(tree, account, writer, message) : 0;
}

void status_refuse(struct tree *tree, const struct status_writer *writer,
                   struct shared_handle *handle, const char *message)
{
    uint64_t number = status_set(tree, writer, message);
    if (!handle)
        return;
    handle->answer = 0;
    handle->seen = 0;
    handle->sentence = number;
}

const char *status_get(struct tree *tree, uint32_t uid, int32_t tid)
{
    uint32_t account = names_account(tree->names, uid);
    const char *own = tid > 0 ? status_thread_get(tree, account, uid, tid) : NULL;
    if (own)
        return own;
    struct slots slots = slots_of(tree->shared, account);
    const struct shared_status *slot = find(&slots, account, uid);
    return slot ? slot->message : "You have not written anything yet.";
}
