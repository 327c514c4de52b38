/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include "core/base/array.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEADER      "submit_s,run_s,asked_s,gpus,milli,user,priority\n"
#define SECONDS_MAX INT64_C(3000000000) /* 95 years */
#define USERS_MAX   100000

static bool is_good(const struct job *job, int64_t last_s, uint32_t device_count)
{
    return job->submit_s >= last_s && job->submit_s <= SECONDS_MAX && job->run_s > 0 &&
           job->asked_s >= job->run_s && job->asked_s <= SECONDS_MAX && job->gpus > 0 &&
           job->gpus <= JOBS_GPUS_MAX && job->gpus <= device_count && job->milli > 0 &&
           job->milli <= JOBS_WHOLE && job->user < USERS_MAX && job->priority <= 2;
}

struct jobs jobs_read(FILE *file, uint32_t device_count)
{
    struct jobs jobs = {0};
    size_t capacity = 0;
    int64_t last_s = 0;
    char line[200];

    if (!fgets(line, sizeof(line), file) || strcmp(line, HEADER) != 0) {
        fprintf(stderr, "The first line must be: %s", HEADER);
        exit(2);
    }
    while (fgets(line, sizeof(line), file)) {
        struct job job = {.promised_s = -1};
        char end = 0;

        if (sscanf(line,
                   "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNu32 ",%" SCNu32 ",%" SCNu32
                   ",%" SCNu32 "%c",
                   &job.submit_s, &job.run_s, &job.asked_s, &job.gpus, &job.milli, &job.user,
                   &job.priority, &end) != 8 ||
            end != '\n' || !is_good(&job, last_s, device_count)) {
            fprintf(stderr, "Row %zu is no job for %" PRIu32 " devices, or out of order: %s",
                    jobs.count + 1, device_count, line);
            exit(2);
        }
        if (array_reserve(jobs.job, capacity, jobs.count + 1)) {
            fprintf(stderr, "Out of memory.\n");
            exit(1);
        }
        jobs.job[jobs.count++] = job;
        if (job.user >= jobs.users)
            jobs.users = job.user + 1;
        last_s = job.submit_s;
    }
    return jobs;
}

void jobs_write(const struct jobs *jobs, FILE *file)
{
    fprintf(file, "start_s,end_s,promised_s,devices\n");
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = &jobs->job[i];

        fprintf(file, "%" PRId64 ",%" PRId64 ",%" PRId64 ",", job->start_s, job->end_s,
                job->promised_s);
        for (uint32_t k = 0; k < job->gpus; k++)
            fprintf(file, "%s%" PRIu32, k ? " " : "", job->devices[k]);
        fputc('\n', file);
    }
}

void jobs_free(struct jobs *jobs)
{
    free(jobs->job);
    *jobs = (struct jobs){0};
}

void *jobs_allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory) {
        fprintf(stderr, "Out of memory.\n");
        exit(1);
    }
    return memory;
}
