/* SPDX-License-Identifier: Apache-2.0 */
/* Replace plain allocations, arrays, and objects of foreign memory. */
#include "blocks.h"
#include "contexts.h"
#include "pools.h"
#include "reserve.h"

#include <stdlib.h>

/* The driver deals in blocks of 2 MiB: 2 MiB + 1 byte takes two. */
static uint64_t rounded(uint64_t bytes)
{
    return bytes > UINT64_MAX - BLOCK_BYTES ? UINT64_MAX
                                            : (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* Charge an object of the current device. *ret_entry is NULL where nothing is charged: there is no
 * context, and the driver is to say so. */
static CUresult begin(enum entry_kind kind, uint64_t bytes, struct entry **ret_entry)
{
    CUdevice device;
    *ret_entry = NULL;
    CUresult r = contexts_device(&device);
    if (r != CUDA_SUCCESS || device < 0)
        return r;
    struct entry *entry = entries_new(kind, device);
    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = reserve_bytes(&entry->account, device, bytes);
    if (r != CUDA_SUCCESS) {
        free(entry);
        return r;
    }
    entry->bytes = bytes;
    entry->context = contexts_current();
    *ret_entry = entry;
    return CUDA_SUCCESS;
}

/* The driver answered: keep the entry, or give it back. Return the driver's answer. */
static CUresult finish(CUresult r, struct entry *entry, uint64_t key)
{
    if (entry && r == CUDA_SUCCESS) {
        entries_add(entry, key);
    } else if (entry) {
        account_end(&entry->account);
        free(entry);
    }
    return r;
}

/* Free an object of `kind` by the call `free_it`. */
#define FREE(kind, key, free_it)                                                                   \
    struct entry *entry = entries_take(kind, key);                                                 \
    CUresult r = free_it;                                                                          \
    if (entry && r != CUDA_SUCCESS)                                                                \
        entries_add(entry, key);                                                                   \
    else                                                                                           \
        ended(entry)

static void ended(struct entry *entry)
{
    if (!entry)
        return;
    if (entry->small)
        blocks_remove(entry->device, entry->key);
    else if (entry->pool)
        pools_freed(entry->pool, entry->bytes);
    else
        account_end(&entry->account);
    free(entry);
}

/* -- plain ------------------------------------------------------------------------------ */

/* A small allocation: the driver puts it into a block, perhaps a new one. */
static CUresult alloc_small(CUdeviceptr *pointer, size_t bytes)
{
    CUdevice device;
    CUresult r = contexts_device(&device);
    if (r != CUDA_SUCCESS || device < 0)
        return r != CUDA_SUCCESS ? r : REAL(cuMemAlloc_v2)(pointer, bytes);
    r = reserve_block(device); /* a refusal may not matter */
    if (r == CUDA_ERROR_NOT_PERMITTED)
        return r;
    struct entry *entry = entries_new(ENTRY_POINTER, device);
    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr got;
    r = REAL(cuMemAlloc_v2)(&got, bytes);
    if (r == CUDA_SUCCESS) {
        r = blocks_add(device, got);
        if (r != CUDA_SUCCESS)
            REAL(cuMemFree_v2)(got);
    }
    if (r != CUDA_SUCCESS) {
        free(entry);
        return r;
    }
    entry->small = true;
    entry->bytes = bytes;
    entry->context = contexts_current();
    entries_add(entry, got);
    *pointer = got;
    return CUDA_SUCCESS;
}

static CUresult alloc(CUdeviceptr *pointer, size_t bytes)
{
    struct entry *entry;
    if (!pointer || bytes == 0)
        return REAL(cuMemAlloc_v2)(pointer, bytes);
    if (bytes <= BLOCK_SMALL)
        return alloc_small(pointer, bytes);
    CUresult r = begin(ENTRY_POINTER, rounded(bytes), &entry);
    if (r != CUDA_SUCCESS)
        return r;
    r = REAL(cuMemAlloc_v2)(pointer, bytes);
    return finish(r, entry, r == CUDA_SUCCESS ? *pointer : 0);
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
    ENTER(cuMemAlloc_v2, pointer, bytes);
    CUresult r = alloc(pointer, bytes);
    shim_leave();
    return r;
}

/* The interface before CUDA 3.2, of pointers with 32 bits. */
EXPORT CUresult cuMemAlloc(CUdeviceptr_v1 *pointer, unsigned int bytes)
{
    ENTER(cuMemAlloc, pointer, bytes);
    struct entry *entry;
    CUresult r = begin(ENTRY_POINTER, rounded(bytes), &entry);
    if (r == CUDA_SUCCESS) {
        r = REAL(cuMemAlloc)(pointer, bytes);
        finish(r, entry, r == CUDA_SUCCESS ? *pointer : 0);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t bytes, unsigned int flags)
{
    ENTER(cuMemAllocManaged, pointer, bytes, flags);
    struct entry *entry;
    CUresult r = begin(ENTRY_POINTER, rounded(bytes), &entry);
    if (r == CUDA_SUCCESS) {
        r = REAL(cuMemAllocManaged)(pointer, bytes, flags);
        finish(r, entry, r == CUDA_SUCCESS && pointer ? *pointer : 0);
    }
    shim_leave();
    return r;
}

#define PITCH_MAX 512 /* rows are padded to at most this */

/* The driver chose the pitch: correct the charge to it. */
static void repitch(struct entry *entry, uint64_t pitch, uint64_t height)
{
    uint64_t true_bytes = rounded(shim_product(pitch, height));
    if (entry && true_bytes < entry->account.bytes)
        account_take(&entry->account, entry->account.bytes - true_bytes);
    else if (entry && true_bytes > entry->account.bytes)
        account_add(&entry->account, entry->device, true_bytes - entry->account.bytes);
}

static uint64_t padded(uint64_t width, uint64_t height)
{
    return width > UINT64_MAX - PITCH_MAX
               ? UINT64_MAX
               : rounded(shim_product((width + PITCH_MAX - 1) / PITCH_MAX * PITCH_MAX, height));
}

#define ALLOC_PITCH(name)                                                                          \
    ENTER(name, pointer, pitch, width, height, element);                                           \
    struct entry *entry;                                                                           \
    CUresult r = begin(ENTRY_POINTER, padded(width, height), &entry);                              \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(pointer, pitch, width, height, element);                                    \
        if (r == CUDA_SUCCESS)                                                                     \
            repitch(entry, *pitch, height);                                                        \
        finish(r, entry, r == CUDA_SUCCESS ? *pointer : 0);                                        \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuMemAllocPitch(CUdeviceptr_v1 *pointer, unsigned int *pitch, unsigned int width,
                                unsigned int height, unsigned int element)
{
    ALLOC_PITCH(cuMemAllocPitch);
}

EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height,
                                   unsigned int element)
{
    ALLOC_PITCH(cuMemAllocPitch_v2);
}

EXPORT CUresult cuMemFree(CUdeviceptr_v1 pointer)
{
    ENTER(cuMemFree, pointer);
    FREE(ENTRY_POINTER, pointer, REAL(cuMemFree)(pointer));
    shim_leave();
    return r;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    ENTER(cuMemFree_v2, pointer);
    FREE(ENTRY_POINTER, pointer, REAL(cuMemFree_v2)(pointer));
    pools_look(); /* the pointer may be a pool's */
    shim_leave();
    return r;
}

/* -- arrays ------------------------------------------------------------------------------- */

/* Bytes of an element by CUarray_format: 8, 16 or 32 bits. Formats of video and of compressed
 * blocks take at most what a 32-bit channel takes. */
static uint64_t element_bytes(int format, unsigned channels)
{
    switch (format) {
    case 0x01: /* unsigned and signed bytes */
    case 0x08:
    case 0xc0: /* 8-bit normalized, by channels: 0xc0 to 0xc5 */
    case 0xc1:
    case 0xc2:
    case 0xc3:
    case 0xc4:
    case 0xc5:
        return channels;
    case 0x02: /* 16 bits, integers and half */
    case 0x09:
    case 0x10:
    case 0xc6: /* 16-bit normalized: 0xc6 to 0xcb */
    case 0xc7:
    case 0xc8:
    case 0xc9:
    case 0xca:
    case 0xcb:
        return 2ull * channels;
    default:
        return 4ull * (channels > 0 ? channels : 4);
    }
}

static uint64_t at_least_one(uint64_t value)
{
    return value > 0 ? value : 1;
}

/* Sum of all levels. A SPARSE or DEFERRED_MAPPING array takes nothing itself. */
static uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels)
{
    if (!descriptor || (descriptor->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)))
        return 0;
    uint64_t width = at_least_one(descriptor->Width), height = at_least_one(descriptor->Height),
             depth = at_least_one(descriptor->Depth), sum = 0;
    bool layers = descriptor->Flags & CUDA_ARRAY3D_LAYERED;
    for (unsigned level = 0; level < levels; level++) {
        uint64_t bytes = shim_product(shim_product(shim_product(width, height), depth),
                                      element_bytes(descriptor->Format, descriptor->NumChannels));
        sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
        width = at_least_one(width / 2);
        height = at_least_one(height / 2);
        depth = layers ? depth : at_least_one(depth / 2);
    }
    return rounded(sum);
}

