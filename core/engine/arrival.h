/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations whose users are awaited (config/no_show). Time counts from when the engine noticed a
 * start, or gave the warning, and not before it was there to be used: what could not be used, since
 * the machine or the daemon was off, is not taken.
 */
#ifndef CHRONOS_ENGINE_ARRIVAL_H
#define CHRONOS_ENGINE_ARRIVAL_H

#include "core/base/avl.h"
#include "partition.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct entry;

struct arrivals {
    struct avl awaited, missed; /* by arrival_ns, id */
    int64_t since_ns;           /* the first time that the engine was given; INT64_MIN: none yet */
    int64_t now_ns;             /* the latest */
};

void arrival_init(struct engine *engine);
/* The engine is asked to do what is due at this moment. */
void arrival_tick(struct engine *engine, int64_t now_ns);
/* Put an entry in the order that its record says, and take it out. */
void arrival_put(struct engine *engine, struct entry *entry);
void arrival_take(struct engine *engine, struct entry *entry);
/* The record of an entry, which is in no order, is about to be replaced by this one. */
void arrival_note(const struct engine *engine, struct entry *entry,
                  const struct partition *partition);
/* Whether a partition that starts now is awaited. */
bool arrival_is_awaited(const struct engine *engine, const struct entry *entry);
/* The first of those that are awaited (`missed`: and warned), the one after `entry`; and when one
 * is due to be warned, or has to end. Not while config/no_show is off. */
struct entry *arrival_first(const struct engine *engine, bool missed);
struct entry *arrival_next(const struct engine *engine, const struct entry *entry);
int64_t arrival_due_ns(const struct engine *engine, const struct entry *entry);
/* When the first is due; ENGINE_FOREVER: none. */
int64_t arrival_next_ns(const struct engine *engine);

#endif
