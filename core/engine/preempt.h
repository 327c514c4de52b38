/* SPDX-License-Identifier: Apache-2.0 */
/* What preempt.c and preempt_choose.c know of a preemption. */
#ifndef CHRONOS_ENGINE_PREEMPT_H
#define CHRONOS_ENGINE_PREEMPT_H

#include "internal.h"

#define PREEMPT_VICTIMS_MAX 64

struct victim {
    struct entry *entry;
    struct engine_event *event;
    struct partition to; /* where it waits */
};

struct preemption {
    struct partition high;      /* as it starts now */
    struct engine_event *moved; /* of one that waits already; else NULL */
    uint32_t count;
    struct victim victims[PREEMPT_VICTIMS_MAX];
};

/* Choose devices and victims; the shares of `high` are those that it would take. *ret_found false:
 * it is not possible. 0 or -ENOMEM. */
int preempt_choose(struct engine *engine, const struct waiting *waiting, int64_t now_ns,
                   struct preemption *preemption, bool *ret_found);

#endif
