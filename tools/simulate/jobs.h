/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: what is asked for, as rows of text, and what became of each. It must not know schedulers.
 */
#ifndef CHRONOS_SIMULATE_JOBS_H
#define CHRONOS_SIMULATE_JOBS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JOBS_GPUS_MAX 8    /* of one job */
#define JOBS_WHOLE    1000 /* thousandths of a device */

/* A job. Times are whole seconds. */
struct job {
    int64_t submit_s;
    int64_t run_s;   /* how long it needs the devices */
    int64_t asked_s; /* how long it asks for, at least run_s */
    uint32_t gpus, milli;
    uint32_t user;
    uint32_t priority; /* 0 low, 1 normal, 2 high */
    /* what became of it */
    int64_t start_s, end_s;
    int64_t promised_s; /* the start it was given when it came */
    uint32_t devices[JOBS_GPUS_MAX];
};

struct jobs {
    struct job *job; /* by submit_s */
    size_t count;
    uint32_t users; /* one more than the highest */
};

/* Read rows `submit_s,run_s,asked_s,gpus,milli,user,priority`, in order of submit_s, after a line
 * with these names, for this many devices. End the program with a message if they make no sense. */
struct jobs jobs_read(FILE *file, uint32_t device_count);
/* Write rows `start_s,end_s,promised_s,devices`, in the order of the jobs. */
void jobs_write(const struct jobs *jobs, FILE *file);
void jobs_free(struct jobs *jobs);

/* Allocate zeroed memory, or end the program. */
void *jobs_allocate(size_t count, size_t size);

#endif
