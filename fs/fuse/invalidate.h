/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invalidate what a change made stale in the kernel's caches: attributes, never names. A name
 * whose node has no valid attributes leads nowhere: to walk through it, open it or look at it, the
 * kernel needs them, asks, and learns that the partition has ended. Ids are never used again, so
 * a name that stays cached cannot come to mean another partition.
 *
 * To invalidate names would need a lock that users can hold. FUSE_NOTIFY_INVAL_ENTRY takes that of
 * the directory, also while a caller holds it who waits for our answer: a worker killed there
 * cannot die before that caller is answered, and no other worker can answer before it is dead (this
 * happened). FUSE_NOTIFY_INC_EPOCH takes none itself, but makes the kernel look up all names of
 * the tree again, each under the lock of its directory: one user who holds it stops everybody.
 */
#ifndef CHRONOS_FUSE_INVALIDATE_H
#define CHRONOS_FUSE_INVALIDATE_H

#include "core/engine/engine.h"

#include <stdbool.h>

struct session;

/* Invalidate what these events made stale. Skip expiry: cache timeouts end with the partition.
 * Never blocks. Thread-safe. */
void invalidate_events(struct session *session, const struct engine_event *events);
/* Invalidate what reverting them made stale, on so many devices. */
void invalidate_taken_back(struct session *session, const struct engine_event *events,
                           uint32_t device_count);

#endif
