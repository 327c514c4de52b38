/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse /proc/PID/fdinfo/N of a DRM client, in the format of the kernel document "DRM client usage
 * stats". Pure: text in, figures out.
 */
#ifndef CHRONOS_GPU_DRM_FDINFO_H
#define CHRONOS_GPU_DRM_FDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drm_fdinfo {
    char driver[32]; /* amdgpu, i915, xe */
    char pdev[32];   /* "0000:03:00.0"; "" if missing */
    bool has_client; /* `client` identifies the open file, which can have several descriptors */
    uint64_t client;
    bool has_memory;
    /* Device memory: the regions vram*, local* and stolen-local*. If there are none, the device
     * uses system memory: count all regions but cpu. Counts resident memory if the driver reports
     * it, else allocated memory. Memory that two clients share is counted in both. */
    uint64_t memory_bytes;
    uint64_t busy_ns; /* sum over the engines that report nanoseconds */
};

/* Return false if `text` is not from a DRM client. Accepts any text; numbers that overflow are
 * clamped to INT64_MAX. */
bool drm_fdinfo_parse(const char *text, size_t size, struct drm_fdinfo *ret_info);

#endif
