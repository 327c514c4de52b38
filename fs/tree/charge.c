/* SPDX-License-Identifier: Apache-2.0 */
/* Charge device memory to open files; see charge.h. */
#include "charge.h"

#include "caller.h"

#include "core/base/array.h"
#include "core/host/bookings.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Return the current charge of a slot. A dead worker left either all of an update or nothing of
 * it. */
static struct shared_charge charge_of(const struct shared_handle *slot)
{
    return slot->charges[atomic_load_explicit(&slot->charge_at, memory_order_acquire) & 1];
}

/* Fill in the record that is not current, then make it current with one store: bytes and request
 * number change together. */
static void publish(struct shared_handle *slot, uint64_t unique, uint64_t bytes)
{
    unsigned next = !(atomic_load_explicit(&slot->charge_at, memory_order_relaxed) & 1);
    slot->charges[next] = (struct shared_charge){.unique = unique, .bytes = bytes};
    atomic_store_explicit(&slot->charge_at, next, memory_order_release);
}

/* Return whether the opener could open the file now. It counts as a member of the group that the
 * partition had at open; after a chgrp the file must be opened again. */
static bool opener_may(const struct tree *tree, const struct shared_handle *slot,
                       const struct partition *partition)
{
    struct caller opener = {.uid = slot->uid, .root = slot->opener_root, .ns = slot->ns};
    if (engine_may_act(&opener, partition))
        return true;
    if (opener.uid == 0)
        return false; /* a container's root only has the rights checked above */
    if (guests_has(engine_guests(tree->engine, partition->id), opener.uid))
        return true;
    bool member = slot->opener_gid && slot->opener_gid - 1 == partition->gid;
    return partition->mode & (member ? 0020 : 0002);
}

int charge_open(struct tree *tree, const struct node *node, const struct caller *opener,
                struct shared_handle *slot)
{
    const struct partition *partition = tree_partition(tree, node);
    slot->ns = opener->ns;
    slot->opener_root = opener->root;
    slot->opener_member = slot->opener_gid = 0;
    slot->answer = 0;
    slot->process = 0;
    if (!partition)
        return -ENODEV;
    int32_t process = caller_process(opener->pid);
    int r = bookings_open(tree->bookings, partition->id, process);
    if (r)
        return r;
    slot->process = process;
    if (!engine_may_act(opener, partition))
        slot->answer = (uint64_t)process;
    tree->lent_charges |= slot->answer;
    /* Owners need no group. Look up the groups of others while the opener waits for us. */
    if (!engine_may_act(opener, partition) &&
        caller_in_group(tree, opener->pid, opener->gid, partition->gid))
        slot->opener_gid = partition->gid + 1;
    /* No process belongs to what has not started. */
    if (waits_is_pending(partition) && !opener_may(tree, slot, partition))
        return -EACCES;
    return !opener_may(tree, slot, partition);
}

static void charge(struct tree *tree, const struct shared_handle *slot, uint64_t id, uint64_t bytes)
{
    ledger_charge(tree->ledger, id, bytes);
    bookings_add(tree->bookings, id, slot->process, bytes);
}

static void give_back(struct tree *tree, const struct shared_handle *slot, uint64_t id,
                      uint64_t bytes)
{
    ledger_release(tree->ledger, id, bytes);
    bookings_subtract(tree->bookings, id, slot->process, bytes);
}

/* Parse a sign followed by digits. */
static int parse(const struct write *write, char *ret_sign, uint64_t *ret_bytes)
{
    const char *text = write->text;
    uint64_t bytes = 0;
    size_t at = 1;
    if (write->length < 2 || (text[0] != '+' && text[0] != '-'))
        return REFUSED_INVALID;
    for (; at < write->length && text[at] >= '0' && text[at] <= '9'; at++)
        if (__builtin_mul_overflow(bytes, 10, &bytes) ||
            __builtin_add_overflow(bytes, (uint64_t)(text[at] - '0'), &bytes))
            return REFUSED_INVALID;
    *ret_sign = text[0];
    *ret_bytes = bytes;
    return at == write->length ? 0 : REFUSED_INVALID;
}

