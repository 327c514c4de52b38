/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's memory pools. What a pool has reserved is charged, not what the program has of it.
 * async.c has the functions that allocate from them. */
#ifndef CHRONOS_CUDA_POOLS_H
#define CHRONOS_CUDA_POOLS_H

#include "account.h"

struct pool;

/* Find or make the record of a pool: of the device whose pool the driver says it is, or of
 * `device`. NULL without memory, or if its memory is not charged: on the host, or imported from
 * another process. */
struct pool *pools_of(CUmemoryPool handle, CUdevice device);
/* Record a pool that the program made or asked for; only if it is `charged` does it count. */
void pools_created(CUmemoryPool handle, CUdevice device, bool charged);
void pools_known(CUmemoryPool handle, CUdevice device, bool charged);

/* Charge what the driver will reserve for certain to give `bytes` more: CUDA_SUCCESS, and count
 * them as live; or a refusal, before the driver was asked. */
CUresult pools_reserve(struct pool *pool, uint64_t bytes);
/* Correct the charge to what the pool has reserved now. CUDA_ERROR_OUT_OF_MEMORY: it is more, and
 * does not fit: free the allocation, wait for its stream, and call pools_shrink. */
CUresult pools_settle(struct pool *pool);
/* Uncount bytes that were freed. They may stay reserved. */
void pools_freed(struct pool *pool, uint64_t bytes);
/* Give back to the device what the pool holds and the program does not. */
void pools_shrink(struct pool *pool);
/* The program destroys a pool: stop asking about it, because its handle can come again at once.
 * NULL: none is known. The driver ends it with its last allocation. */
struct pool *pools_end(CUmemoryPool handle);
void pools_ended(struct pool *pool, bool destroyed);
/* The program has changed or trimmed the pool: look at it. */
void pools_changed(CUmemoryPool handle);

/* Look again at pools that may have given back since. */
void pools_look(void);
/* Before a refusal: wait for the device, and trim those of its pools that hold more than the
 * program has. Return whether any was freed. Within a wait. */
bool pools_reclaim(CUdevice device);
CUdevice pools_device(const struct pool *pool);

/* Waiting for the device would break open captures, so one excludes the other: begin a capture
 * after waits that go on, and wait only if none is open. */
void pools_capture_begin(void);
void pools_capture_end(void);
bool pools_wait_begin(void);
void pools_wait_end(void);

#endif
