/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the kernel to forget what changed. In a thread of its own: the kernel
 * takes the directory's lock for it, and whoever holds that lock may be waiting
 * for an answer of ours.
 */
#ifndef CHRONOS_FS_NOTIFIER_H
#define CHRONOS_FS_NOTIFIER_H

#include "../core/engine/engine.h"

struct notifier;
struct fuse_session;

int notifier_new(struct fuse_session *session, struct notifier **ret_notifier);
struct notifier *notifier_free(struct notifier *notifier);
/* Queues what these events made stale, or (`taken_back`) what taking them back
 * did. Expiry is not in it: what the kernel remembers of a partition ends with it
 * by its timeout. Any thread may call. */
void notifier_events(struct notifier *notifier, const struct engine_event *events, bool taken_back);

#endif
