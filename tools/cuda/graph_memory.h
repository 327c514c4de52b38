/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver holds on a device for the allocations of graphs; graphs.c has the functions. */
#ifndef CHRONOS_CUDA_GRAPH_MEMORY_H
#define CHRONOS_CUDA_GRAPH_MEMORY_H

#include "account.h"

/* Charge `bytes` before a launch that will take them for certain. */
CUresult graph_memory_reserve(CUdevice device, uint64_t bytes);
/* Correct the charge to the driver's figure. */
void graph_memory_settle(CUdevice device);
/* Trim what no graph uses, on every device that has some, unless a stream is captured. Return
 * whether any was freed. */
bool graph_memory_reclaim(void);

#endif
