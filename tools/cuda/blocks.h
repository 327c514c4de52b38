/* SPDX-License-Identifier: Apache-2.0 */
/* Small allocations, which the driver puts into blocks of 2 MiB. A block is charged with its first
 * allocation and given back with its last, so what is charged is what the driver took. */
#ifndef CHRONOS_CUDA_BLOCKS_H
#define CHRONOS_CUDA_BLOCKS_H

#include "account.h"

#define BLOCK_SMALL MIB /* larger allocations have blocks of their own */

/* Charge a block ahead if none is, so that the next allocation fits for certain. A refusal is no
 * error: the allocation may still go into a block that is there. */
CUresult blocks_prepare(CUdevice device);
/* Count an allocation that the driver made. A refusal means that it is in a new block which does
 * not fit: free it again. */
CUresult blocks_add(CUdevice device, CUdeviceptr pointer);
/* There will be no allocation: the driver refused. */
void blocks_cancel(CUdevice device);
/* Forget an allocation that the driver has freed. */
void blocks_remove(CUdevice device, CUdeviceptr pointer);

#endif
