/* SPDX-License-Identifier: Apache-2.0 */
/* Replace allocations from pools, and the pools' own calls. */
#include "blocks.h"
#include "contexts.h"
#include "pools.h"
#include "reserve.h"

#include <stdlib.h>

/* Allocations amid a capture are nodes of a graph, which takes the memory when it is launched. */
static bool is_captured(CUstream stream)
{
    int status = 0;
    return REAL(cuStreamIsCapturing) &&
           REAL(cuStreamIsCapturing)(stream, &status) == CUDA_SUCCESS && status != 0;
}

/* The driver would have to reserve more than fits: take the allocation back. */
static CUresult take_back(struct pool *pool, CUdeviceptr pointer, uint64_t bytes, CUstream stream)
{
    pools_freed(pool, bytes);
    if (REAL(cuMemFreeAsync))
        REAL(cuMemFreeAsync)(pointer, stream);
    if (REAL(cuStreamSynchronize))
        REAL(cuStreamSynchronize)(stream);
    pools_shrink(pool);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Begin an allocation. *ret_pool is NULL where nothing is charged. */
static CUresult begin(CUmemoryPool handle, uint64_t bytes, CUstream stream, struct pool **ret_pool,
                      CUdevice *ret_device)
{
    CUresult r = contexts_device(ret_device);
    *ret_pool = NULL;
    if (r != CUDA_SUCCESS || *ret_device < 0 || is_captured(stream))
        return r;
    if (!handle && REAL(cuDeviceGetMemPool))
        REAL(cuDeviceGetMemPool)(&handle, *ret_device);
    struct pool *pool = handle ? pools_of(handle, *ret_device) : NULL;
    r = pool ? reserve_of_pool(pool, bytes) : CUDA_SUCCESS;
    if (r == CUDA_SUCCESS)
        *ret_pool = pool;
    return r;
}

static CUresult finish(CUresult r, struct pool *pool, CUdevice device, CUdeviceptr *pointer,
                       uint64_t bytes, CUstream stream)
{
    if (!pool)
        return r;
    struct entry *entry = r == CUDA_SUCCESS ? entries_new(ENTRY_POINTER, device) : NULL;
    if (r != CUDA_SUCCESS) {
        pools_freed(pool, bytes);
        return r;
    }
    if (pools_settle(pool) != CUDA_SUCCESS) {
        free(entry);
        return take_back(pool, *pointer, bytes, stream);
    }
    if (entry) {
        entry->pool = pool;
        entry->bytes = bytes;
        entries_add(entry, *pointer);
    }
    return r;
}

#define ALLOC(name, handle, ...)                                                                   \
    ENTER(name, __VA_ARGS__);                                                                      \
    struct pool *pool;                                                                             \
    CUdevice device;                                                                               \
    CUresult r = begin(handle, bytes, stream, &pool, &device);                                     \
    if (r == CUDA_SUCCESS)                                                                         \
        r = finish(REAL(name)(__VA_ARGS__), pool, device, pointer, bytes, stream);                 \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    ALLOC(cuMemAllocAsync, NULL, pointer, bytes, stream);
}

EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    ALLOC(cuMemAllocAsync_ptsz, NULL, pointer, bytes, stream);
}

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *pointer, size_t bytes, CUmemoryPool handle,
                                        CUstream stream)
{
    ALLOC(cuMemAllocFromPoolAsync, handle, pointer, bytes, handle, stream);
}

EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *pointer, size_t bytes,
                                             CUmemoryPool handle, CUstream stream)
{
    ALLOC(cuMemAllocFromPoolAsync_ptsz, handle, pointer, bytes, handle, stream);
}

/* -- freeing -------------------------------------------------------------------------- */

/* A plain pointer can be freed in a stream, too. */
#define FREE_ASYNC(name)                                                                           \
    ENTER(name, pointer, stream);                                                                  \
    struct entry *entry = entries_take(ENTRY_POINTER, pointer);                                    \
    CUresult r = REAL(name)(pointer, stream);                                                      \
    if (entry && r != CUDA_SUCCESS) {                                                              \
        entries_add(entry, pointer);                                                               \
    } else if (entry) {                                                                            \
        if (entry->pool)                                                                           \
            pools_freed(entry->pool, entry->bytes);                                                \
        else if (entry->small)                                                                     \
            blocks_remove(entry->device, pointer);                                                 \
        else                                                                                       \
            account_end(&entry->account);                                                          \
        free(entry);                                                                               \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream)
{
    FREE_ASYNC(cuMemFreeAsync);
}

EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream)
{
    FREE_ASYNC(cuMemFreeAsync_ptsz);
}

/* -- pools ---------------------------------------------------------------------------- */

EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    ENTER(cuMemPoolCreate, pool, properties);
    CUresult r = REAL(cuMemPoolCreate)(pool, properties);
    if (r == CUDA_SUCCESS && properties) {
        bool on_device = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
        pools_created(*pool, on_device ? properties->location.id : -1, on_device);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *os_handle, int type,
                                                   unsigned long long flags)
{
    ENTER(cuMemPoolImportFromShareableHandle, pool, os_handle, type, flags);
    CUresult r = REAL(cuMemPoolImportFromShareableHandle)(pool, os_handle, type, flags);
    if (r == CUDA_SUCCESS)
        pools_created(*pool, -1, false);
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    ENTER(cuMemPoolDestroy, pool);
    CUresult r = REAL(cuMemPoolDestroy)(pool);
    if (r == CUDA_SUCCESS)
        pools_destroyed(pool);
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    ENTER(cuMemPoolTrimTo, pool, keep);
    CUresult r = REAL(cuMemPoolTrimTo)(pool, keep);
    pools_look();
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    ENTER(cuMemPoolSetAttribute, pool, attribute, value);
    CUresult r = REAL(cuMemPoolSetAttribute)(pool, attribute, value);
    pools_look();
    shim_leave();
    return r;
}
