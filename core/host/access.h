/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate, as the host thread drives it: finds out which device nodes there are, lets
 * those open them who hold a partition (config/device_access), closes them again when somebody
 * else opened them, and puts everything back when it is switched off. Only one thread,
 * the host thread's, uses it. It must not know the engine nor processes.
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

/* Something for the log that is about no partition: its word, and details. */
typedef void access_note_fn(void *context, const char *word, const char *details);

struct access_start {
    const struct gpu_device *devices; /* borrowed; their index is that of holdings */
    uint32_t device_count;
    const char *state_dir;                 /* borrowed */
    const struct allocations *allocations; /* borrowed: all live partitions */
    access_note_fn *note;
    void *context;
};

/* 0 or -ENOMEM. Nothing is done before the first access_set. */
int access_new(const struct access_start *start, struct access **ret_access);
/* Leaves the nodes as they are; returns NULL. */
struct access *access_free(struct access *access);

/* What config/device_access says. Off also puts back what a daemon that died had closed. */
void access_set(struct access *access, bool on);
/* Somebody came to hold a partition, or no longer does. */
void access_touch(struct access *access);
/* Does what is due: nothing, most of the time. now_ns: CLOCK_BOOTTIME. */
void access_step(struct access *access, int64_t now_ns);
/* When access_step must be called next; INT64_MAX never. */
int64_t access_next_ns(const struct access *access);
/* Readable when somebody did something to a node: access_step sees to it. -1: none. */
int access_fd(const struct access *access);

/* Whether only holders can open the nodes of a device now. */
bool access_holds(const struct access *access, uint32_t device);
/* What is wrong with the gate, as one message, or "". */
const char *access_why(const struct access *access);

#endif
