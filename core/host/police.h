/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build the watchdog's samples from usage and membership, and carry out its actions. Only the host
 * thread uses it. Pass log lines and status messages to the caller.
 *
 * A warning goes to `events` and to the user's `status`, never to a terminal. The terminal of a
 * process is a file that the process chooses: between a check of /proc/PID/fd/2 and its open the
 * process can put any file there, and even a real terminal can make its open wait for as long as
 * its user likes (a hangup keeps the terminal's lock until a read into slow memory is done).
 */
#ifndef CHRONOS_HOST_POLICE_H
#define CHRONOS_HOST_POLICE_H

#include "allocations.h"
#include "bookings.h"
#include "terminate.h"
#include "watchdog.h"

#include "core/gpu/usage.h"
#include "core/proctrack/proctrack.h"

struct police;

struct police_start {
    const struct policy *policy; /* borrowed like the others; read on each use */
    struct proctrack *proctrack;
    const struct allocations *allocations; /* of all live partitions */
    const struct termination *termination; /* of partitions being ended */
    const struct gpu_device *devices;
    struct bookings *bookings;
    bool cuda_limited; /* programs get the CUDA shim */
    /* Write a log line about what user `uid` does on `device` with partition `id` (0: without). */
    void (*note)(void *context, uint64_t id, uint32_t uid, uint32_t device, const char *word,
                 const char *details);
    /* Set the message in a user's `status`. */
    void (*status)(void *context, uint32_t uid, const char *message);
    void *context;
};

/* 0 or -ENOMEM. */
int police_new(const struct police_start *start, struct police **ret_police);
/* Apply a changed policy. */
void police_policy_changed(struct police *police);
/* Return when to ask the drivers for the next check, also if only adoption is on; INT64_MAX: never.
 */
int64_t police_next_ns(const struct police *police);
/* Check what the drivers reported: always for programs that nothing limits, for all else if that is
 * due. now_ns: CLOCK_BOOTTIME. */
void police_check(struct police *police, int64_t now_ns, const struct gpu_usage *usage);
void police_count(const struct police *police, struct watchdog_counts *ret_counts);

#endif
