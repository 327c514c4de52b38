/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the nodes of the devices, in a child process: while a user holds a directory of /dev, /sys
 * or /proc/driver, listing it waits. It must not know who may open a node.
 */
#ifndef CHRONOS_HOST_NODE_SCAN_H
#define CHRONOS_HOST_NODE_SCAN_H

#include "core/base/child.h"
#include "core/base/message.h"
#include "core/devacl/devacl.h"
#include "core/gpu/gpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_SCAN_MAX         (4 * GPU_DEVICE_MAX)
#define NODE_SCAN_DIRECTORIES 3

/* Directories in which nodes are made. */
extern const char *const node_scan_directories[NODE_SCAN_DIRECTORIES];

/* A node, and the devices that use it: bit i % 64 of word i / 64 for device i. */
struct scanned_node {
    char path[DEVACL_PATH_MAX];
    uint64_t devices[(GPU_DEVICE_MAX + 63) / 64];
    bool own; /* used by one device only */
};

struct scanned_nodes {
    unsigned directories;    /* those that exist: bit i for node_scan_directories[i] */
    struct message reopened; /* see gpu_nodes_reopened */
    size_t count;
    struct scanned_node node[NODE_SCAN_MAX];
};

struct node_scan {
    const struct gpu_device *devices; /* borrowed */
    uint32_t device_count;
    struct child child; /* pid 0: none */
    size_t got;         /* bytes of `next` */
    struct scanned_nodes *next;
};

static inline bool scanned_node_has(const struct scanned_node *node, uint32_t device)
{
    return device < GPU_DEVICE_MAX && (node->devices[device / 64] >> device % 64 & 1);
}

/* Find the nodes. Return 0; -EINPROGRESS if something keeps the child waiting: call again, which
 * continues; or another -errno. */
int node_scan_run(struct node_scan *scan, struct scanned_nodes *ret_nodes);

#endif
