/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the kernel to forget what a change made stale. Only messages that take
 * no lock in the kernel are used. FUSE_NOTIFY_INVAL_ENTRY takes the directory's,
 * which may be held by a caller that waits for an answer of ours: a worker killed
 * at that moment cannot die before somebody answers, and nobody can before it is
 * dead (seen). So names are forgotten by raising the epoch of the mount (kernel
 * 6.16), and where there are no epochs the kernel may not remember the names of
 * partitions at all.
 */
#ifndef CHRONOS_FUSE_INVALIDATE_H
#define CHRONOS_FUSE_INVALIDATE_H

#include "core/engine/engine.h"

#include <stdbool.h>

struct session;

/* Forgets what these events made stale, or (`taken_back`) what taking them back
 * did. Expiry is not in it: what the kernel remembers of a partition ends with it
 * by its timeout. Never blocks; any thread may call. */
void invalidate_events(struct session *session, const struct engine_event *events, bool taken_back);

#endif
