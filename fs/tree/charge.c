/* SPDX-License-Identifier: Apache-2.0 */
/* Charge device memory to open files; see charge.h. */
#include "charge.h"

#include "caller.h"
#include "charge_line.h"

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

/* Return the number under which the charges of an open file are counted. */
static uint64_t key_of(const struct shared_handle *slot, uint64_t id)
{
    return slot->share ? share_key(id, SHARE_MAX, slot->share - 1) : id;
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
    slot->share = 0;
    slot->marks = 0;
    if (!partition)
        return -ENODEV;
    int32_t process = caller_process(opener->pid);
    int r = partition->share_count > 1 /* its first line says where */
                ? 0
                : bookings_open(tree->bookings, partition->id, process);
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
    ledger_charge(tree->ledger, key_of(slot, id), bytes);
    bookings_add(tree->bookings, key_of(slot, id), slot->process, bytes);
}

static void give_back(struct tree *tree, const struct shared_handle *slot, uint64_t id,
                      uint64_t bytes)
{
    ledger_release(tree->ledger, key_of(slot, id), bytes);
    bookings_subtract(tree->bookings, key_of(slot, id), slot->process, bytes);
}

/* Let the open file charge a share from now on. 0 or -ENOMEM. */
static int bind(struct tree *tree, const struct partition *partition, struct shared_handle *slot,
                uint32_t index)
{
    if (partition->share_count == 1 || slot->share)
        return 0;
    int r =
        bookings_open(tree->bookings, share_key(partition->id, SHARE_MAX, index), slot->process);
    if (!r)
        slot->share = index + 1;
    return r;
}

/* Return whether the share has this many bytes left, and say it if not. */
static bool fits(struct tree *tree, const struct partition *partition, struct write *write,
                 uint64_t rest_bytes, uint64_t claimed_bytes, uint64_t bytes)
{
    const struct share *share =
        &partition->shares[write->handle->share ? write->handle->share - 1 : 0];
    struct ledger_figures figures;
    ledger_get(tree->ledger, key_of(write->handle, partition->id), &figures);
    uint64_t limit = share->memory_bytes, charged = figures.charged_bytes;
    uint64_t left = charged < limit ? limit - charged : 0;
    left = rest_bytes < left ? left - rest_bytes : 0;
    if (bytes - claimed_bytes <= left)
        return true;
    char rest[64] = "", of[32] = "";
    if (partition->share_count > 1)
        snprintf(of, sizeof(of), " on gpu%u", (unsigned)share->device);
    if (rest_bytes)
        snprintf(rest, sizeof(rest), ", its programs use %llu more",
                 (unsigned long long)rest_bytes);
    snprintf(write->why.message, sizeof(write->why.message),
             "Cannot charge %llu bytes: %llu of the %llu bytes of p%llu%s are charged%s, %llu "
             "are left.",
             (unsigned long long)bytes, (unsigned long long)charged, (unsigned long long)limit,
             (unsigned long long)partition->id, of, rest, (unsigned long long)left);
    return false;
}

/* Charge what fits beside the rest. The first line of a file says what its process holds already:
 * what the driver reports of that is booked now, no rest any more, and takes no room. */
static int fit(struct tree *tree, const struct partition *partition, struct write *write,
               struct shared_charge current, uint64_t bytes)
{
    const struct shared_handle *slot = write->handle;
    const uint64_t id = key_of(slot, partition->id);
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
    write->uses = partition->arrival && bytes;
    ledger_set_rest(tree->ledger, id, rest);
    ledger_charge(tree->ledger, id, bytes);
    bookings_add(tree->bookings, id, slot->process, bytes - claimed);
    return 0;
}

static int add(struct tree *tree, struct write *write, struct shared_charge current,
               const struct charge_line *line)
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
    uint32_t index;
    int r = waits_check(tree, partition, &write->why);
    if (r && partition->state == PARTITION_SUSPENDED)
        r = -EAGAIN; /* its programs ask again once it was resumed */
    if (!r)
        r = charge_line_share(partition, write, line->device, &index);
    if (!r)
        r = bind(tree, partition, write->handle, index);
    return r ? r : fit(tree, partition, write, current, line->bytes);
}

/* Works even after the end of the partition. */
static int release(struct tree *tree, struct write *write, uint64_t own_bytes,
                   const struct charge_line *line)
{
    const struct partition *partition = tree_partition(tree, write->node);
    uint64_t bytes = line->bytes;
    uint32_t index;
    int r = partition ? charge_line_share(partition, write, line->device, &index) : 0;
    if (r)
        return r;
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

/* Kept until the file is closed, and told to no one but the daemon: a program can only spoil its
 * own partition's suspending. */
static int mark(struct tree *tree, struct write *write, unsigned marks)
{
    write->handle->marks |= marks;
    bookings_mark(tree->bookings, key_of(write->handle, write->node->object),
                  write->handle->process, marks);
    return 0;
}

int charge_store(struct tree *tree, struct write *write)
{
    struct shared_charge current = charge_of(write->handle);
    struct charge_line line;
    write->outcome = WRITE_AT_ONCE;
    /* Writes are executed and answered one by one, so only the last one can be unanswered. */
    if (current.unique == write->unique)
        return 0;
    int r = charge_line_parse(write, &line);
    if (r) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "\"%.32s\" is not a charge; write +4096 to charge 4096 bytes, -4096 to release "
                 "them.",
                 write->text);
        return r;
    }
    if (line.sign == 'm')
        return mark(tree, write, line.mark);
    return line.sign == '+' ? add(tree, write, current, &line)
                            : release(tree, write, current.bytes, &line);
}

void charge_close(struct tree *tree, const struct shared_handle *slot)
{
    uint64_t bytes = charge_of(slot).bytes;
    struct node node;
    if ((!bytes && !slot->process) || !tree_node_from_id(slot->node - 1, &node))
        return;
    const uint64_t key = key_of(slot, node.object);
    give_back(tree, slot, node.object, bytes);
    bookings_close(tree->bookings, key, slot->process);
    ledger_set_rest(tree->ledger, key, bookings_rest(tree->bookings, key));
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
        const struct partition *partition;
        struct node node;
        /* The charge of an ended partition does not matter. */
        if ((!bytes && !process) || !tree_node_from_id(slot->node - 1, &node) ||
            !(partition = tree_partition(tree, &node)))
            continue;
        if (partition->share_count > 1 && !slot->share)
            continue;
        const uint64_t key = key_of(slot, node.object);
        int r = ledger_reserve(tree->ledger, key);
        if (!r)
            r = bookings_open(tree->bookings, key, process);
        if (r)
            return r;
        charge(tree, slot, node.object, bytes);
        bookings_mark(tree->bookings, key, process, slot->marks);
    }
    return 0;
}
