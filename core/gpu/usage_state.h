/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a usage reader has in memory, for usage.c, which asks, usage_check.c, which looks
 * whether an answer can be true, and usage_merge.c, which puts the answers together.
 */
#ifndef CHRONOS_GPU_USAGE_STATE_H
#define CHRONOS_GPU_USAGE_STATE_H

#include "driver.h"

#include <limits.h>

#define NOBODY GPU_VENDOR_MAX /* in place of a vendor */

/* What is remembered of a vendor. */
struct standing {
    int64_t retry_ns; /* not to be asked before */
    pid_t stuck;      /* its process, that could not be killed; 0 */
    char note[192];   /* what was wrong when it was asked last; "" nothing */
    uint64_t others;  /* bits: devices that it did not know when it last answered */
};

/* One message of the process, as far as it came. */
struct usage_wire {
    struct usage_answer answer;
    struct gpu_usage_process process[GPU_USAGE_PROCESS_MAX];
};
_Static_assert(offsetof(struct usage_wire, process) == sizeof(struct usage_answer), "no gap");

struct usage_reader {
    int epoll, timer; /* epoll: what usage_reader_fd tells; the timer and the socket are in it */
    char program[PATH_MAX];
    int timeout_ms, first_ms;
    int64_t (*now_ns)(void);
    struct gpu_setup setup;
    struct driver_child child;
    bool fresh; /* the process has answered nothing yet */

    bool under_way, ready;
    uint32_t number;  /* of the question */
    uint32_t pending; /* bits: vendors that have not answered */
    int64_t deadline_ns;

    struct standing standing[GPU_VENDOR_MAX + 1]; /* the last is NOBODY's */
    struct usage_rows rows;                       /* of the answer that is being made */
    struct usage_rows before, told; /* of the last answer: as the process said it, as we did */
    struct gpu_usage usage;
    struct usage_wire wire;
    size_t got; /* bytes of it */
};

/* True when everything in `answer` and its rows can be. */
bool usage_answer_is_good(const struct usage_answer *answer, const struct gpu_usage_process *rows,
                          uint32_t device_count);
/* A checked answer of the vendor whose turn it was. The first who knows a device is
 * believed. */
void usage_merge_take(struct usage_reader *reader, uint32_t vendor);
/* All have answered who will. */
void usage_merge_finish(struct usage_reader *reader);

#endif
