/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that NVIDIA's management library knows: GPUs, and instances of GPUs split by MIG.
 * Implements `probe` of struct gpu_vendor for nvml.c. */
#ifndef CHRONOS_GPU_NVML_DEVICES_H
#define CHRONOS_GPU_NVML_DEVICES_H

#include "nvml_library.h"
#include "vendor.h"

/* A GPU, or an instance of one. */
struct nvml_found {
    nvml_device handle;
    char uuid[64];       /* "" if unknown */
    char pci[32];        /* "0000:3b:00.0"; of an instance, that of its GPU; "" if unknown */
    bool part;           /* an instance */
    bool split;          /* a GPU in MIG mode: programs can only use its instances */
    unsigned part_count; /* of a GPU in MIG mode: its instances */
};
typedef void nvml_found_fn(void *context, const struct nvml_found *found);

/* Pass each device to `fn`, a GPU before its instances. Return 0 or NVML's code. */
int nvml_devices_each(const struct nvml_library *library, nvml_found_fn *fn, void *context);

int nvml_devices_probe(const struct gpu_setup *setup, struct gpu_list *list);

#endif
