/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a driver's rows are. A driver goes on to list the pid of a process that has ended while
 * another holds its descriptors, and the kernel gives that pid to the next. So a row belongs to the
 * process that had its pid when the row was first seen, as the start time tells. If that one is
 * gone while the row is there, the row is orphaned, and belongs to no process until a look finds it
 * gone.
 *
 * The file "rows" of the state directory keeps this for the next worker. It needs no sync, because
 * it is for this boot.
 */
#ifndef CHRONOS_HOST_OWNERS_H
#define CHRONOS_HOST_OWNERS_H

#include "core/gpu/usage.h"
#include "core/proctrack/proctrack.h"

struct owners;

struct owners_start {
    const struct gpu_device *devices; /* borrowed, like the tracker and state_dir */
    uint32_t device_count;
    struct proctrack *proctrack;
    const char *state_dir; /* NULL: keep nothing */
    /* Write a log line about a device. */
    void (*note)(void *context, uint32_t device, const char *word, const char *details);
    void *context;
};

/* 0 or -ENOMEM. */
int owners_new(const struct owners_start *start, struct owners **ret_owners);
/* NULL is fine. Return NULL. */
struct owners *owners_free(struct owners *owners);
/* Remove orphaned rows from an answer, and note each once, as soon as a second look finds it. */
void owners_sift(struct owners *owners, struct gpu_usage *usage);

#endif