#define CREATE(name, kind, bytes, array, ...)                                                      \
    ENTER(name, array, __VA_ARGS__);                                                               \
    struct entry *entry;                                                                           \
    CUresult r = begin(kind, bytes, &entry);                                                       \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(array, __VA_ARGS__);                                                        \
        finish(r, entry, r == CUDA_SUCCESS ? (uint64_t)(uintptr_t)*array : 0);                     \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

static uint64_t flat_bytes(uint64_t width, uint64_t height, int format, unsigned channels)
{
    return array_bytes(
        &(CUDA_ARRAY3D_DESCRIPTOR){
            .Width = width, .Height = height, .Format = format, .NumChannels = channels},
        1);
}

EXPORT CUresult cuArrayCreate(CUarray *array, const CUDA_ARRAY_DESCRIPTOR_v1 *descriptor)
{
    CREATE(cuArrayCreate, ENTRY_ARRAY,
           descriptor ? flat_bytes(descriptor->Width, descriptor->Height, descriptor->Format,
                                   descriptor->NumChannels)
                      : 0,
           array, descriptor);
}

EXPORT CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *descriptor)
{
    CREATE(cuArrayCreate_v2, ENTRY_ARRAY,
           descriptor ? flat_bytes(descriptor->Width, descriptor->Height, descriptor->Format,
                                   descriptor->NumChannels)
                      : 0,
           array, descriptor);
}

