/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes of partitions the kernel may have attributes of. A change invalidates those alone: a
 * partition has more than thirty nodes, of which the kernel mostly has seen none or two.
 *
 * Attributes of partitions are valid for CACHED_NS at most. So an answer that gave some is
 * remembered for longer than that, in two halves of which the older one is dropped as a whole, and
 * nothing needs to know what the kernel has forgotten. What is in doubt counts as known.
 */
#ifndef CHRONOS_FUSE_CACHED_H
#define CHRONOS_FUSE_CACHED_H

#include "core/base/clock.h"
#include "fs/tree/node.h"

#include <stdbool.h>

/* The longest time for which attributes are valid, with the time that the answer may take: the
 * kernel counts from its arrival. */
#define CACHED_NS (60 * NS_PER_SECOND)

struct cached;

/* `unknown`: the kernel may have answers of an earlier worker. 0 or -ENOMEM. */
int cached_new(bool unknown, int64_t now_ns, struct cached **ret_cached);
/* Accepts NULL. Returns NULL. */
struct cached *cached_free(struct cached *cached);
/* The kernel gets attributes of a partition, its link, or one of its files. Call before the answer
 * leaves. Thread-safe. */
void cached_note(struct cached *cached, const struct node *node, int64_t now_ns);
/* Return a set of the partition's nodes of which the kernel may have attributes. Thread-safe. */
uint64_t cached_find(struct cached *cached, uint64_t id, int64_t now_ns);
/* Return whether the set has the node, or one that cannot be told from it. */
bool cached_has(uint64_t set, const struct node *node);

#endif
