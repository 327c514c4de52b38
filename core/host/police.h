/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog, as the host thread drives it: makes samples for watchdog.h of what the
 * drivers tell and of who is in which partition, and does what it says: lines on
 * terminals, signals. Only one thread, the host thread's, uses it. It must not know the
 * engine; what there is to note or to show is handed to the caller.
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
    struct proctrack *proctrack;           /* borrowed, as the others */
    const struct allocations *allocations; /* all live partitions */
    const struct termination *termination; /* whose programs are just being ended */
    /* A line for the log, about partition `id` (0: none) on `device`. */
    void (*note)(void *context, uint64_t id, uint32_t device, const char *word,
                 const char *details);
    /* A message for the status of a user. */
    void (*status)(void *context, uint32_t uid, const char *message);
    void *context;
};

struct police_policy {
    enum watchdog_mode mode;
    int64_t interval_ns; /* between two looks */
    int64_t grace_ns;
};

/* 0 or -ENOMEM. It is off until police_set. */
int police_new(const struct police_start *start, struct police **ret_police);
struct police *police_free(struct police *police);
void police_set(struct police *police, const struct police_policy *policy);
/* When the drivers should be asked for the next look; INT64_MAX never. */
int64_t police_next_ns(const struct police *police);
/* Takes a look at what the drivers told, if one is due. now_ns: CLOCK_BOOTTIME. */
void police_look(struct police *police, int64_t now_ns, const struct gpu_usage *usage);
void police_count(const struct police *police, struct watchdog_counts *ret_counts);

#endif
