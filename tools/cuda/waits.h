/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: captures, and waiting. */
#ifndef CHRONOS_CUDA_WAITS_H
#define CHRONOS_CUDA_WAITS_H

#include "shim.h"

/* The stream that plain functions know by the name that it has in those of threads. */
static inline CUstream waits_stream(CUstream stream)
{
    return stream ? stream : CU_STREAM_PER_THREAD;
}

/* Return whether the stream is captured into a graph, or should be, but the capture was broken. */
bool waits_is_captured(CUstream stream);

#endif
