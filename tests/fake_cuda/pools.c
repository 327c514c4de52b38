/* SPDX-License-Identifier: Apache-2.0 */
/* Memory pools of the made-up driver; see fake.h. */
#include "fake.h"

#include <stdlib.h>

/* What was freed in a stream that has not been waited for. */
struct pending {
    struct pending *next;
    CUstream stream;
    uint64_t bytes;
};

struct CUmemPoolHandle_st {
    struct CUmemPoolHandle_st *next;
    int device;
    bool on_host, doomed; /* destroyed: gone with its last allocation */
    uint64_t reserved, live, threshold;
    struct pending *pending;
};
static struct CUmemPoolHandle_st *pools;

struct CUmemPoolHandle_st *fake_pool_new(int device, bool on_host)
{
    CUmemoryPool pool = calloc(1, sizeof(*pool));
    if (!pool)
        abort();
    pool->device = device;
    pool->on_host = on_host;
    pool->next = pools;
    return pools = pool;
}

/* -- reserving and giving back -------------------------------------------------------- */

static uint64_t in_use(const struct CUmemPoolHandle_st *pool)
{
    uint64_t bytes = pool->live;
    for (const struct pending *at = pool->pending; at; at = at->next)
        bytes += at->bytes;
    return bytes;
}

/* The stream, or with NULL every one, has done what was asked of it. */
static void complete(CUmemoryPool pool, CUstream stream)
{
    for (struct pending **at = &pool->pending; *at;) {
        struct pending *pending = *at;
        if (stream && pending->stream != stream) {
            at = &pending->next;
            continue;
        }
        *at = pending->next;
        free(pending);
    }
}

static void shrink(CUmemoryPool pool, uint64_t keep)
{
    uint64_t used = in_use(pool), least = fake_up(used > keep ? used : keep, STEP);
    if (pool->on_host || pool->reserved <= least)
        return;
    fake_give(pool->device, pool->reserved - least);
    pool->reserved = least;
}

static void end_if_doomed(CUmemoryPool pool)
{
    if (!pool->doomed || pool->live > 0)
        return;
    complete(pool, NULL);
    shrink(pool, 0);
    struct CUmemPoolHandle_st **at = &pools;
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    free(pool);
}

void fake_pool_freed(struct CUmemPoolHandle_st *pool, uint64_t bytes, CUstream stream)
{
    struct pending *pending = malloc(sizeof(*pending));
    if (!pending)
        abort();
    *pending = (struct pending){.next = pool->pending, .stream = stream, .bytes = bytes};
    pool->pending = pending;
    pool->live -= bytes;
    if (!stream) /* not in the order of a stream */
        complete(pool, NULL);
    end_if_doomed(pool);
}

static bool reserve(CUmemoryPool pool, uint64_t bytes, CUstream stream)
{
    for (struct pending *at = pool->pending; at; at = at->next) {
        if (at->stream == stream) /* what was freed there can be used there at once */
            at->bytes = 0;
    }
    uint64_t used = in_use(pool);
    if (pool->on_host || used + bytes <= pool->reserved)
        return true;
    uint64_t more = fake_up(used + bytes - pool->reserved, STEP);
    if (!fake_take(pool->device, more + fake_settings.fragment * STEP))
        return false;
    pool->reserved += more + fake_settings.fragment * STEP;
    return true;
}

static CUresult alloc(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool, CUstream stream)
{
    if (!pointer || bytes == 0 || !pool || pool->doomed)
        return CUDA_ERROR_INVALID_VALUE;
    CUgraph graph = fake_captured(stream);
    fake_lock();
    CUresult r = CUDA_SUCCESS;
    if (graph) {
        r = fake_capture_alloc(graph, pointer, bytes);
    } else if (bytes < UINT64_MAX / 2 && reserve(pool, bytes, stream)) {
        pool->live += bytes;
        *pointer = fake_address(bytes);
        fake_piece_add((struct piece){
            .start = *pointer, .bytes = bytes, .device = pool->device, .pool = pool});
    } else {
        r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    fake_unlock();
    return r;
}

API CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    CUdevice device;
    CUresult r = cuStreamGetDevice(stream, &device);
    return r == CUDA_SUCCESS ? alloc(pointer, bytes, fake_devices[device].current, stream) : r;
}

API CUresult cuMemAllocAsync_ptsz(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    return cuMemAllocAsync(pointer, bytes, fake_stream_ptsz(stream));
}

