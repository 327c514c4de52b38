/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control access to device nodes (config/device_access). Find the nodes of the devices, let
 * partition holders open them, close a node again after another program opened it, and restore
 * everything when switched off. Only the host thread uses it. It must not know processes.
 *
 * The owner of a live partition may open the device's own nodes and the nodes that all devices of
 * its vendor share. So may its guests, and the partition's group if the mode lets the group write.
 * A mode with write access for others opens no node to everyone. If there are more than a list can
 * name, users come before groups, each account's first uid before any account's second, guests as
 * further uids of the owner's account, and older partitions before newer ones; those who ended are
 * always taken out.
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
    /* Write a log line about `device` (or ENGINE_DEVICE_ANY). */
    void (*note)(void *context, uint32_t device, const char *word, const char *details);
    void *context;
};

/* Create it; changes nothing before the first access_set. 0 or -ENOMEM. */
int access_new(const struct access_start *start, struct access **ret_access);

/* Switch it on or off. Off also restores nodes that an earlier daemon left closed. */
void access_set(struct access *access, bool on);
/* Record that the holders of partitions have changed. */
void access_touch(struct access *access);
/* Do what is due. now_ns: CLOCK_BOOTTIME. */
void access_step(struct access *access, int64_t now_ns);
/* Return when to call access_step next; INT64_MAX: never. */
int64_t access_next_ns(const struct access *access);
/* Return a descriptor that is readable after a change to a node: call access_step. -1: none. */
int access_fd(const struct access *access);

/* Return whether only holders can open the nodes of a device now. */
bool access_restricts(const struct access *access, uint32_t device);
/* Print the paths of the nodes of a device as they were found last, with a blank between, each
 * whole or not at all; of HOST_NODES_MAX bytes. */
void access_print_nodes(const struct access *access, uint32_t device, char *ret_paths);
/* Return whether as many accounts hold partitions as the lists of nodes can name. */
bool access_is_full(const struct access *access);
/* Return why nodes are not restricted as configured: one message, or "". */
const char *access_why(const struct access *access);

#endif
