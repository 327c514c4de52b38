/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `metrics` counts: requests by their result, ends by their kind, and what each person has had
 * in all. It begins at zero with each worker, as counters of Prometheus may. Owned by the loop
 * thread.
 */
#ifndef CHRONOS_TREE_COUNTERS_H
#define CHRONOS_TREE_COUNTERS_H

#include "core/engine/engine.h"

#include <stddef.h>
#include <stdint.h>

#define COUNTERS_PERSONS_MAX 128u

/* Results of requests, in the order of their words. */
#define COUNTERS_RESULTS 8
#define COUNTERS_ENDS    6
extern const char *const counters_result_words[COUNTERS_RESULTS];
extern const char *const counters_end_words[COUNTERS_ENDS];

/* What the partitions of one person have had. */
struct counters_person {
    uint32_t account;
    uint64_t bytes;        /* promised now */
    int64_t since_ns;      /* up to then `byte_seconds` is complete */
    double byte_seconds;   /* promised bytes over time */
    uint64_t ended_gpu_ns; /* time of devices, of partitions that have ended */
};

/* All zero at first. */
struct counters {
    uint64_t results[COUNTERS_RESULTS], ends[COUNTERS_ENDS];
    uint64_t taken_back; /* changes that could not be made durable */
    /* The first persons who had a partition; the last place is for all others together. */
    struct counters_person persons[COUNTERS_PERSONS_MAX + 1];
    uint32_t person_count;
};

typedef uint32_t counters_account_fn(const void *context, uint32_t uid);

/* Count from now on the live partitions. Call it again when the accounts of uids have changed. */
void counters_begin(struct counters *counters, const struct engine *engine, int64_t now_ns,
                    counters_account_fn *account, const void *context);
/* Count a request: 0, a refusal_code, or a negative errno. */
void counters_request(struct counters *counters, int r);
/* Count a change. `gpu_ns` is what a partition that ended has had. */
void counters_event(struct counters *counters, const struct engine_event *event, uint64_t gpu_ns,
                    counters_account_fn *account, const void *context);
/* Count that it was taken back, at now_ns. */
void counters_take_back(struct counters *counters, const struct engine_event *event, int64_t now_ns,
                        uint64_t gpu_ns, counters_account_fn *account, const void *context);
/* Return the place of an account in `persons`: the last one if it has none. */
uint32_t counters_find(const struct counters *counters, uint32_t account);
/* Return the byte seconds of a person up to now. */
double counters_byte_seconds(const struct counters_person *person, int64_t now_ns);

#endif
