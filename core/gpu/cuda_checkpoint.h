/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints by CUDA's driver library, opened at run time. Call it in a driver process only. */
#ifndef CHRONOS_GPU_CUDA_CHECKPOINT_H
#define CHRONOS_GPU_CUDA_CHECKPOINT_H

#include "checkpoint_question.h"

/* Make the call for all processes at once. *answer is zeroed, but for `count` and the pids. */
void cuda_checkpoint(const struct checkpoint_question *question, struct checkpoint_answer *answer);

#endif
