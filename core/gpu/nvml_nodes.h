/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes of NVIDIA's driver: members of struct gpu_vendor for nvml.c. */
#ifndef CHRONOS_GPU_NVML_NODES_H
#define CHRONOS_GPU_NVML_NODES_H

#include "vendor.h"

int nvml_nodes(const struct gpu_node_search *search);
/* True while /proc/driver/nvidia/params has ModifyDeviceFiles: 1 and a DeviceFileMode other than
 * 0660. Then nvidia-modprobe, which is setuid root, and every root program that loads the library
 * reset the modes. */
bool nvml_nodes_reopened(const struct gpu_roots *roots, struct message *message);
bool nvml_changes_nodes(const struct gpu_roots *roots);

#endif
