/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clusters do, for comparison: one queue in order of arrival, and nothing promised. Written on
 * its own; it must not know the engine.
 */
#ifndef CHRONOS_SIMULATE_QUEUED_H
#define CHRONOS_SIMULATE_QUEUED_H

#include "jobs.h"

#include <stdbool.h>

/* Schedule the jobs on so many equal devices: first come, first served, or with `backfill` as EASY
 * does (Lifka 1995): any job of the queue may start now, if the first one starts no later for it,
 * should all use the time that they asked for. The start promised is the one that the queue would
 * give if no others came and all used all of their time. */
void queued_run(struct jobs *jobs, uint32_t device_count, bool backfill);

#endif
