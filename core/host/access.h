/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to device nodes (config/device_access): finds the nodes of the devices, lets the
 * holders of partitions open them, closes a node again that something else opened, and
 * restores everything when it is switched off. Only the host thread uses it. It must not know
 * processes.
 *
 * The owner of a live partition may open the own nodes of its device and the nodes that
 * the devices of its vendor share; so may its group, if the partition's mode lets its
 * group write. A mode that lets everybody write opens nothing to everybody.
 */
#ifndef CHRONOS_HOST_ACCESS_H
#define CHRONOS_HOST_ACCESS_H

#include "allocations.h"

#include "core/gpu/gpu.h"

#include <stdbool.h>
#include <stdint.h>

struct access;

struct access_start {
    const struct gpu_device *devices; /* borrowed; indexed as in allocations */
    uint32_t device_count;
    const char *state_dir;                 /* borrowed */
    const struct allocations *allocations; /* borrowed; of all live partitions */
    /* A line for the log, about partition `id` (0: none) on `device` (or ENGINE_DEVICE_ANY). */
    void (*note)(void *context, uint64_t id, uint32_t device, const char *word,
                 const char *details);
    void *context;
};

/* 0 or -ENOMEM. Nothing is done before the first access_set. */
int access_new(const struct access_start *start, struct access **ret_access);

/* Switches it on or off. Off also opens the nodes that a daemon closed before it died. */
void access_set(struct access *access, bool on);
/* The holders of partitions have changed. */
void access_touch(struct access *access);
/* Does what is due. now_ns: CLOCK_BOOTTIME. */
void access_step(struct access *access, int64_t now_ns);
/* When access_step must be called next; INT64_MAX: never. */
int64_t access_next_ns(const struct access *access);
/* Readable when something was done to a node: call access_step. -1: none. */
int access_fd(const struct access *access);

/* Whether only holders can open the nodes of a device now. */
bool access_restricts(const struct access *access, uint32_t device);
/* Why nodes are not as they should be: one message, or "". */
const char *access_why(const struct access *access);

#endif
