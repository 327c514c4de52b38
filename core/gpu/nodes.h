/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device nodes a program opens to use a device: read from /proc and /sys, as
 * the kernel's drivers tell. Reads small files of the kernel only, so it may be
 * called in the daemon. It must not open a node, nor know who may use it.
 */
#ifndef CHRONOS_GPU_NODES_H
#define CHRONOS_GPU_NODES_H

#include "gpu.h"

#include <stdbool.h>
#include <stddef.h>

/* Where to look; a NULL is the usual place. For tests. */
struct gpu_roots {
    const char *proc; /* "/proc" */
    const char *sys;  /* "/sys" */
    const char *dev;  /* "/dev" */
};

/* One node that exists. `shared`: a program needs it for any device of this vendor
 * (nvidiactl, nvidia-uvm, kfd), so it is told for each of them; otherwise it belongs
 * to this device alone (nvidia0, dri/renderD128). A non-zero result ends the list. */
typedef int gpu_node_fn(void *context, const char *path, bool shared);

/* Tells the nodes of `device`, found by its uuid, else by its pci address. A device
 * without nodes (simulated, a processor, a driver that is not loaded) has none and
 * is no error. /dev/nvidia-caps (MIG, fabric) are left alone: they have their own
 * permissions. 0, what fn returned, or -errno (-ENAMETOOLONG: of the roots).
 * `roots` may be NULL. */
int gpu_nodes(const struct gpu_device *device, const struct gpu_roots *roots, gpu_node_fn *fn,
              void *context);

/* True when something that any user can start sets modes on the nodes back:
 * nvidia-modprobe is setuid root and does so (as every program of root that loads the
 * vendor's library) while /proc/driver/nvidia/params says
 * ModifyDeviceFiles: 1 with a mode that lets in more than owner and group. Then
 * `message` says what to do about it, else it is "". */
bool gpu_nodes_reopened(const struct gpu_roots *roots, char *message, size_t size);

/* In a child process of one thread, before it loads a vendor's library: from now on the
 * process cannot change nodes (it can open them), because it has a /dev of its own that
 * is read-only. Nothing happens without NVIDIA's driver, while a node of it is missing,
 * or where it is not allowed. `roots` may be NULL. */
void gpu_nodes_shield(const struct gpu_roots *roots);

#endif