API CUresult cuMemAllocFromPoolAsync(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool,
                                     CUstream stream)
{
    return fake_context() ? alloc(pointer, bytes, pool, stream) : INVALID_CONTEXT;
}

API CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool,
                                          CUstream stream)
{
    return cuMemAllocFromPoolAsync(pointer, bytes, pool, fake_stream_ptsz(stream));
}

API CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    CUgraph graph = fake_captured(stream);
    if (!fake_context())
        return INVALID_CONTEXT;
    fake_lock();
    struct piece *piece = fake_piece_find(pointer);
    if (graph) {
        r = fake_capture_free(graph, pointer);
    } else if (piece && !piece->mapped) {
        fake_piece_end(piece, stream);
        r = CUDA_SUCCESS;
    }
    fake_unlock();
    return r;
}

API CUresult cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream)
{
    return cuMemFreeAsync(pointer, fake_stream_ptsz(stream));
}

/* -- waiting ------------------------------------------------------------------------------ */

/* NULL: for every stream. */
static CUresult synchronize(CUstream stream)
{
    fake_lock();
    CUresult r = fake_may_wait();
    for (CUmemoryPool pool = pools; r == CUDA_SUCCESS && pool; pool = pool->next) {
        complete(pool, stream);
        shrink(pool, pool->threshold);
    }
    fake_unlock();
    return r;
}

API CUresult cuStreamSynchronize(CUstream stream)
{
    return fake_context() ? synchronize(stream) : INVALID_CONTEXT;
}

API CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
    return cuStreamSynchronize(stream);
}

API CUresult cuEventSynchronize(CUevent event)
{
    (void)event;
    return synchronize(NULL);
}

API CUresult cuCtxSynchronize(void)
{
    return fake_context() ? synchronize(NULL) : INVALID_CONTEXT;
}

API CUresult cuCtxSynchronize_v2(CUcontext context)
{
    (void)context;
    return synchronize(NULL);
}

/* -- pools -------------------------------------------------------------------------------- */

API CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    if (!pool || !properties)
        return CUDA_ERROR_INVALID_VALUE;
    bool on_device = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
    if (on_device && fake_check(properties->location.id) != CUDA_SUCCESS)
        return INVALID_DEVICE;
    fake_lock();
    *pool = fake_pool_new(on_device ? properties->location.id : 0, !on_device);
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *os_handle, int type,
                                                unsigned long long flags)
{
    (void)os_handle, (void)type, (void)flags;
    fake_lock();
    *pool = fake_pool_new(0, true); /* its maker has the memory */
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    if (!pool || pool->doomed)
        return CUDA_ERROR_INVALID_VALUE;
    fake_lock();
    for (int i = 0; i < fake_device_count; i++) {
        if (fake_devices[i].current == pool)
            fake_devices[i].current = fake_devices[i].pool;
    }
    pool->doomed = true;
    end_if_doomed(pool);
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    fake_lock();
    shrink(pool, keep);
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    fake_lock();
    if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        *(uint64_t *)value = pool->reserved;
    else if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        *(uint64_t *)value = pool->threshold;
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        pool->threshold = *(uint64_t *)value;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS)
        *pool = fake_devices[device].current;
    return r;
}

API CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS)
        *pool = fake_devices[device].pool;
    return r;
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS)
        fake_devices[device].current = pool;
    return r;
}

/* The pools of the host, and of managed memory, which are each made at the first question. */
static CUresult other_pool(CUmemoryPool *pool, const CUmemLocation *location, int type)
{
    static CUmemoryPool host, managed[DEVICES];
    bool on_device = location->type == CU_MEM_LOCATION_TYPE_DEVICE;
    int device = on_device ? location->id : 0;
    bool is_managed = type == CU_MEM_ALLOCATION_TYPE_MANAGED;
    CUmemoryPool *at = is_managed ? &managed[device] : &host;
    fake_lock();
    if (!*at)
        *at = fake_pool_new(device, !is_managed);
    *pool = *at;
    fake_unlock();
    return CUDA_SUCCESS;
}

API CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *location, int type)
{
    if (location->type == CU_MEM_LOCATION_TYPE_DEVICE && type != CU_MEM_ALLOCATION_TYPE_MANAGED)
        return cuDeviceGetDefaultMemPool(pool, location->id);
    return other_pool(pool, location, type);
}

API CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, int type)
{
    if (location->type == CU_MEM_LOCATION_TYPE_DEVICE && type != CU_MEM_ALLOCATION_TYPE_MANAGED)
        return cuDeviceGetMemPool(pool, location->id);
    return other_pool(pool, location, type);
}
