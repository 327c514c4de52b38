/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of threads, a ring for each account; see status.h. A thread has one message, and one
 * more for each open file that it can be read back from. If a ring is full, its oldest message
 * goes; if all rings are taken, the one that was not used for longest.
 */
#include "core/base/clock.h"
#include "core/base/procfs.h"
#include "names.h"
#include "status.h"

#include <stdio.h>
#include <unistd.h>

/* A message is published last: a worker that dies before leaves a free slot. */
#define PUBLISH() atomic_thread_fence(memory_order_release)

_Static_assert((SHARED_SENTENCES & (SHARED_SENTENCES - 1)) == 0, "a slot is the low bits");

static struct shared_ring *find_ring(struct tree *tree, uint32_t account)
{
    struct shared *shared = tree->shared;
    for (uint32_t i = 0; i < SHARED_RINGS; i++)
        if (shared->rings[i].account == account + 1)
            return &shared->rings[i];
    return NULL;
}

/* Give a free ring to an account, else the one that was not used for longest. */
static struct shared_ring *take_ring(struct tree *tree, uint32_t account)
{
    struct shared *shared = tree->shared;
    struct shared_ring *ring = &shared->rings[0];
    for (uint32_t i = 1; i < SHARED_RINGS; i++)
        if (shared->rings[i].when < ring->when)
            ring = &shared->rings[i];
    ring->account = 0;
    PUBLISH();
    for (uint32_t i = 0; i < SHARED_SENTENCES; i++)
        ring->number[i] = 0;
    PUBLISH();
    ring->account = account + 1;
    return ring;
}

/* Return the slot for a writer's message: of its last one, unless that can still be read back from
 * another open file; else the oldest. */
static uint32_t choose(const struct shared_ring *ring, const struct status_writer *writer)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < SHARED_SENTENCES; i++) {
        if (ring->number[i] && ring->tid[i] == writer->tid && ring->uid[i] == writer->uid &&
            (!ring->fh[i] || ring->fh[i] == writer->fh))
            return i;
        if (ring->number[i] < ring->number[oldest])
            oldest = i;
    }
    return oldest;
}

uint64_t status_thread_set(struct tree *tree, uint32_t account, const struct status_writer *writer,
                           const char *message)
{
    struct shared_ring *ring = find_ring(tree, account);
    if (!ring)
        ring = take_ring(tree, account);
    uint32_t i = choose(ring, writer);
    uint64_t number = ++tree->shared->status_clock * SHARED_SENTENCES + i;
    ring->number[i] = 0;
    PUBLISH();
    ring->when = number;
    ring->tid[i] = writer->tid;
    ring->uid[i] = writer->uid;
    ring->fh[i] = writer->fh;
    ring->at_ns[i] = tree->now_ns;
    snprintf(ring->text[i], sizeof(ring->text[i]), "%s", message);
    PUBLISH();
    ring->number[i] = number;
    return number;
}

/* Return whether the thread began after that moment: then its number was an earlier thread's. */
static bool began_after(int32_t tid, int64_t at_ns)
{
    struct procfs_stat thread;
    if (procfs_stat_read(-1, tid, &thread))
        return false;
    int64_t tick_ns = NS_PER_SECOND / sysconf(_SC_CLK_TCK);
    return (int64_t)thread.start * tick_ns > at_ns;
}

const char *status_thread_get(struct tree *tree, uint32_t account, uint32_t uid, int32_t tid)
{
    const struct shared_ring *ring = find_ring(tree, account);
    uint32_t last = SHARED_SENTENCES;
    for (uint32_t i = 0; ring && i < SHARED_SENTENCES; i++)
        if (ring->number[i] && ring->tid[i] == tid && ring->uid[i] == uid &&
            (last == SHARED_SENTENCES || ring->number[i] > ring->number[last]))
            last = i;
    if (last == SHARED_SENTENCES || began_after(tid, ring->at_ns[last]))
        return NULL;
    return ring->text[last];
}

/* Return the ring that still has the file's message, or NULL. */
static struct shared_ring *ring_of(struct tree *tree, const struct shared_handle *handle)
{
    uint32_t slot = handle->sentence % SHARED_SENTENCES;
    if (!handle->sentence)
        return NULL;
    struct shared_ring *ring = find_ring(tree, names_account(tree->names, handle->uid));
    return ring && ring->number[slot] == handle->sentence ? ring : NULL;
}

const char *status_read_back(struct tree *tree, const struct shared_handle *handle)
{
    const struct shared_ring *ring = ring_of(tree, handle);
    if (ring)
        return ring->text[handle->sentence % SHARED_SENTENCES];
    return handle->sentence ? "Refused; too many others were refused since to say why." : NULL;
}

void status_forget(struct tree *tree, struct shared_handle *handle)
{
    struct shared_ring *ring = ring_of(tree, handle);
    if (ring)
        ring->fh[handle->sentence % SHARED_SENTENCES] = 0;
    handle->sentence = 0;
}
