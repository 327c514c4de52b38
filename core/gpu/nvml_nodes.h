/* SPDX-License-Identifier: Apache-2.0 */
/* The device nodes of NVIDIA's driver: members of struct gpu_vendor for nvml.c. */
#ifndef CHRONOS_GPU_NVML_NODES_H
#define CHRONOS_GPU_NVML_NODES_H

#include "vendor.h"

int nvml_nodes(const struct gpu_node_search *search);
/* nvidia-modprobe is setuid root and sets modes back, as every program of root that loads
 * the library does, while /proc/driver/nvidia/params says ModifyDeviceFiles: 1 with a mode
 * that lets in more than owner and group. */
bool nvml_nodes_reopened(const struct gpu_roots *roots, char *message, size_t size);
bool nvml_changes_nodes(const struct gpu_roots *roots);

#endif