/* Return whether the partition has this many bytes left, and say it if not. */
static bool fits(struct tree *tree, const struct partition *partition, struct write *write,
                 uint64_t rest_bytes, uint64_t claimed_bytes, uint64_t bytes)
{
    struct ledger_figures figures;
    ledger_get(tree->ledger, partition->id, &figures);
    uint64_t limit = partition->shares[0].memory_bytes, charged = figures.charged_bytes;
    uint64_t left = charged < limit ? limit - charged : 0;
    left = rest_bytes < left ? left - rest_bytes : 0;
    if (bytes - claimed_bytes <= left)
        return true;
    char rest[64] = "";
    if (rest_bytes)
        snprintf(rest, sizeof(rest), ", its programs use %llu more",
                 (unsigned long long)rest_bytes);
    snprintf(write->why.message, sizeof(write->why.message),
             "Cannot charge %llu bytes: %llu of the %llu bytes of p%llu are charged%s, %llu "
             "are left.",
             (unsigned long long)bytes, (unsigned long long)charged, (unsigned long long)limit,
             (unsigned long long)partition->id, rest, (unsigned long long)left);
    return false;
}

/* Charge what fits beside the rest. The first line of a file says what its process holds already:
 * what the driver reports of that is booked now, no rest any more, and takes no room. */
static int fit(struct tree *tree, const struct partition *partition, struct write *write,
               struct shared_charge current, uint64_t bytes)
{
    const struct shared_handle *slot = write->handle;
    const uint64_t id = partition->id;
    int r = ledger_reserve(tree->ledger, id);
    if (r)
        return r;
    uint64_t claimed =
        current.unique ? 0 : bookings_claim(tree->bookings, id, slot->process, bytes);
    uint64_t rest = bookings_rest(tree->bookings, id);
    if (!fits(tree, partition, write, rest + claimed, claimed, bytes)) {
        bookings_unclaim(tree->bookings, id, slot->process, claimed);
        return REFUSED_NO_SPACE;
    }
    if (slot->answer) /* who uses the memory: the opener can have ended */
        write->handle->answer = (uint64_t)caller_process(write->caller.pid);
    publish(write->handle, write->unique, current.bytes + bytes);
    ledger_set_rest(tree->ledger, id, rest);
    ledger_charge(tree->ledger, id, bytes);
    bookings_add(tree->bookings, id, slot->process, bytes - claimed);
    return 0;
}

static int add(struct tree *tree, struct write *write, struct shared_charge current, uint64_t bytes)
{
    const struct partition *partition = tree_partition(tree, write->node);
    char *message = write->why.message;
    if (!partition) {
        snprintf(message, sizeof(write->why.message),
                 "p%llu has ended; no more memory can be charged to it.",
                 (unsigned long long)write->node->object);
        return -ETIMEDOUT;
    }
    const bool may = write->belongs || opener_may(tree, write->handle, partition);
    if (!may && write->handle->opener_member) {
        write->outcome = WRITE_ASKS;
        return 0;
    }
    if (!may) {
        snprintf(
            message, sizeof(write->why.message),
            "Permission denied: p%llu is no longer accessible to the user who opened this file. "
            "What the file has charged stays charged until it is released.",
            (unsigned long long)partition->id);
        return -EPERM;
    }
    int r = waits_check(tree, partition, &write->why);
    return r ? r : fit(tree, partition, write, current, bytes);
}

/* Works even after the end of the partition. */
static int release(struct tree *tree, struct write *write, uint64_t own_bytes, uint64_t bytes)
{
    if (bytes > own_bytes) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Cannot release %llu bytes: this open file has charged %llu.",
                 (unsigned long long)bytes, (unsigned long long)own_bytes);
        return REFUSED_INVALID;
    }
    publish(write->handle, write->unique, own_bytes - bytes);
    give_back(tree, write->handle, write->node->object, bytes);
    return 0;
}

int charge_store(struct tree *tree, struct write *write)
{
    struct shared_charge current = charge_of(write->handle);
    uint64_t bytes;
    char sign;
    write->outcome = WRITE_AT_ONCE;
    /* Writes are executed and answered one by one, so only the last one can be unanswered. */
    if (current.unique == write->unique)
        return 0;
    int r = parse(write, &sign, &bytes);
    if (r) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "\"%.32s\" is not a charge; write +4096 to charge 4096 bytes, -4096 to release "
                 "them.",
                 write->text);
        return r;
    }
    return sign == '+' ? add(tree, write, current, bytes)
                       : release(tree, write, current.bytes, bytes);
}

