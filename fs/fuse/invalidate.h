/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invalidate what a change made stale in the kernel's caches. Use only notifications that take no
 * lock in the kernel. FUSE_NOTIFY_INVAL_ENTRY takes the directory's lock, which can be held by a
 * caller that waits for our answer: a worker killed there cannot die before that caller is
 * answered, and no other worker can answer before it is dead (this happened). So names are
 * invalidated by raising the mount's epoch (kernel 6.16). Where there are no epochs, the kernel is
 * not allowed to cache the names of partitions.
 */
#ifndef CHRONOS_FUSE_INVALIDATE_H
#define CHRONOS_FUSE_INVALIDATE_H

#include "core/engine/engine.h"

#include <stdbool.h>

struct session;

/* Invalidate what these events made stale or, if `taken_back`, what reverting them did. Skip
 * expiry: cache timeouts end with the partition. Never blocks. Thread-safe. */
void invalidate_events(struct session *session, const struct engine_event *events, bool taken_back);

#endif
