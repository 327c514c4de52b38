/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage by partition: asks the usage reader, finds the partition of each process, and adds
 * up. It asks when a file of usage is read, and once a second while programs are in partitions on
 * devices that a driver reports on; otherwise nothing wakes up. Only the host thread uses it.
 */
#ifndef CHRONOS_HOST_TELEMETRY_H
#define CHRONOS_HOST_TELEMETRY_H

#include "allocations.h"

#include "core/gpu/usage.h"
#include "core/proctrack/proctrack.h"

#include <stdbool.h>
#include <stdint.h>

struct telemetry;

/* The bytes that a partition's processes use of its device now, and how much longer they
 * have kept it busy since the last call. */
typedef void telemetry_usage_fn(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns);

struct telemetry_start {
    const struct gpu_device *devices; /* borrowed */
    uint32_t device_count;
    struct proctrack *proctrack;           /* borrowed */
    const struct allocations *allocations; /* borrowed; of all live partitions */
    telemetry_usage_fn *usage;
    void *context;
};

/* 0 or -errno. */
int telemetry_new(const struct telemetry_start *start, struct telemetry **ret_telemetry);
/* Readable when telemetry_take should be called. */
int telemetry_fd(const struct telemetry *telemetry);
/* Asks the drivers, unless they are being asked. now_ns: CLOCK_BOOTTIME. */
void telemetry_ask(struct telemetry *telemetry, int64_t now_ns);
/* Whether the drivers are being asked. */
bool telemetry_is_asking(const struct telemetry *telemetry);
/* Takes an answer, if there is one, and reports what changed. True: there was one;
 * *ret_asked_ns is when it was asked for. */
bool telemetry_take(struct telemetry *telemetry, int64_t *ret_asked_ns);
/* The last answer, or NULL before the first. Borrowed until the next telemetry_take. */
const struct gpu_usage *telemetry_last(const struct telemetry *telemetry);
/* Whether any driver reports on any device; true until the first answer. */
bool telemetry_is_metered(const struct telemetry *telemetry);
/* When the drivers should be asked next although no file of usage is read; `occupied`: programs are
 * in partitions. INT64_MAX: never. */
int64_t telemetry_next_ns(const struct telemetry *telemetry, bool occupied);
/* Forgets a partition that ended. */
void telemetry_drop(struct telemetry *telemetry, uint64_t id);

#endif
