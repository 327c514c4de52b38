/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells in /proc/PID/fdinfo/N of a file that is a DRM client, in the
 * format of its document "DRM client usage stats". Pure: text in, figures out.
 */
#ifndef CHRONOS_GPU_DRM_FDINFO_H
#define CHRONOS_GPU_DRM_FDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drm_fdinfo {
    char driver[32]; /* amdgpu, i915, xe */
    char pdev[32];   /* "0000:03:00.0"; "" not told */
    bool has_client; /* client names the open file, however many descriptors it has */
    uint64_t client;
    bool has_memory;
    /* On the device: regions vram*, local* and stolen-local*. Where there is none of
     * them, the device uses the machine's memory: all regions but cpu. What is resident,
     * where the driver tells that; else what is allocated. What two clients share is
     * counted in both. */
    uint64_t memory_bytes;
    uint64_t busy_ns; /* sum over the engines that tell nanoseconds */
};

/* False: `text` is of no DRM client. Any text is fine; numbers that do not fit are as
 * large as they can be. */
bool drm_fdinfo_parse(const char *text, size_t size, struct drm_fdinfo *ret_info);

#endif
