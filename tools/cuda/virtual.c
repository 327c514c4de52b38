/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the calls of virtual memory: handles are memory, mappings keep it. */
#include "contexts.h"
#include "reserve.h"

#include <stdlib.h>

/* The driver frees the memory when neither a handle nor a mapping is left. */
static void drop_if_unused(struct entry *entry, uint64_t handle)
{
    bool gone = entry->handles == 0 && entry->mappings == 0;
    entries_release(ENTRY_HANDLE, handle);
    if (!gone)
        return;
    entry = entries_take(ENTRY_HANDLE, handle);
    if (entry)
        account_end(&entry->account);
    free(entry);
}

EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                            const CUmemAllocationProp *properties, unsigned long long flags)
{
    ENTER(cuMemCreate, handle, size, properties, flags);
    /* The id of a location on the host means something else, or nothing: never read it. */
    bool on_device = properties && properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
    struct entry *entry = NULL;
    CUresult r = CUDA_SUCCESS;
    if (on_device) {
        entry = entries_new(ENTRY_HANDLE, properties->location.id);
        r = entry ? contexts_note(entry->device) : CUDA_ERROR_OUT_OF_MEMORY;
        if (r == CUDA_SUCCESS)
            r = reserve_bytes(&entry->account, entry->device, size);
        if (r != CUDA_SUCCESS) {
            free(entry);
            shim_leave();
            return r;
        }
    }
    r = REAL(cuMemCreate)(handle, size, properties, flags);
    if (entry && r == CUDA_SUCCESS) {
        entry->handles = 1;
        entries_add(entry, *handle);
    } else if (entry) {
        account_end(&entry->account);
        free(entry);
    }
    shim_leave();
    return r;
}

/* Memory of another process is paid for there. The handle is known, so that its number is not taken
 * for an older one. */
EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
                                               void *os_handle, int type)
{
    ENTER(cuMemImportFromShareableHandle, handle, os_handle, type);
    CUresult r = REAL(cuMemImportFromShareableHandle)(handle, os_handle, type);
    struct entry *entry = r == CUDA_SUCCESS ? entries_new(ENTRY_HANDLE, -1) : NULL;
    if (entry) {
        entry->handles = 1;
        entries_add(entry, *handle);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    ENTER(cuMemRelease, handle);
    struct entry *entry = entries_hold(ENTRY_HANDLE, handle);
    if (entry) {
        entry->handles -= entry->handles > 0;
        entries_release(ENTRY_HANDLE, handle);
    }
    CUresult r = REAL(cuMemRelease)(handle);
    entry = entry ? entries_hold(ENTRY_HANDLE, handle) : NULL;
    if (entry) {
        entry->handles += r != CUDA_SUCCESS;
        drop_if_unused(entry, handle);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    ENTER(cuMemRetainAllocationHandle, handle, address);
    CUresult r = REAL(cuMemRetainAllocationHandle)(handle, address);
    struct entry *entry = r == CUDA_SUCCESS ? entries_hold(ENTRY_HANDLE, *handle) : NULL;
    if (entry) {
        entry->handles++;
        entries_release(ENTRY_HANDLE, *handle);
    }
    shim_leave();
    return r;
}

/* A mapping ended, or was never made. */
static void unmapped(uint64_t handle)
{
    struct entry *entry = entries_hold(ENTRY_HANDLE, handle);
    if (entry) {
        entry->mappings -= entry->mappings > 0;
        drop_if_unused(entry, handle);
    }
}

EXPORT CUresult cuMemMap(CUdeviceptr pointer, size_t size, size_t offset,
                         CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    ENTER(cuMemMap, pointer, size, offset, handle, flags);
    struct entry *entry = entries_hold(ENTRY_HANDLE, handle), *mapping = NULL;
    if (entry) {
        entry->mappings++;
        entries_release(ENTRY_HANDLE, handle);
        mapping = entries_new(ENTRY_MAPPING, -1);
    }
    CUresult r = REAL(cuMemMap)(pointer, size, offset, handle, flags);
    if (mapping && r == CUDA_SUCCESS) {
        mapping->of = handle;
        mapping->bytes = size;
        entries_add(mapping, pointer);
    } else if (entry && r != CUDA_SUCCESS) {
        free(mapping);
        unmapped(handle);
    }
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
    for (struct entry *at = mappings, *next; at; at = next) {
        next = at->next;
        at->next = NULL;
        if (r != CUDA_SUCCESS) {
            entries_add(at, at->key);
            continue;
        }
        unmapped(at->of);
        free(at);
    }
    shim_leave();
    return r;
}
