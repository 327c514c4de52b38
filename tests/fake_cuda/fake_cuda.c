/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 of our own: it takes memory as NVIDIA's driver does (figures from an H100), so
 * that the shim can be tried on any machine. With its directory in LD_LIBRARY_PATH it is found
 * instead of NVIDIA's. What it models:
 *
 *   small allocations share blocks of 2 MiB, larger ones are rounded up to 2 MiB;
 *   a pool reserves in steps of 32 MiB and gives back at a synchronize, down to its threshold;
 *   handles keep their memory until the last handle and the last mapping are gone;
 *   a context takes 518 MiB, a larger stack what all threads need;
 *   graphs take their allocations at the first launch and keep them until a trim.
 *
 * CHRONOS_FAKE_CUDA lists its devices, "UUID=BYTES UUID=BYTES". fake_cuda_taken(DEVICE) returns
 * what a device has given, fake_cuda_high(DEVICE) the most that it ever had.
 */
#include "tools/cuda/driver.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

#define MIB        (1024ull * 1024)
#define BLOCK      (2 * MIB)
#define STEP       (32 * MIB)
#define CONTEXT    (518 * MIB)
#define DEVICES    8
#define PIECES     65536
#define PROCESSORS 132
#define THREADS    2048

enum { NOT_FOUND = 500, INVALID_CONTEXT = 201, INVALID_HANDLE = 400 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct device {
    unsigned char uuid[16];
    uint64_t bytes, taken, high;
    int primary;
    uint64_t graph_reserved;
    struct CUmemPoolHandle_st *pool, *current;
};
static struct device devices[DEVICES];
static int device_count = -1;

/* A block of small allocations, by number. */
struct block {
    uint64_t start, live, used;
    int device;
};
static struct block blocks[PIECES];

/* Everything that has an address. */
struct piece {
    uint64_t start, bytes, taken;
    int device;
    struct block *block;
    struct CUmemPoolHandle_st *pool;
    struct memory *mapped;
    CUcontext context;
};
static struct piece pieces[PIECES];
static uint64_t next_address = 0x7f0000000000;

struct CUmemPoolHandle_st {
    int device;
    uint64_t reserved, live, threshold;
    bool on_host;
};
struct CUctx_st {
    int device;
    bool primary, gone;
    size_t stack;
    uint64_t stack_taken;
};
struct CUarray_st {
    int device;
    uint64_t taken;
};
struct memory {
    uint64_t bytes, taken;
    int device;
    int handles, mappings;
};
struct CUgraphNode_st {
    int type;
    uint64_t bytes;
    CUdeviceptr pointer;
    struct CUgraph_st *child;
    int device;
};
struct CUgraph_st {
    struct CUgraphNode_st node[64];
    size_t count;
};
struct CUgraphExec_st {
    struct CUgraph_st graph;
    int device;
    uint64_t bytes;
    bool launched;
};
struct CUstream_st {
    struct CUgraph_st *captured;
};

static __thread CUcontext current;
static struct CUctx_st primaries[DEVICES];

/* -- devices ------------------------------------------------------------------------ */

static unsigned hex(const char *at)
{
    unsigned value = 0;
    sscanf(at, "%2x", &value);
    return value;
}

static void read_devices(void)
{
    const char *list = getenv("CHRONOS_FAKE_CUDA");
    char copy[1024];
    device_count = 0;
    snprintf(copy, sizeof(copy), "%s", list ? list : "");
    for (char *word = strtok(copy, " "); word && device_count < DEVICES; word = strtok(NULL, " ")) {
        struct device *device = &devices[device_count];
        char *is = strchr(word, '='), *at = word;
        size_t count = 0;
        if (!is)
            continue;
        *is = '\0';
        if (!strncmp(at, "GPU-", 4))
            at += 4;
        for (; *at && count < 16; at++) {
            if (*at == '-')
                continue;
            device->uuid[count++] = (unsigned char)hex(at);
            at++;
        }
        device->bytes = strtoull(is + 1, NULL, 10);
        device->pool = calloc(1, sizeof(*device->pool));
        device->pool->device = device_count;
        device->current = device->pool;
        device_count++;
    }
}

API CUresult cuInit(unsigned flags);
API CUresult cuInit(unsigned flags)
{
    pthread_mutex_lock(&lock);
    if (device_count < 0)
        read_devices();
    pthread_mutex_unlock(&lock);
    return flags ? CUDA_ERROR_INVALID_VALUE : device_count ? CUDA_SUCCESS : 100;
}

API CUresult cuDriverGetVersion(int *version);
API CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetCount(int *count);
API CUresult cuDeviceGetCount(int *count)
{
    if (device_count < 0)
        return CUDA_ERROR_NOT_INITIALIZED;
    *count = device_count;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    if (device_count < 0)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (device < 0 || device >= device_count)
        return 101;
    memcpy(uuid->bytes, devices[device].uuid, 16);
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    return cuDeviceGetUuid_v2(uuid, device);
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    (void)device;
    *value = attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT             ? PROCESSORS
             : attribute == CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR ? THREADS
                                                                               : 0;
    return CUDA_SUCCESS;
}

API uint64_t fake_cuda_taken(int device);
API uint64_t fake_cuda_taken(int device)
{
    return devices[device].taken;
}

API uint64_t fake_cuda_high(int device);
API uint64_t fake_cuda_high(int device)
{
    return devices[device].high;
}

static bool take(int device, uint64_t bytes)
{
    struct device *at = &devices[device];
    if (bytes > at->bytes - at->taken)
        return false;
    at->taken += bytes;
    at->high = at->taken > at->high ? at->taken : at->high;
    return true;
}

static uint64_t up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* -- contexts ----------------------------------------------------------------------- */

API CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

API CUresult cuCtxSetCurrent(CUcontext context);
API CUresult cuCtxSetCurrent(CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

static __thread CUcontext pushed[16];
static __thread int pushes;

API CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    pushed[pushes++] = current;
    current = context;
    return CUDA_SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    if (context)
        *context = current;
    current = pushes > 0 ? pushed[--pushes] : NULL;
    return CUDA_SUCCESS;
}

API CUresult cuCtxGetDevice(CUdevice *device)
{
    if (!current)
        return INVALID_CONTEXT;
    *device = current->device;
    return CUDA_SUCCESS;
}

static CUresult make_context(CUcontext *context, unsigned flags, CUdevice device)
{
    (void)flags;
    if (device < 0 || device >= device_count)
        return 101;
    CUcontext made = calloc(1, sizeof(*made));
    pthread_mutex_lock(&lock);
    bool fits = take(device, CONTEXT);
    pthread_mutex_unlock(&lock);
    if (!fits) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    made->device = device;
    made->stack = 1024;
    current = *context = made;
    return CUDA_SUCCESS;
}

API CUresult cuCtxCreate(CUcontext *context, unsigned flags, CUdevice device)
{
    return make_context(context, flags, device);
}

API CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    return make_context(context, flags, device);
}

API CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned flags,
                            CUdevice device)
{
    (void)params;
    return make_context(context, flags, device);
}

/* Everything of a context goes with it. Call with the lock held. */
static void give_piece(struct piece *piece);

static void end_context(CUcontext context)
{
    for (size_t i = 0; i < PIECES; i++) {
        if (pieces[i].start && pieces[i].context == context)
            give_piece(&pieces[i]);
    }
    devices[context->device].taken -= CONTEXT + context->stack_taken;
    context->stack_taken = 0;
}

API CUresult cuCtxDestroy_v2(CUcontext context)
{
    if (!context || context->gone)
        return INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    end_context(context);
    context->gone = true;
    pthread_mutex_unlock(&lock);
    if (current == context)
        current = NULL;
    return CUDA_SUCCESS;
}

API CUresult cuCtxDestroy(CUcontext context)
{
    return cuCtxDestroy_v2(context);
}

API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    if (device_count < 0)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (device < 0 || device >= device_count)
        return 101;
    CUresult r = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    if (devices[device].primary == 0) {
        r = take(device, CONTEXT) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
        primaries[device] = (struct CUctx_st){.device = device, .primary = true, .stack = 1024};
    }
    if (r == CUDA_SUCCESS) {
        devices[device].primary++;
        *context = &primaries[device];
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    *flags = 0;
    *active = devices[device].primary > 0;
    return CUDA_SUCCESS;
}