void charge_close(struct tree *tree, const struct shared_handle *slot)
{
    uint64_t bytes = charge_of(slot).bytes;
    struct node node;
    if ((!bytes && !slot->process) || !tree_node_from_id(slot->node - 1, &node))
        return;
    give_back(tree, slot, node.object, bytes);
    bookings_close(tree->bookings, node.object, slot->process);
    ledger_set_rest(tree->ledger, node.object, bookings_rest(tree->bookings, node.object));
}

/* Read pids, a line each, in ascending order. Return how many; *ret_list is for the caller to free,
 * and NULL when out of memory. */
static size_t read_pids(const char *text, size_t length, uint64_t **ret_list)
{
    uint64_t *list = malloc((length / 2 + 1) * sizeof(*list)); /* each takes two characters */
    size_t count = 0;
    char *end;
    for (uint64_t pid; list && (pid = strtoull(text, &end, 10)) > 0; text = end)
        list[count++] = pid;
    *ret_list = list;
    return count;
}

static int compare(const void *one, const void *other)
{
    const uint64_t *a = one, *b = other;
    return (*a > *b) - (*a < *b);
}

/* Return whether a slot is of a file `charge`, on whichever user's node, and not open to an owner.
 */
static bool is_lent(const struct shared_handle *slot, struct node *ret_node)
{
    return slot->node && slot->answer && tree_node_from_id(slot->node - 1, ret_node) &&
           ret_node->dir == DIR_PARTITION && ret_node->file == tree_node_hash("charge");
}

void charge_settle(struct tree *tree, struct handles *handles, uint64_t id, const char *pids,
                   size_t length)
{
    const struct partition *partition = engine_find(tree->engine, id);
    struct ledger_figures figures;
    uint64_t *list;
    ledger_get(tree->ledger, id, &figures);
    if (!partition || !figures.charged_bytes || !tree->lent_charges)
        return;
    size_t count = read_pids(pids, length, &list);
    tree->lent_charges = !list;
    for (uint32_t i = 0; list && i < handles->count; i++) {
        struct shared_handle *slot = &handles->slots[i];
        struct node node;
        if (!is_lent(slot, &node))
            continue;
        tree->lent_charges = true;
        if (node.object != id || opener_may(tree, slot, partition) ||
            bsearch(&slot->answer, list, count, sizeof(*list), compare))
            continue;
        give_back(tree, slot, id, charge_of(slot).bytes);
        publish(slot, 0, 0);
    }
    free(list);
}

int charge_owed(struct tree *tree, const struct handles *handles, uint64_t **ret_ids,
                size_t *ret_count)
{
    uint64_t *ids = NULL;
    size_t count = 0, capacity = 0, kept = 0;
    for (uint32_t i = 0; i < handles->count; i++) {
        const struct shared_handle *slot = &handles->slots[i];
        const struct partition *partition;
        struct node node;
        if (!is_lent(slot, &node))
            continue;
        tree->lent_charges = true;
        partition = tree_partition(tree, &node);
        if (!partition || !charge_of(slot).bytes || opener_may(tree, slot, partition))
            continue;
        if (array_reserve(ids, capacity, count + 1)) {
            free(ids);
            return -ENOMEM;
        }
        ids[count++] = node.object;
    }
    if (count)
        qsort(ids, count, sizeof(*ids), compare);
    for (size_t i = 0; i < count; i++)
        if (!kept || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    *ret_ids = ids;
    *ret_count = kept;
    return 0;
}

int charge_restore(struct tree *tree, const struct handles *handles)
{
    for (uint32_t i = 0; i < handles->count; i++) {
        const struct shared_handle *slot = &handles->slots[i];
        uint64_t bytes = slot->node ? charge_of(slot).bytes : 0;
        int32_t process = slot->node ? slot->process : 0;
        struct node node;
        /* The charge of an ended partition does not matter. */
        if ((!bytes && !process) || !tree_node_from_id(slot->node - 1, &node) ||
            !tree_partition(tree, &node))
            continue;
        int r = ledger_reserve(tree->ledger, node.object);
        if (!r)
            r = bookings_open(tree->bookings, node.object, process);
        if (r)
            return r;
        charge(tree, slot, node.object, bytes);
    }
    return 0;
}
