/* SPDX-License-Identifier: Apache-2.0 */
/* Replace plain allocations. */
#include "record.h"
#include "reserve.h"

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
    RECORD_CREATE(cuMemAlloc_v2, ENTRY_POINTER, bytes, pointer, bytes);
}

/* The interface before CUDA 3.2, of pointers with 32 bits. */
EXPORT CUresult cuMemAlloc(CUdeviceptr_v1 *pointer, unsigned int bytes)
{
    RECORD_CREATE(cuMemAlloc, ENTRY_POINTER, bytes, pointer, bytes);
}

/* Outside of the driver's own calls, and of programs without a partition, it marks nothing. */
static void mark_managed(void)
{
    if (!shim_enter(&shim_real.cuMemAllocManaged))
        return;
    account_mark(CHRONOS_MARK_MANAGED);
    shim_leave();
}

/* In full: the device loses it at the first touch. */
EXPORT CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t bytes, unsigned int flags)
{
    mark_managed();
    RECORD_CREATE(cuMemAllocManaged, ENTRY_POINTER, record_rounded(bytes), pointer, bytes, flags);
}

#define PITCH_MAX 512 /* rows are padded to at most this */

/* The driver chose the pitch: correct the charge to it, or take the memory back. */
static CUresult repitch(struct entry *entry, CUdeviceptr pointer, uint64_t pitch, uint64_t height)
{
    uint64_t true_bytes = record_rounded(shim_product(pitch, height));
    if (!entry || entry->small)
        return CUDA_SUCCESS;
    uint64_t has = entry->account.bytes;
    if (true_bytes < has)
        account_take(&entry->account, has - true_bytes);
    CUresult r = true_bytes > has ? reserve_bytes(&entry->account, entry->device, true_bytes - has)
                                  : CUDA_SUCCESS;
    if (r != CUDA_SUCCESS && REAL(cuMemFree_v2))
        REAL(cuMemFree_v2)(pointer);
    return r;
}

static uint64_t padded(uint64_t width, uint64_t height)
{
    return width > UINT64_MAX - PITCH_MAX
               ? UINT64_MAX
               : shim_product((width + PITCH_MAX - 1) / PITCH_MAX * PITCH_MAX, height);
}

#define ALLOC_PITCH(name)                                                                          \
    ENTER(name, pointer, pitch, width, height, element);                                           \
    struct entry *entry;                                                                           \
    CUresult r = record_begin(ENTRY_POINTER, padded(width, height), &entry);                       \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(pointer, pitch, width, height, element);                                    \
        if (r == CUDA_SUCCESS)                                                                     \
            r = repitch(entry, *pointer, *pitch, height);                                          \
        r = record_finish(r, entry, r == CUDA_SUCCESS ? *pointer : 0);                             \
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

/* The pointer may be a pool's. */
EXPORT CUresult cuMemFree(CUdeviceptr_v1 pointer)
{
    ENTER(cuMemFree, pointer);
    RECORD_FREE(ENTRY_POINTER, pointer, REAL(cuMemFree)(pointer));
    reserve_look();
    shim_leave();
    return r;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    ENTER(cuMemFree_v2, pointer);
    RECORD_FREE(ENTRY_POINTER, pointer, REAL(cuMemFree_v2)(pointer));
    reserve_look();
    shim_leave();
    return r;
}
