/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers tell, by partition: asks the meter, finds out which partition each
 * process belongs to, and adds up. Asks only when somebody reads, and once a second
 * while programs are in partitions on devices that a driver tells about: otherwise
 * nothing wakes up. One thread, the keeper's, uses it.
 */
#ifndef CHRONOS_FS_SAMPLING_H
#define CHRONOS_FS_SAMPLING_H

#include "holdings.h"

#include "../core/enforcer/enforcer.h"
#include "../core/gpu/meter.h"

#include <stdbool.h>
#include <stdint.h>

struct sampling;

/* What is told of a partition: bytes its processes use of its device now, and how
 * much longer than at the last time they kept it busy. */
typedef void sampling_usage_fn(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns);

struct sampling_start {
    const struct gpu_device *devices; /* borrowed */
    uint32_t device_count;
    struct enforcer *enforcer;       /* borrowed */
    const struct holdings *holdings; /* borrowed: all live partitions */
    sampling_usage_fn *usage;
    void *context;
};

/* 0 or -errno. */
int sampling_new(const struct sampling_start *start, struct sampling **ret_sampling);
struct sampling *sampling_free(struct sampling *sampling);
/* Readable when sampling_take should be called. */
int sampling_fd(const struct sampling *sampling);
/* Asks the drivers, unless a question is under way. now_ns: CLOCK_BOOTTIME. */
void sampling_ask(struct sampling *sampling, int64_t now_ns);
/* Whether a question is under way. */
bool sampling_is_asking(const struct sampling *sampling);
/* Takes an answer, if there is one, and tells what changed. True: there was one;
 * *ret_asked_ns is when it was asked for. */
bool sampling_take(struct sampling *sampling, int64_t *ret_asked_ns);
/* The last answer, or NULL before the first. Borrowed until the next sampling_take. */
const struct gpu_usage *sampling_last(const struct sampling *sampling);
/* Whether any driver tells of any device, as far as is known. */
bool sampling_is_metered(const struct sampling *sampling);
/* When the drivers should be asked next without anybody reading: `occupied` tells
 * whether programs are in partitions. INT64_MAX never. */
int64_t sampling_next_ns(const struct sampling *sampling, bool occupied);
/* Forgets a partition that ended. */
void sampling_drop(struct sampling *sampling, uint64_t id);

#endif
