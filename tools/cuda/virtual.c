/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls of virtual memory. Memory lasts as long as it has a handle or is mapped. */
#include "contexts.h"
#include "record.h"
#include "reserve.h"

#include <stdlib.h>

/* -- handles ------------------------------------------------------------------------------ */

static CUresult create(CUmemGenericAllocationHandle *handle, size_t size,
                       const CUmemAllocationProp *properties, unsigned long long flags)
{
    /* The id of a location on the host means something else, or nothing: never read it. */
    if (!properties || properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return REAL(cuMemCreate)(handle, size, properties, flags);
    struct entry *entry = entries_new(ENTRY_HANDLE, properties->location.id);
    CUresult r = entry ? contexts_note(entry->device) : CUDA_ERROR_OUT_OF_MEMORY;
    if (r == CUDA_SUCCESS)
        r = reserve_bytes(&entry->account, entry->device, size);
    if (r != CUDA_SUCCESS) {
        free(entry);
        return r;
    }
    entry->handles = 1;
    r = REAL(cuMemCreate)(handle, size, properties, flags);
    return record_finish(r, entry, r == CUDA_SUCCESS ? *handle : 0);
}

EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                            const CUmemAllocationProp *properties, unsigned long long flags)
{
    ENTER(cuMemCreate, handle, size, properties, flags);
    CUresult r = create(handle, size, properties, flags);
    shim_leave();
    return r;
}

/* Memory of another process is paid for there. The handle is known, so that its number is not taken
 * for an older one. */
EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
                                               void *os_handle, int type)
{
    ENTER(cuMemImportFromShareableHandle, handle, os_handle, type);
    account_mark(CHRONOS_MARK_IPC);
    CUresult r = REAL(cuMemImportFromShareableHandle)(handle, os_handle, type);
    struct entry *entry = r == CUDA_SUCCESS ? entries_new(ENTRY_HANDLE, -1) : NULL;
    if (entry) {
        entry->handles = 1;
        record_add(entry, *handle);
    }
    shim_leave();
    return r;
}

/* Find the memory of a handle, and add to its handles or mappings. */
static struct entry *hold(uint64_t handle, bool mapping)
{
    struct entry *memory = entries_hold(ENTRY_HANDLE, handle);
    if (!memory)
        return NULL;
    memory->handles += mapping ? 0 : 1;
    memory->mappings += mapping ? 1 : 0;
    entries_release(ENTRY_HANDLE, handle);
    return memory;
}

EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    ENTER(cuMemRelease, handle);
    struct entry *last;
    bool has = entries_drop_handle(handle, &last);
    CUresult r = REAL(cuMemRelease)(handle);
    if (last && r == CUDA_SUCCESS) {
        record_end(last);
    } else if (last) {
        last->handles = 1;
        record_add(last, handle);
    } else if (has && r != CUDA_SUCCESS) {
        hold(handle, false);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    ENTER(cuMemRetainAllocationHandle, handle, address);
    CUresult r = REAL(cuMemRetainAllocationHandle)(handle, address);
    if (r == CUDA_SUCCESS)
        hold(*handle, false); /* the driver gives the old number */
    shim_leave();
    return r;
}

/* -- mappings ------------------------------------------------------------------------------ */

EXPORT CUresult cuMemMap(CUdeviceptr pointer, size_t size, size_t offset,
                         CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    ENTER(cuMemMap, pointer, size, offset, handle, flags);
    struct entry *mapping = entries_new(ENTRY_MAPPING, -1);
    struct entry *memory = mapping ? hold(handle, true) : NULL;
    CUresult r = REAL(cuMemMap)(pointer, size, offset, handle, flags);
    if (memory && r == CUDA_SUCCESS) {
        mapping->memory = memory;
        mapping->bytes = size;
        record_add(mapping, pointer);
        mapping = NULL;
    } else if (memory) {
        record_unmapped(memory);
    }
    free(mapping);
    shim_leave();
    return r;
}

/* One call can end several mappings that lie side by side. */
static struct entry *take_mappings(CUdeviceptr pointer, size_t size)
{
    struct entry *first = entries_take(ENTRY_MAPPING, pointer);
    if (first && first->bytes >= size)
        return first;
    struct entry *others = entries_take_range(ENTRY_MAPPING, pointer, pointer + size);
    if (!first)
        return others;
    first->next = others;
    return first;
}

EXPORT CUresult cuMemUnmap(CUdeviceptr pointer, size_t size)
{
    ENTER(cuMemUnmap, pointer, size);
    struct entry *mappings = take_mappings(pointer, size);
    CUresult r = REAL(cuMemUnmap)(pointer, size);
    if (r == CUDA_SUCCESS)
        record_end_all(mappings);
    else
        record_add_all(mappings);
    shim_leave();
    return r;
}

/* -- sparse arrays -------------------------------------------------------------------------- */

/* What is mapped to a part of a sparse array is kept as long as the array, or until something else
 * is mapped there. All numbers that name a part are its key. */
static void map_tile(const CUarrayMapInfo *info)
{
    uint64_t key = 0;
    const unsigned char *name = (const unsigned char *)&info->subresource;
    for (size_t i = 0; i < sizeof(info->subresource); i++)
        key = key * 0x100000001b3 + name[i];
    key += (uint64_t)(uintptr_t)info->resource.array * 0x9E3779B97F4A7C15u;
    bool maps = info->memOperationType == CU_MEM_OPERATION_TYPE_MAP;
    struct entry *tile = maps ? entries_new(ENTRY_TILE, -1) : NULL;
    struct entry *memory = tile ? hold(info->memHandle.memHandle, true) : NULL;
    if (memory) {
        tile->memory = memory;
        tile->array = (uint64_t)(uintptr_t)info->resource.array;
        record_add(tile, key);
        return;
    }
    free(tile);
    record_end(entries_take(ENTRY_TILE, key));
}

#define MAP_ARRAY(name)                                                                            \
    ENTER(name, list, count, stream);                                                              \
    CUresult r = REAL(name)(list, count, stream);                                                  \
    for (unsigned i = 0; r == CUDA_SUCCESS && i < count; i++)                                      \
        map_tile(&list[i]);                                                                        \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuMemMapArrayAsync(CUarrayMapInfo *list, unsigned count, CUstream stream)
{
    MAP_ARRAY(cuMemMapArrayAsync);
}

EXPORT CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo *list, unsigned count, CUstream stream)
{
    MAP_ARRAY(cuMemMapArrayAsync_ptsz);
}
