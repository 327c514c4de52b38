/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver holds on a device for the allocations of graphs; graphs.c has the functions. */
#ifndef CHRONOS_CUDA_GRAPH_MEMORY_H
#define CHRONOS_CUDA_GRAPH_MEMORY_H

#include "account.h"

/* Charge `bytes` before a launch that will take them for certain. */
CUresult graph_memory_reserve(CUdevice device, uint64_t bytes);
/* The launch has begun, or failed: correct the charge to the driver's figure. */
void graph_memory_launched(CUdevice device, uint64_t bytes);
/* Try again to charge what did not fit then. */
void graph_memory_look(void);
/* Trim what no graph uses. Return whether any was freed. */
bool graph_memory_reclaim(CUdevice device);

/* How often the device was trimmed, and once: a graph that was launched before takes its memory
 * again. */
uint64_t graph_memory_trims(CUdevice device);
/* The driver has trimmed the device. */
void graph_memory_trimmed(CUdevice device);

#endif
