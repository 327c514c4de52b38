/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices OpenCL reports, and the key of each: one search, shared by the daemon (opencl.c)
 * and the layer inside programs (tools/opencl).
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

/* One OpenCL id of a device. Two platforms can report one card, so several entries can have the
 * same `device`, an index of the list. */
struct opencl_seen {
    cl_device_id id;
    cl_platform_id platform;
    uint32_t device;
};

/* The caller sets the first two members and zeroes the rest. */
struct opencl_search {
    struct opencl_functions cl;
    struct gpu_list *list;             /* output; owned by the caller, zeroed */
    uint32_t platform[GPU_DEVICE_MAX]; /* platform that reported device i */
    uint32_t platform_count, left_out, without_memory, seen_count;
    cl_platform_id platforms[OPENCL_PLATFORMS_MAX];
    struct opencl_seen seen[OPENCL_SEEN_MAX];
};

/* Fill search->list with the GPUs and accelerators of all platforms, or with the CPU devices if
 * there are none, and the other members of *search. On a failure list->note has a message. */
void opencl_search_run(struct opencl_search *search);

#endif