static CUresult release_primary(CUdevice device, bool all)
{
    CUresult r = INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    if (devices[device].primary > 0) {
        devices[device].primary = all ? 0 : devices[device].primary - 1;
        if (devices[device].primary == 0)
            end_context(&primaries[device]);
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    return release_primary(device, false);
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    return release_primary(device, false);
}

API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    return release_primary(device, true);
}

API CUresult cuCtxGetLimit(size_t *value, int limit)
{
    if (!current)
        return INVALID_CONTEXT;
    *value = limit == CU_LIMIT_STACK_SIZE ? current->stack : 0;
    return CUDA_SUCCESS;
}

API CUresult cuCtxSetLimit(int limit, size_t value)
{
    if (!current)
        return INVALID_CONTEXT;
    if (limit != CU_LIMIT_STACK_SIZE)
        return CUDA_SUCCESS;
    uint64_t before = (uint64_t)current->stack * PROCESSORS * THREADS,
             after = (uint64_t)value * PROCESSORS * THREADS;
    pthread_mutex_lock(&lock);
    bool fits = after <= before || take(current->device, after - before);
    if (fits && after < before)
        devices[current->device].taken -= before - after;
    pthread_mutex_unlock(&lock);
    if (!fits)
        return CUDA_ERROR_OUT_OF_MEMORY;
    current->stack = value;
    current->stack_taken += after - before;
    return CUDA_SUCCESS;
}

/* -- plain memory --------------------------------------------------------------------- */

static struct piece *free_piece(void)
{
    for (size_t i = 0; i < PIECES; i++) {
        if (!pieces[i].start)
            return &pieces[i];
    }
    abort();
}

static struct piece *find_piece(uint64_t start)
{
    for (size_t i = 0; start && i < PIECES; i++) {
        if (pieces[i].start == start)
            return &pieces[i];
    }
    return NULL;
}

static void give_piece(struct piece *piece)
{
    if (piece->block && --piece->block->live == 0) {
        devices[piece->block->device].taken -= BLOCK;
        *piece->block = (struct block){0};
    }
    if (piece->pool)
        piece->pool->live -= piece->bytes;
    devices[piece->device].taken -= piece->taken;
    *piece = (struct piece){0};
}

/* Small ones are 512 bytes apart, in the first block with room. */
static struct block *find_block(int device, uint64_t bytes)
{
    struct block *room = NULL;
    for (size_t i = 0; i < PIECES; i++) {
        struct block *block = &blocks[i];
        if (!block->start && !room)
            room = block;
        if (block->start && block->device == device && block->used + bytes <= BLOCK)
            return block;
        if (!block->start && i > 64 && room)
            break;
    }
    if (!room || !take(device, BLOCK))
        return NULL;
    *room = (struct block){.start = next_address, .device = device};
    next_address += BLOCK;
    return room;
}

static CUresult alloc(CUdeviceptr *pointer, uint64_t bytes)
{
    if (!pointer || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!current)
        return INVALID_CONTEXT;
    CUresult r = CUDA_SUCCESS;
    int device = current->device;
    pthread_mutex_lock(&lock);
    struct piece piece = {.bytes = bytes, .device = device, .context = current};
    if (bytes <= MIB) {
        uint64_t size = up(bytes, 512);
        piece.block = find_block(device, size);
        if (piece.block) {
            piece.start = piece.block->start + piece.block->used;
            piece.block->used += size;
            piece.block->live++;
        } else {
            r = CUDA_ERROR_OUT_OF_MEMORY;
        }
    } else if (take(device, up(bytes, BLOCK))) {
        piece.taken = up(bytes, BLOCK);
        piece.start = next_address;
        next_address += piece.taken;
    } else {
        r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (r == CUDA_SUCCESS) {
        *free_piece() = piece;
        *pointer = piece.start;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
    return alloc(pointer, bytes);
}

API CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t bytes, unsigned flags)
{
    (void)flags;
    return alloc(pointer, bytes > MIB ? bytes : MIB + 1);
}

API CUresult cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height,
                                unsigned element)
{
    (void)element;
    uint64_t padded = up(width, 512);
    if (height > (size_t)-1 / (padded ? padded : 1))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = alloc(pointer, padded * height > MIB ? padded * height : MIB + 1);
    if (r == CUDA_SUCCESS)
        *pitch = padded;
    return r;
}

API CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    if (pointer == 0)
        return CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    struct piece *piece = find_piece(pointer);
    if (piece && !piece->mapped) {
        give_piece(piece);
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    if (!current)
        return INVALID_CONTEXT;
    *total = devices[current->device].bytes;
    *free_bytes = devices[current->device].bytes - devices[current->device].taken;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    if (device < 0 || device >= device_count)
        return 101;
    *bytes = devices[device].bytes;
    return CUDA_SUCCESS;
}

/* -- arrays ----------------------------------------------------------------------------- */

API CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
    if (!current)
        return INVALID_CONTEXT;
    uint64_t size = d->Format == 0x20 ? 4 : d->Format == 0x02 || d->Format == 0x10 ? 2 : 1;
    uint64_t bytes =
        d->Width * (d->Height ? d->Height : 1) * (d->Depth ? d->Depth : 1) * size * d->NumChannels;
    struct CUarray_st *made = calloc(1, sizeof(*made));
    pthread_mutex_lock(&lock);
    bool fits = take(current->device, up(bytes, BLOCK));
    pthread_mutex_unlock(&lock);
    if (!fits) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *made = (struct CUarray_st){current->device, up(bytes, BLOCK)};
    *array = made;
    return CUDA_SUCCESS;
}

API CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *d)
{
    return cuArray3DCreate_v2(
        array, &(CUDA_ARRAY3D_DESCRIPTOR){d->Width, d->Height, 0, d->Format, d->NumChannels, 0});
}

API CUresult cuArrayDestroy(CUarray array)
{
    if (!array)
        return INVALID_HANDLE;
    pthread_mutex_lock(&lock);
    devices[array->device].taken -= array->taken;
    pthread_mutex_unlock(&lock);
    free(array);
    return CUDA_SUCCESS;
}

/* -- virtual memory --------------------------------------------------------------------- */

API CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                         const CUmemAllocationProp *properties, unsigned long long flags)
{
    (void)flags;
    if (size == 0 || size % BLOCK)
        return CUDA_ERROR_INVALID_VALUE;
    bool on_device = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
    int device = on_device ? properties->location.id : 0;
    if (device < 0 || device >= device_count)
        return 101;
    struct memory *memory = calloc(1, sizeof(*memory));
    pthread_mutex_lock(&lock);
    bool fits = !on_device || take(device, size);
    pthread_mutex_unlock(&lock);
    if (!fits) {
        free(memory);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *memory = (struct memory){size, on_device ? size : 0, device, 1, 0};
    *handle = (CUmemGenericAllocationHandle)(uintptr_t)memory;
    return CUDA_SUCCESS;
}

static void drop(struct memory *memory)
{
    if (memory->handles > 0 || memory->mappings > 0)
        return;
    devices[memory->device].taken -= memory->taken;
    free(memory);
}

API CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct memory *memory = (struct memory *)(uintptr_t)handle;
    if (!memory)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    memory->handles--;
    drop(memory);
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

API CUresult cuMemMap(CUdeviceptr pointer, size_t size, size_t offset,
                      CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct memory *memory = (struct memory *)(uintptr_t)handle;
    (void)flags;
    if (!memory || offset || size != memory->bytes)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    memory->mappings++;
    *free_piece() =
        (struct piece){.start = pointer, .bytes = size, .device = memory->device, .mapped = memory};
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

API CUresult cuMemUnmap(CUdeviceptr pointer, size_t size)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < PIECES; i++) {
        struct piece *piece = &pieces[i];
        if (piece->mapped && piece->start >= pointer && piece->start < pointer + size) {
            piece->mapped->mappings--;
            drop(piece->mapped);
            *piece = (struct piece){0};
            r = CUDA_SUCCESS;
        }
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    struct piece *piece = find_piece((uint64_t)(uintptr_t)address);
    if (piece && piece->mapped) {
        piece->mapped->handles++;
        *handle = (CUmemGenericAllocationHandle)(uintptr_t)piece->mapped;
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

/* -- pools ------------------------------------------------------------------------------ */

static CUresult alloc_async(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool, CUstream stream)
{
    if (!current)
        return INVALID_CONTEXT;
    if (stream && stream->captured) {
        struct CUgraph_st *graph = stream->captured;
        struct CUgraphNode_st *node = &graph->node[graph->count++];
        *node = (struct CUgraphNode_st){.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                                        .bytes = bytes,
                                        .device = current->device,
                                        .pointer = next_address};
        next_address += up(bytes, BLOCK);
        *pointer = node->pointer;
        return CUDA_SUCCESS;
    }
    CUresult r = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    uint64_t wanted = pool->live + bytes;
    if (!pool->on_host && wanted > pool->reserved) {
        uint64_t more = up(wanted - pool->reserved, STEP);
        if (take(pool->device, more))
            pool->reserved += more;
        else
            r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (r == CUDA_SUCCESS) {
        pool->live += bytes;
        *free_piece() = (struct piece){
            .start = next_address, .bytes = bytes, .device = pool->device, .pool = pool};
        *pointer = next_address;
        next_address += up(bytes, BLOCK);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    if (!current)
        return INVALID_CONTEXT;
    return alloc_async(pointer, bytes, devices[current->device].current, stream);
}

API CUresult cuMemAllocAsync_ptsz(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
    return cuMemAllocAsync(pointer, bytes, stream);
}

API CUresult cuMemAllocFromPoolAsync(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool,
                                     CUstream stream)
{
    return alloc_async(pointer, bytes, pool, stream);
}

API CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream)
{
    if (stream && stream->captured) {
        struct CUgraph_st *graph = stream->captured;
        graph->node[graph->count++] =
            (struct CUgraphNode_st){.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .pointer = pointer};
        return CUDA_SUCCESS;
    }
    return cuMemFree_v2(pointer);
}

API CUresult cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream)
{
    return cuMemFreeAsync(pointer, stream);
}

/* Call with the lock held. */
static void trim(CUmemoryPool pool, uint64_t keep)
{
    uint64_t least = up(pool->live > keep ? pool->live : keep, STEP);
    if (!pool->on_host && pool->reserved > least) {
        devices[pool->device].taken -= pool->reserved - least;
        pool->reserved = least;
    }
}

#define POOLS 64
static CUmemoryPool made_pools[POOLS];

static CUresult synchronize(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < device_count; i++)
        trim(devices[i].pool, devices[i].pool->threshold);
    for (int i = 0; i < POOLS; i++) {
        if (made_pools[i])
            trim(made_pools[i], made_pools[i]->threshold);
    }
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

API CUresult cuStreamSynchronize(CUstream stream)
{
    return stream && stream->captured ? 900 : synchronize();
}

API CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
    return cuStreamSynchronize(stream);
}

API CUresult cuEventSynchronize(CUevent event)
{
    (void)event;
    return synchronize();
}

API CUresult cuCtxSynchronize(void)
{
    return synchronize();
}

API CUresult cuCtxSynchronize_v2(CUcontext context)
{
    (void)context;
    return synchronize();
}

API CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    CUmemoryPool made = calloc(1, sizeof(*made));
    made->on_host = properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE;
    made->device = made->on_host ? 0 : properties->location.id;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < POOLS; i++) {
        if (!made_pools[i]) {
            made_pools[i] = made;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    *pool = made;
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    pthread_mutex_lock(&lock);
    devices[pool->device].taken -= pool->reserved;
    pool->reserved = 0;
    for (int i = 0; i < POOLS; i++) {
        if (made_pools[i] == pool)
            made_pools[i] = NULL;
    }
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    pthread_mutex_lock(&lock);
    trim(pool, keep);
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

API CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        *(uint64_t *)value = pool->reserved;
    else if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        *(uint64_t *)value = pool->threshold;
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
    *pool = devices[device].current;
    return CUDA_SUCCESS;
}

/* -- streams and graphs ------------------------------------------------------------------- */

API CUresult cuStreamCreate(CUstream *stream, unsigned flags);
API CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    (void)flags;
    *stream = calloc(1, sizeof(**stream));
    return CUDA_SUCCESS;
}

API CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    *status = stream && stream->captured ? 1 : 0;
    return CUDA_SUCCESS;
}

API CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    (void)mode;
    stream->captured = calloc(1, sizeof(*stream->captured));
    return CUDA_SUCCESS;
}

API CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    *graph = stream->captured;
    stream->captured = NULL;
    return CUDA_SUCCESS;
}

API CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    for (size_t i = 0; nodes && i < graph->count && i < *count; i++)
        nodes[i] = &graph->node[i];
    *count = graph->count;
    return CUDA_SUCCESS;
}

API CUresult cuGraphNodeGetType(CUgraphNode node, int *type)
{
    *type = node->type;
    return CUDA_SUCCESS;
}

API CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    *params = (CUDA_MEM_ALLOC_NODE_PARAMS){
        .poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, node->device},
        .bytesize = node->bytes,
        .dptr = node->pointer};
    return CUDA_SUCCESS;
}

API CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *pointer)
{
    *pointer = node->pointer;
    return CUDA_SUCCESS;
}

API CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    *exec = calloc(1, sizeof(**exec));
    (*exec)->graph = *graph;
    for (size_t i = 0; i < graph->count; i++) {
        if (graph->node[i].type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
            (*exec)->bytes += graph->node[i].bytes;
            (*exec)->device = graph->node[i].device;
        }
    }
    return CUDA_SUCCESS;
}

API CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    CUresult r = CUDA_SUCCESS;
    (void)stream;
    pthread_mutex_lock(&lock);
    if (!exec->launched) {
        if (take(exec->device, up(exec->bytes, STEP)))
            devices[exec->device].graph_reserved += up(exec->bytes, STEP);
        else
            r = CUDA_ERROR_OUT_OF_MEMORY;
        exec->launched = r == CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

API CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    free(exec);
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetGraphMemAttribute(CUdevice device, int attribute, void *value)
{
    if (attribute != CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT)
        return CUDA_ERROR_INVALID_VALUE;
    *(uint64_t *)value = devices[device].graph_reserved;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGraphMemTrim(CUdevice device)
{
    pthread_mutex_lock(&lock);
    devices[device].taken -= devices[device].graph_reserved;
    devices[device].graph_reserved = 0;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

/* -- by name ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*function)(void);
} functions[] = {
#define FUNCTION(name)                                                                             \
    {                                                                                              \
#name, (void (*)(void))name                                                                \
    }
    FUNCTION(cuInit),
    FUNCTION(cuDriverGetVersion),
    FUNCTION(cuDeviceGetCount),
    FUNCTION(cuDeviceGetUuid_v2),
    FUNCTION(cuDeviceGetUuid),
    FUNCTION(cuDeviceGetAttribute),
    FUNCTION(cuCtxGetCurrent),
    FUNCTION(cuCtxSetCurrent),
    FUNCTION(cuCtxPushCurrent_v2),
    FUNCTION(cuCtxPopCurrent_v2),
    FUNCTION(cuCtxGetDevice),
    FUNCTION(cuCtxCreate),
    FUNCTION(cuCtxCreate_v2),
    FUNCTION(cuCtxCreate_v4),
    FUNCTION(cuCtxDestroy_v2),
    FUNCTION(cuCtxDestroy),
    FUNCTION(cuDevicePrimaryCtxRetain),
    FUNCTION(cuDevicePrimaryCtxGetState),
    FUNCTION(cuDevicePrimaryCtxRelease),
    FUNCTION(cuDevicePrimaryCtxRelease_v2),
    FUNCTION(cuDevicePrimaryCtxReset_v2),
    FUNCTION(cuCtxGetLimit),
    FUNCTION(cuCtxSetLimit),
    FUNCTION(cuMemAlloc_v2),
    FUNCTION(cuMemAllocManaged),
    FUNCTION(cuMemAllocPitch_v2),
    FUNCTION(cuMemFree_v2),
    FUNCTION(cuMemGetInfo_v2),
    FUNCTION(cuDeviceTotalMem_v2),
    FUNCTION(cuArray3DCreate_v2),
    FUNCTION(cuArrayCreate_v2),
    FUNCTION(cuArrayDestroy),
    FUNCTION(cuMemCreate),
    FUNCTION(cuMemRelease),
    FUNCTION(cuMemMap),
    FUNCTION(cuMemUnmap),
    FUNCTION(cuMemRetainAllocationHandle),
    FUNCTION(cuMemAllocAsync),
    FUNCTION(cuMemAllocAsync_ptsz),
    FUNCTION(cuMemAllocFromPoolAsync),
    FUNCTION(cuMemFreeAsync),
    FUNCTION(cuMemFreeAsync_ptsz),
    FUNCTION(cuStreamSynchronize),
    FUNCTION(cuStreamSynchronize_ptsz),
    FUNCTION(cuEventSynchronize),
    FUNCTION(cuCtxSynchronize),
    FUNCTION(cuCtxSynchronize_v2),
    FUNCTION(cuMemPoolCreate),
    FUNCTION(cuMemPoolDestroy),
    FUNCTION(cuMemPoolTrimTo),
    FUNCTION(cuMemPoolGetAttribute),
    FUNCTION(cuMemPoolSetAttribute),
    FUNCTION(cuDeviceGetMemPool),
    FUNCTION(cuStreamCreate),
    FUNCTION(cuStreamIsCapturing),
    FUNCTION(cuStreamBeginCapture_v2),
    FUNCTION(cuStreamEndCapture),
    FUNCTION(cuGraphGetNodes),
    FUNCTION(cuGraphNodeGetType),
    FUNCTION(cuGraphMemAllocNodeGetParams),
    FUNCTION(cuGraphMemFreeNodeGetParams),
    FUNCTION(cuGraphInstantiateWithFlags),
    FUNCTION(cuGraphLaunch),
    FUNCTION(cuGraphExecDestroy),
    FUNCTION(cuDeviceGetGraphMemAttribute),
    FUNCTION(cuDeviceGraphMemTrim),
#undef FUNCTION
};

static void *function_of(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (!strcmp(functions[i].name, name))
            return (void *)(uintptr_t)functions[i].function;
    }
    return NULL;
}

enum { PER_THREAD = 2 };

/* The newest version that the program knows; per-thread variants where there are some. */
static CUresult by_name(const char *symbol, void **address, int version, uint64_t flags)
{
    static const char *const suffixes[] = {"_v4", "_v3", "_v2", ""};
    char name[128];
    if (!symbol || !*symbol || !address)
        return CUDA_ERROR_INVALID_VALUE;
    *address = NULL;
    for (size_t i = version < 3020 ? 3 : 0; i < 4 && !*address; i++) {
        if (flags & PER_THREAD) {
            snprintf(name, sizeof(name), "%s%s_ptsz", symbol, suffixes[i]);
            *address = function_of(name);
        }
        snprintf(name, sizeof(name), "%s%s", symbol, suffixes[i]);
        *address = *address ? *address : function_of(name);
    }
    return *address ? CUDA_SUCCESS : NOT_FOUND;
}

API CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, uint64_t flags,
                                 int *status)
{
    CUresult r = CUDA_SUCCESS;
    void (*own[])(void) = {(void (*)(void))cuGetProcAddress_v2, (void (*)(void))cuGetProcAddress};
    if (symbol && !strcmp(symbol, "cuGetProcAddress") && address)
        *address = (void *)(uintptr_t)own[version < 12000];
    else
        r = by_name(symbol, address, version, flags);
    if (status)
        *status = r == CUDA_SUCCESS ? 0 : 1;
    return r;
}

API CUresult cuGetProcAddress(const char *symbol, void **address, int version, uint64_t flags)
{
    return cuGetProcAddress_v2(symbol, address, version, flags, NULL);
}
