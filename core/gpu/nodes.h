/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device nodes a program opens to use a device, as reported by the vendors. It must not open
 * a node or know who may use it.
 */
#ifndef CHRONOS_GPU_NODES_H
#define CHRONOS_GPU_NODES_H

#include "vendor.h"

/* Pass each node of `device` to `fn`. A device without nodes (simulated, a CPU, a driver that is
 * not loaded) is not an error. Nodes with permissions of their own, such as /dev/nvidia-caps, are
 * skipped. Return 0, the result of fn, or -errno (-ENAMETOOLONG if a root is too long). `roots`
 * may be NULL. */
int gpu_nodes(const struct gpu_device *device, const struct gpu_roots *roots, gpu_node_fn *fn,
              void *context);

/* True if a program that any user can run resets the modes of a vendor's nodes. `message` then
 * explains how to prevent that; otherwise it is "". */
bool gpu_nodes_reopened(const struct gpu_roots *roots, struct message *message);

/* Call in a single-threaded process before it loads a vendor's library. If the library of one of
 * `vendors` changes nodes, give the process a private, read-only /dev: it can open nodes but not
 * change them. Does nothing where that is not permitted. `roots` may be NULL. */
void gpu_nodes_shield(const struct gpu_vendor *const *vendors, const struct gpu_roots *roots);

#endif
