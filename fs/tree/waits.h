/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for its start, as users see it: sentences, the lines of `queue`, and when its pollers
 * wake. A pass of the plan can move thousands, in portions; pollers wake once it is finished. It
 * must not know how requests are written.
 */
#ifndef CHRONOS_TREE_WAITS_H
#define CHRONOS_TREE_WAITS_H

#include "core/base/strbuf.h"
#include "core/engine/engine.h"
#include "tree.h"

/* The most lines of a queue. */
#define WAITS_LINES_MAX 4096

static inline bool waits_is_pending(const struct partition *partition)
{
    return partition->state == PARTITION_PENDING;
}

/* When a partition starts or, if it has started, now. */
int64_t waits_from_ns(const struct tree *tree, const struct partition *partition);

/* Say what a partition waits for, what stands in its way, and when it starts; or that it has
 * started. */
void waits_reason(struct tree *tree, const struct partition *partition, char *text, size_t size);
/* Refuse what only a partition that has started can do: 0, or REFUSED_BUSY and a message. */
int waits_check(struct tree *tree, const struct partition *partition, struct refusal *why);
/* Print a line for each that waits, by start, at most WAITS_LINES_MAX; of one device, or of
 * ENGINE_DEVICE_ANY. */
void waits_print(struct tree *tree, uint32_t device, struct strbuf *out);

/* Note an event that is about to be published. */
void waits_note(struct tree *tree, const struct engine_event *event);
/* Whether something that waits has changed, and the plan is finished. */
bool waits_is_news(const struct tree *tree);
/* The next device, from `device` on, on which that is so; ENGINE_DEVICE_ANY: none. *ret_moved: how
 * many were moved to it. */
uint32_t waits_next_device(const struct tree *tree, uint32_t device, uint32_t *ret_moved);
/* Show the news as changes to pollers. */
void waits_show(struct tree *tree);

#endif
