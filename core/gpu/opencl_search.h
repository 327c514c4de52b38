/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices OpenCL shows, and what the key of each is: one search, used by the
 * daemon (opencl.c) and by the layer inside programs (tools/opencl).
 */
#ifndef CHRONOS_GPU_OPENCL_SEARCH_H
#define CHRONOS_GPU_OPENCL_SEARCH_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#endif
#include "gpu.h"

#include <CL/cl.h>

#define OPENCL_PLATFORMS_MAX 32
#define OPENCL_SEEN_MAX      (2 * GPU_DEVICE_MAX)

struct opencl_functions {
    __typeof__(&clGetPlatformIDs) platforms;
    __typeof__(&clGetPlatformInfo) platform_info;
    __typeof__(&clGetDeviceIDs) devices;
    __typeof__(&clGetDeviceInfo) device_info;
};

/* A way to a device: two platforms may show one card, so `device`, the place in
 * the list, can come more than once. */
struct opencl_seen {
    cl_device_id id;
    cl_platform_id platform;
    uint32_t device;
};

/* Zeroed but for the first two, which the caller sets. */
struct opencl_search {
    struct opencl_functions cl;
    struct gpu_list *list;             /* filled; the caller's, zeroed */
    uint32_t platform[GPU_DEVICE_MAX]; /* where device i came from */
    uint32_t platform_count, left_out, without_memory, seen_count;
    cl_platform_id platforms[OPENCL_PLATFORMS_MAX];
    struct opencl_seen seen[OPENCL_SEEN_MAX];
};

/* Fills search->list (GPUs and accelerators of all platforms, or the CPU devices
 * where there are none) and what else is in *search. Something that went wrong is
 * a message in list->note. */
void opencl_search_run(struct opencl_search *search);

#endif
