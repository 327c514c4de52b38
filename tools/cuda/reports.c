/* SPDX-License-Identifier: Apache-2.0 */
/* Replace the figures that programs ask for by those of the partition. Never fail where the driver
 * does not, and never report more than the driver. */
#include "contexts.h"

#include <stdatomic.h>

/* Of each partition. */
static struct {
    struct chronos_memory memory;
    _Atomic uint64_t last_limit; /* for use after the partition has ended */
} reports[CHRONOS_PARTITIONS_MAX];

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The limit and what is left of it. False: not known, so the driver's figures stay. */
static bool read_partition(int partition, uint64_t *ret_limit, uint64_t *ret_free)
{
    uint64_t limit, used;
    if (partition < 0)
        return false;
    const char *directory = shim.environment.directory[partition];
    __typeof__(&reports[0]) report = &reports[partition];
    bool there = chronos_memory_read(&report->memory, directory, &limit, &used) == 0;
    if (there)
        atomic_store(&report->last_limit, limit);
    limit = atomic_load(&report->last_limit);
    bool ended = !there && chronos_has_ended(directory);
    if (limit == 0 && ended)
        limit = UINT64_MAX; /* not known any more */
    if (limit == 0)
        return false;
    if (!there)
        used = ended ? limit : 0;
    *ret_limit = limit;
    *ret_free = limit > used ? limit - used : 0;
    return true;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    ENTER(cuMemGetInfo_v2, free_bytes, total_bytes);
    CUdevice device;
    uint64_t limit, left;
    contexts_device(&device); /* a refusal shows as free memory of 0 */
    CUresult r = REAL(cuMemGetInfo_v2)(free_bytes, total_bytes);
    if (r == CUDA_SUCCESS && device >= 0 &&
        read_partition(devices_partition(device), &limit, &left)) {
        *total_bytes = (size_t)least(*total_bytes, limit);
        *free_bytes = (size_t)least(*free_bytes, left);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuMemGetInfo(unsigned int *free_bytes, unsigned int *total_bytes)
{
    ENTER(cuMemGetInfo, free_bytes, total_bytes);
    CUdevice device;
    uint64_t limit, left;
    contexts_device(&device);
    CUresult r = REAL(cuMemGetInfo)(free_bytes, total_bytes);
    if (r == CUDA_SUCCESS && device >= 0 &&
        read_partition(devices_partition(device), &limit, &left)) {
        *total_bytes = (unsigned)least(*total_bytes, limit);
        *free_bytes = (unsigned)least(*free_bytes, left);
    }
    shim_leave();
    return r;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    ENTER(cuDeviceTotalMem_v2, bytes, device);
    uint64_t limit, left;
    CUresult r = REAL(cuDeviceTotalMem_v2)(bytes, device);
    if (r == CUDA_SUCCESS && read_partition(devices_partition(device), &limit, &left))
        *bytes = (size_t)least(*bytes, limit);
    shim_leave();
    return r;
}

EXPORT CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice device)
{
    ENTER(cuDeviceTotalMem, bytes, device);
    uint64_t limit, left;
    CUresult r = REAL(cuDeviceTotalMem)(bytes, device);
    if (r == CUDA_SUCCESS && read_partition(devices_partition(device), &limit, &left))
        *bytes = (unsigned)least(*bytes, limit);
    shim_leave();
    return r;
}

/* -- the management library ---------------------------------------------------------------- */

#define UUID_MAX 96

/* Make them the partition's. False: the device has none. */
static bool correct(nvmlDevice_t device, unsigned long long *total, unsigned long long *free_bytes)
{
    char uuid[UUID_MAX];
    uint64_t limit, left;
    if (!REAL(nvmlDeviceGetUUID) ||
        REAL(nvmlDeviceGetUUID)(device, uuid, sizeof(uuid)) != NVML_SUCCESS ||
        !read_partition(devices_partition_of_uuid(uuid), &limit, &left))
        return false;
    *total = least(*total, limit);
    *free_bytes = least(*free_bytes, left);
    return true;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    ENTER_OR(NVML_ERROR_FUNCTION_NOT_FOUND, nvmlDeviceGetMemoryInfo, device, memory);
    nvmlReturn_t r = REAL(nvmlDeviceGetMemoryInfo)(device, memory);
    if (r == NVML_SUCCESS && correct(device, &memory->total, &memory->free))
        memory->used = memory->total - memory->free;
    shim_leave();
    return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    ENTER_OR(NVML_ERROR_FUNCTION_NOT_FOUND, nvmlDeviceGetMemoryInfo_v2, device, memory);
    nvmlReturn_t r = REAL(nvmlDeviceGetMemoryInfo_v2)(device, memory);
    if (r == NVML_SUCCESS && correct(device, &memory->total, &memory->free)) {
        memory->reserved = 0;
        memory->used = memory->total - memory->free;
    }
    shim_leave();
    return r;
}
