/* SPDX-License-Identifier: Apache-2.0 */
/* Charge, or reclaim and charge; see reserve.h. */
#include "reserve.h"

#include "blocks.h"
#include "graph_memory.h"
#include "pools.h"

/* A driver whose device is full does not always trim its own pools (PyTorch's issues 188110 and
 * 110194). */
static bool reclaim(CUresult r, CUdevice device)
{
    if (r != CUDA_ERROR_OUT_OF_MEMORY || !pools_wait_begin())
        return false;
    bool graphs = graph_memory_reclaim(device), pools = pools_reclaim(device);
    pools_wait_end();
    return graphs || pools;
}

CUresult reserve_bytes(struct account *account, CUdevice device, uint64_t bytes)
{
    CUresult r = account_add(account, device, bytes);
    return reclaim(r, device) ? account_add(account, device, bytes) : r;
}

CUresult reserve_block(CUdevice device)
{
    CUresult r = blocks_prepare(device);
    return reclaim(r, device) ? blocks_prepare(device) : r;
}

CUresult reserve_of_pool(struct pool *pool, uint64_t bytes)
{
    CUresult r = pools_reserve(pool, bytes);
    return reclaim(r, pools_device(pool)) ? pools_reserve(pool, bytes) : r;
}

CUresult reserve_of_graph(CUdevice device, uint64_t bytes)
{
    CUresult r = graph_memory_reserve(device, bytes);
    return reclaim(r, device) ? graph_memory_reserve(device, bytes) : r;
}

CUresult reserve_settle(struct pool *pool)
{
    CUresult r = pools_settle(pool);
    return reclaim(r, pools_device(pool)) ? pools_settle(pool) : r;
}

void reserve_look(void)
{
    pools_look();
    graph_memory_look();
}
