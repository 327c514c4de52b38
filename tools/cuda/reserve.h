/* SPDX-License-Identifier: Apache-2.0 */
/* Charge memory that the driver is about to be asked for: before a refusal, take back once what the
 * program has freed but the driver still holds. */
#ifndef CHRONOS_CUDA_RESERVE_H
#define CHRONOS_CUDA_RESERVE_H

#include "account.h"

struct pool;

/* As account_add. */
CUresult reserve_bytes(struct account *account, CUdevice device, uint64_t bytes);
/* As blocks_prepare. */
CUresult reserve_block(CUdevice device);
/* As pools_reserve. */
CUresult reserve_of_pool(struct pool *pool, uint64_t bytes);
/* As pools_settle. */
CUresult reserve_settle(struct pool *pool);
/* As graph_memory_reserve. */
CUresult reserve_of_graph(CUdevice device, uint64_t bytes);

/* The program has waited, or freed something: correct the charges that this may change. */
void reserve_look(void);

#endif
