/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device nodes a program opens to use a device, as the vendors tell. It must not
 * open a node, nor know who may use it.
 */
#ifndef CHRONOS_GPU_NODES_H
#define CHRONOS_GPU_NODES_H

#include "vendor.h"

/* Passes the nodes of `device` to `fn`. A device without nodes (simulated, a processor, a
 * driver that is not loaded) is no error. Nodes with permissions of their own, such as
 * /dev/nvidia-caps, are left alone. 0, what fn returned, or -errno (-ENAMETOOLONG: of the
 * roots). `roots` may be NULL. */
int gpu_nodes(const struct gpu_device *device, const struct gpu_roots *roots, gpu_node_fn *fn,
              void *context);

/* True when something that any user can start sets modes on nodes of a vendor back. Then
 * `message` says what to do about it, else it is "". */
bool gpu_nodes_reopened(const struct gpu_roots *roots, char *message, size_t size);

/* In a process of one thread, before it loads a vendor's library: if one of `vendors` says
 * that its library changes nodes, the process gets a /dev of its own that is read-only: it
 * can open nodes and not change them. Nothing happens where that is not allowed. `roots`
 * may be NULL. */
void gpu_nodes_shield(const struct gpu_vendor *const *vendors, const struct gpu_roots *roots);

#endif
