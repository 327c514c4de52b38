/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure usage by partition: ask the usage reader, find the partition of each process, and add up.
 * Ask when a usage file is read, and every second while processes are in partitions on devices with
 * usage reports; otherwise cause no wake-ups. Only the host thread uses it.
 */
#ifndef CHRONOS_HOST_TELEMETRY_H
#define CHRONOS_HOST_TELEMETRY_H

#include "allocations.h"
#include "bookings.h"
#include "owners.h"

#include "core/gpu/usage.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stdint.h>

struct telemetry;

/* Report the bytes that a partition's processes use on a device now, and the additional time they
 * kept it busy since the last call; `id` is the share_key. Called as well when their rest has
 * changed. */
typedef void telemetry_usage_fn(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns);

struct telemetry_start {
    const struct gpu_device *devices; /* borrowed */
    uint32_t device_count;
    struct proctrack *proctrack;           /* borrowed */
    struct owners *owners;                 /* borrowed; takes out the rows of no process */
    const struct allocations *allocations; /* borrowed; of all live partitions */
    struct bookings *bookings;             /* borrowed; learns what processes use */
    telemetry_usage_fn *usage;
    void *context;
};

/* 0 or -errno. */
int telemetry_new(const struct telemetry_start *start, struct telemetry **ret_telemetry);
/* Return a descriptor that is readable when telemetry_take should be called. */
int telemetry_fd(const struct telemetry *telemetry);
/* Ask the drivers, unless a request is pending. now_ns: CLOCK_BOOTTIME. */
void telemetry_ask(struct telemetry *telemetry, int64_t now_ns);
/* Return whether a request to the drivers is pending. */
bool telemetry_is_asking(const struct telemetry *telemetry);
/* Take an answer, if any, and report what changed. True: took one that was requested at
 * *ret_asked_ns. */
bool telemetry_take(struct telemetry *telemetry, int64_t *ret_asked_ns);
/* Return the last answer, or NULL before the first. Borrowed until the next telemetry_take. */
const struct gpu_usage *telemetry_last(const struct telemetry *telemetry);
/* Return whether any driver reports usage; true until the first answer. */
bool telemetry_is_metered(const struct telemetry *telemetry);
/* Return when to ask the drivers next if no usage file is read; INT64_MAX: never. `occupied`:
 * processes are in partitions. */
int64_t telemetry_next_ns(const struct telemetry *telemetry, bool occupied);
/* Forget an ended partition. */
void telemetry_drop(struct telemetry *telemetry, uint64_t id);

#endif