EXPORT CUresult cuArray3DCreate(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor)
{
    CUDA_ARRAY3D_DESCRIPTOR wide = {0};
    if (descriptor)
        wide = (CUDA_ARRAY3D_DESCRIPTOR){descriptor->Width,       descriptor->Height,
                                         descriptor->Depth,       descriptor->Format,
                                         descriptor->NumChannels, descriptor->Flags};
    CREATE(cuArray3DCreate, ENTRY_ARRAY, array_bytes(&wide, 1), array, descriptor);
}

EXPORT CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    CREATE(cuArray3DCreate_v2, ENTRY_ARRAY, array_bytes(descriptor, 1), array, descriptor);
}

EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *array,
                                       const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                       unsigned int levels)
{
    CREATE(cuMipmappedArrayCreate, ENTRY_MIPMAP, array_bytes(descriptor, levels < 64 ? levels : 64),
           array, descriptor, levels);
}

EXPORT CUresult cuArrayDestroy(CUarray array)
{
    ENTER(cuArrayDestroy, array);
    FREE(ENTRY_ARRAY, (uint64_t)(uintptr_t)array, REAL(cuArrayDestroy)(array));
    shim_leave();
    return r;
}

EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    ENTER(cuMipmappedArrayDestroy, array);
    FREE(ENTRY_MIPMAP, (uint64_t)(uintptr_t)array, REAL(cuMipmappedArrayDestroy)(array));
    shim_leave();
    return r;
}

/* -- foreign memory ------------------------------------------------------------------------ */

EXPORT CUresult cuImportExternalMemory(CUexternalMemory *memory,
                                       const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *descriptor)
{
    CREATE(cuImportExternalMemory, ENTRY_FOREIGN, descriptor ? rounded(descriptor->size) : 0,
           memory, descriptor);
}

EXPORT CUresult cuDestroyExternalMemory(CUexternalMemory memory)
{
    ENTER(cuDestroyExternalMemory, memory);
    FREE(ENTRY_FOREIGN, (uint64_t)(uintptr_t)memory, REAL(cuDestroyExternalMemory)(memory));
    shim_leave();
    return r;
}
