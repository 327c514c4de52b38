/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the watchdog: makes samples for it of what the drivers report and of which process
 * is in which partition, and carries its actions out: lines on terminals, signals. Only the
 * host thread uses it. Lines of the log and of the status go to the caller.
 */
#ifndef CHRONOS_HOST_POLICE_H
#define CHRONOS_HOST_POLICE_H

#include "allocations.h"
#include "terminate.h"
#include "watchdog.h"

#include "core/gpu/usage.h"
#include "core/proctrack/proctrack.h"

struct police;

struct police_start {
    const struct policy *policy; /* borrowed, as the others; read whenever it matters */
    struct proctrack *proctrack;
    const struct allocations *allocations; /* of all live partitions */
    const struct termination *termination; /* of partitions whose programs are being ended */
    /* A line for the log, about partition `id` (0: none) on `device`. */
    void (*note)(void *context, uint64_t id, uint32_t device, const char *word,
                 const char *details);
    /* A message for the status of a user. */
    void (*status)(void *context, uint32_t uid, const char *message);
    void *context;
};

/* 0 or -ENOMEM. */
int police_new(const struct police_start *start, struct police **ret_police);
/* Call it when the policy has changed. */
void police_policy_changed(struct police *police);
/* When the drivers should be asked for the next check; INT64_MAX: never. */
int64_t police_next_ns(const struct police *police);
/* Checks what the drivers reported, if a check is due. now_ns: CLOCK_BOOTTIME. */
void police_check(struct police *police, int64_t now_ns, const struct gpu_usage *usage);
void police_count(const struct police *police, struct watchdog_counts *ret_counts);

#endif
