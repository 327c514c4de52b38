/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of a usage reader, shared by usage.c (asks), usage_check.c (validates answers) and
 * usage_merge.c (merges them).
 */
#ifndef CHRONOS_GPU_USAGE_STATE_H
#define CHRONOS_GPU_USAGE_STATE_H

#include "driver.h"

#include <limits.h>

#define NO_VENDOR GPU_VENDOR_MAX /* in place of a vendor's index */

/* What the reader remembers of a vendor. */
struct standing {
    int64_t retry_ns;           /* do not ask before this time */
    pid_t stuck;                /* pid of its process that could not be killed; 0: none */
    char note[192];             /* why it last failed; "" if it did not */
    bool other[GPU_DEVICE_MAX]; /* devices that it did not know in its last answer */
};

struct usage_reader {
    int epoll, timer; /* epoll is usage_reader_fd; it watches the timer, the socket and the pidfd */
    char program[PATH_MAX];
    int timeout_ms, first_ms;
    int64_t (*now_ns)(void);
    struct gpu_setup setup;
    struct driver_child child;
    bool fresh; /* the process has not answered a whole question yet */

    bool under_way, ready;
    uint32_t number;  /* of the current question */
    uint32_t pending; /* bit mask of the vendors that have not answered */
    int64_t deadline_ns;

    struct standing standing[GPU_VENDOR_MAX + 1]; /* the last is that of NO_VENDOR */
    struct usage_rows rows;                       /* rows of the answer in progress */
    struct usage_rows before, reported;           /* the last answer: as received, as reported */
    struct gpu_usage usage;
    /* One message of the process, of which `got` bytes have arrived. */
    size_t got;
    struct usage_answer answer;
    struct gpu_usage_process rows_sent[GPU_USAGE_PROCESS_MAX];
};

/* True if `answer` and its rows are valid. */
bool usage_answer_is_good(const struct usage_answer *answer, const struct gpu_usage_process *rows,
                          uint32_t device_count);
/* Merge a validated answer from the vendor whose turn it was. The first vendor that knows a device
 * wins. */
void usage_merge_take(struct usage_reader *reader, uint32_t vendor);
/* Complete the answer: no vendor is pending. */
void usage_merge_finish(struct usage_reader *reader);

#endif
