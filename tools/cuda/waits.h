/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: captures, and waiting. */
#ifndef CHRONOS_CUDA_WAITS_H
#define CHRONOS_CUDA_WAITS_H

#include "shim.h"

/* Return whether the stream is captured into a graph, or should be, but the capture was broken. */
bool waits_is_captured(CUstream stream);

#endif
