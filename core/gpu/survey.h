/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon needs to know once about a driver before it can say how programs are limited:
 * what a context takes, and whether the library that limits them knows all that the driver has for
 * memory. Asked in a driver process, as everything of drivers. It must not know any vendor.
 */
#ifndef CHRONOS_GPU_SURVEY_H
#define CHRONOS_GPU_SURVEY_H

#include "gpu.h"

/* Plain data: the answer of a driver process. */
struct gpu_survey {
    uint32_t magic;      /* not for vendors */
    uint32_t has_driver; /* the library that programs allocate with is on this machine */
    uint32_t has_limits; /* the driver itself can limit the memory of a cgroup */
    char unknown[192];   /* functions for memory that the library does not know, by name */
    char note[192];      /* why something is not known, one line; or "" */
    /* By device: what it takes for a process's context; 0: not measured. */
    uint64_t context_bytes[GPU_DEVICE_MAX];
};

struct gpu_survey_options {
    const char *library; /* the one that limits programs */
    const char *program; /* executed with --driver; NULL: this one */
    int timeout_ms;      /* 15000 */
};

/* Ask about these devices. Measure no context of a device for which measured[i] is not 0: it is
 * copied. What is not known is 0 or "" in the answer, with a note; never fails otherwise. A driver
 * that hangs or crashes while a context is measured loses only what was to be measured. */
void gpu_survey(const struct gpu_survey_options *options, const struct gpu_device *devices,
                uint32_t count, const uint64_t *measured, struct gpu_survey *ret_survey);

#endif
