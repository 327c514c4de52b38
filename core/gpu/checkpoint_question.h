/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of a driver process share of the checkpoint port. */
#ifndef CHRONOS_GPU_CHECKPOINT_QUESTION_H
#define CHRONOS_GPU_CHECKPOINT_QUESTION_H

#include "checkpoint.h"
#include "driver.h"

/* It follows a struct driver_question; of `pid` only `count`. */
struct checkpoint_question {
    uint32_t call; /* enum checkpoint_call */
    uint32_t count;
    uint32_t limit_ms; /* to lock each process */
    int32_t pid[CHECKPOINT_PROCESS_MAX];
};

static inline size_t checkpoint_question_bytes(uint32_t count)
{
    return offsetof(struct checkpoint_question, pid) + count * sizeof(int32_t);
}

#endif
