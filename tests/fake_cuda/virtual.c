/* SPDX-License-Identifier: Apache-2.0 */
/* Handles and mappings of the made-up driver; see fake.h. */
#include "fake.h"

#include <stdlib.h>

/* Memory, which has a number as long as there are handles, and, unless a test wants that, as long
 * as it is mapped. */
struct memory {
    uint64_t bytes, taken;
    int device, handles, mappings;
    CUmemGenericAllocationHandle number; /* 0: none any more */
};

#define NUMBERS 65536
static struct memory *numbered[NUMBERS];
static size_t lowest = 1; /* no smaller number is free */

static bool give_number(struct memory *memory)
{
    while (lowest < NUMBERS && numbered[lowest])
        lowest++;
    if (lowest == NUMBERS)
        return false;
    numbered[lowest] = memory;
    memory->number = 0x1000 + lowest;
    return true;
}

static void take_number(struct memory *memory)
{
    size_t at = memory->number - 0x1000;
    if (memory->number == 0)
        return;
    numbered[at] = NULL;
    lowest = at < lowest ? at : lowest;
    memory->number = 0;
}

static struct memory *by_number(CUmemGenericAllocationHandle handle)
{
    struct memory *memory =
        handle > 0x1000 && handle < 0x1000 + NUMBERS ? numbered[handle - 0x1000] : NULL;
    return memory;
}

static void drop(struct memory *memory)
{
    if (memory->handles == 0 && (memory->mappings == 0 || fake_settings.renumber))
        take_number(memory);
    if (memory->handles > 0 || memory->mappings > 0)
        return;
    fake_give(memory->device, memory->taken);
    free(memory);
}

void fake_unmapped(struct memory *memory)
{
    memory->mappings--;
    drop(memory);
}

struct memory *fake_mapped(CUmemGenericAllocationHandle handle)
{
    struct memory *memory = by_number(handle);
    if (memory)
        memory->mappings++;
    return memory;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t size, int device, bool takes)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    fake_lock();
    bool fits = memory && give_number(memory);
    if (fits && takes && !fake_take(device, size)) {
        take_number(memory);
        fits = false;
    }
    if (fits) {
        memory->bytes = size;
        memory->taken = takes ? size : 0;
        memory->device = device;
        memory->handles = 1;
        *handle = memory->number;
    } else {
        free(memory);
    }
    fake_unlock();
    return fits ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

API CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                         const CUmemAllocationProp *properties, unsigned long long flags)
{
    (void)flags;
    if (!fake_usable())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!handle || !properties || size == 0 || size % BLOCK)
        return CUDA_ERROR_INVALID_VALUE;
    bool on_device = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
    if (on_device && fake_check(properties->location.id) != CUDA_SUCCESS)
        return INVALID_DEVICE;
    return create(handle, size, on_device ? properties->location.id : 0, on_device);
}

/* What another process made, which has it. */
API CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os_handle,
                                            int type)
{
    (void)os_handle, (void)type;
    return create(handle, BLOCK, 0, false);
}

API CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    fake_lock();
    struct memory *memory = by_number(handle);
    bool known = memory && memory->handles > 0;
    if (known) {
        memory->handles--;
        drop(memory);
    }
    fake_unlock();
    return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuMemMap(CUdeviceptr pointer, size_t size, size_t offset,
                      CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    (void)flags;
    fake_lock();
    struct memory *memory = by_number(handle);
    if (memory && memory->handles > 0 && offset == 0 && size == memory->bytes &&
        !fake_piece_find(pointer)) {
        memory->mappings++;
        fake_piece_add((struct piece){
            .start = pointer, .bytes = size, .device = memory->device, .mapped = memory});
        r = CUDA_SUCCESS;
    }
    fake_unlock();
    return r;
}

/* Whole mappings side by side. */
API CUresult cuMemUnmap(CUdeviceptr pointer, size_t size)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    fake_lock();
    for (CUdeviceptr at = pointer; at < pointer + size;) {
        struct piece *piece = fake_piece_find(at);
        if (!piece || !piece->mapped || piece->bytes > pointer + size - at)
            break;
        at += piece->bytes;
        fake_piece_end(piece, NULL);
        r = CUDA_SUCCESS;
    }
    fake_unlock();
    return r;
}

API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    fake_lock();
    struct piece *piece = fake_piece_find((uint64_t)(uintptr_t)address);
    if (piece && piece->mapped && (piece->mapped->number || give_number(piece->mapped))) {
        piece->mapped->handles++;
        *handle = piece->mapped->number;
        r = CUDA_SUCCESS;
    }
    fake_unlock();
    return r;
}
