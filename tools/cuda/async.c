/* SPDX-License-Identifier: Apache-2.0 */
/* Replace allocations from pools, and the pools' own calls. */
#include "contexts.h"
#include "pools.h"
#include "record.h"
#include "reserve.h"
#include "waits.h"

#include <stdlib.h>

enum { STREAMS_BUILT_IN = 2 }; /* the numbers of the default streams */

/* The driver would have to reserve more than fits: take the allocation back. */
static CUresult take_back(struct pool *pool, CUdeviceptr pointer, uint64_t bytes, CUstream stream)
{
    pools_freed(pool, bytes);
    if (REAL(cuMemFreeAsync))
        REAL(cuMemFreeAsync)(pointer, stream);
    if (REAL(cuStreamSynchronize) && pools_wait_begin()) {
        REAL(cuStreamSynchronize)(stream);
        pools_wait_end();
    }
    pools_shrink(pool);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* The device of a stream, which need not be the current one: a program with one partition gets no
 * context on another. */
static CUdevice device_of(CUstream stream, CUdevice current)
{
    CUdevice device;
    return shim.environment.count > 1 && (uintptr_t)stream > STREAMS_BUILT_IN &&
                   REAL(cuStreamGetDevice) &&
                   REAL(cuStreamGetDevice)(stream, &device) == CUDA_SUCCESS
               ? device
               : current;
}

/* Begin an allocation. *ret_pool is NULL where nothing is charged: amid a capture it is a node of a
 * graph, which takes the memory when it is launched. */
static CUresult begin(CUmemoryPool handle, uint64_t bytes, CUstream stream, struct pool **ret_pool,
                      CUdevice *ret_device)
{
    CUresult r = contexts_device(ret_device);
    *ret_pool = NULL;
    if (r != CUDA_SUCCESS || *ret_device < 0 || waits_is_captured(stream))
        return r;
    *ret_device = device_of(stream, *ret_device);
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
    if (reserve_settle(pool) != CUDA_SUCCESS) {
        free(entry);
        return take_back(pool, *pointer, bytes, stream);
    }
    if (entry) {
        entry->pool = pool;
        entry->bytes = bytes;
        record_add(entry, *pointer);
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
    stream = waits_stream(stream);
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
    stream = waits_stream(stream);
    ALLOC(cuMemAllocFromPoolAsync_ptsz, handle, pointer, bytes, handle, stream);
}

/* -- freeing -------------------------------------------------------------------------- */

/* A plain pointer can be freed in a stream, too. */
#define FREE_ASYNC(name)                                                                           \
    ENTER(name, pointer, stream);                                                                  \
    RECORD_FREE(ENTRY_POINTER, pointer, REAL(name)(pointer, stream));                              \
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

/* Managed memory goes to a device wherever it is preferred. */
static bool is_charged(const CUmemLocation *location, int type)
{
    return location->type == CU_MEM_LOCATION_TYPE_DEVICE || type == CU_MEM_ALLOCATION_TYPE_MANAGED;
}

static CUdevice device_for(const CUmemLocation *location, int type)
{
    CUdevice device = -1;
    if (location->type == CU_MEM_LOCATION_TYPE_DEVICE)
        return location->id;
    return type == CU_MEM_ALLOCATION_TYPE_MANAGED && devices_current(&device) ? device : -1;
}

EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    ENTER(cuMemPoolCreate, pool, properties);
    if (properties && properties->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED)
        account_mark(CHRONOS_MARK_MANAGED);
    CUresult r = REAL(cuMemPoolCreate)(pool, properties);
    if (r == CUDA_SUCCESS && properties)
        pools_created(*pool, device_for(&properties->location, properties->allocType),
                      is_charged(&properties->location, properties->allocType));
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *os_handle, int type,
                                                   unsigned long long flags)
{
    ENTER(cuMemPoolImportFromShareableHandle, pool, os_handle, type, flags);
    account_mark(CHRONOS_MARK_IPC);
    CUresult r = REAL(cuMemPoolImportFromShareableHandle)(pool, os_handle, type, flags);
    if (r == CUDA_SUCCESS)
        pools_created(*pool, -1, false);
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    ENTER(cuMemPoolDestroy, pool);
    struct pool *known = pools_end(pool);
    CUresult r = REAL(cuMemPoolDestroy)(pool);
    pools_ended(known, r == CUDA_SUCCESS);
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    ENTER(cuMemPoolTrimTo, pool, keep);
    CUresult r = REAL(cuMemPoolTrimTo)(pool, keep);
    pools_changed(pool);
    shim_leave();
    return r;
}

EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    ENTER(cuMemPoolSetAttribute, pool, attribute, value);
    CUresult r = REAL(cuMemPoolSetAttribute)(pool, attribute, value);
    pools_changed(pool);
    shim_leave();
    return r;
}

/* The pool of a place, which can be one of the host. */
#define GET_POOL(name)                                                                             \
    ENTER(name, pool, location, type);                                                             \
    if (type == CU_MEM_ALLOCATION_TYPE_MANAGED)                                                    \
        account_mark(CHRONOS_MARK_MANAGED);                                                        \
    CUresult r = REAL(name)(pool, location, type);                                                 \
    if (r == CUDA_SUCCESS)                                                                         \
        pools_known(*pool, device_for(location, type), is_charged(location, type));                \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *location, int type)
{
    GET_POOL(cuMemGetDefaultMemPool);
}

EXPORT CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, int type)
{
    GET_POOL(cuMemGetMemPool);
}
