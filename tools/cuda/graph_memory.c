/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of graphs, by device; see graph_memory.h. */
#include "graph_memory.h"

#include <stdatomic.h>

static struct account accounts[DEVICES_MAX];
static _Atomic uint64_t trims[DEVICES_MAX];

/* Call with the lock held. */
static struct account *of(CUdevice device)
{
    struct account *account = &accounts[device];
    if (!account_is_ours(account))
        *account = (struct account){0};
    return account;
}

CUresult graph_memory_reserve(CUdevice device, uint64_t bytes)
{
    if (device < 0 || device >= DEVICES_MAX)
        return CUDA_ERROR_NOT_PERMITTED;
    shim_lock(SHIM_LOCK_GRAPHS);
    CUresult r = account_add(of(device), device, bytes);
    shim_unlock(SHIM_LOCK_GRAPHS);
    return r;
}

void graph_memory_settle(CUdevice device)
{
    uint64_t reserved = 0;
    if (device < 0 || device >= DEVICES_MAX || !REAL(cuDeviceGetGraphMemAttribute) ||
        REAL(cuDeviceGetGraphMemAttribute)(device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                           &reserved) != CUDA_SUCCESS)
        return;
    shim_lock(SHIM_LOCK_GRAPHS);
    struct account *account = of(device);
    if (reserved > account->bytes)
        account_add(account, device, reserved - account->bytes);
    else
        account_take(account, account->bytes - reserved);
    shim_unlock(SHIM_LOCK_GRAPHS);
}

bool graph_memory_reclaim(CUdevice device)
{
    if (device < 0 || device >= DEVICES_MAX || !REAL(cuDeviceGraphMemTrim))
        return false;
    shim_lock(SHIM_LOCK_GRAPHS);
    uint64_t before = of(device)->bytes;
    shim_unlock(SHIM_LOCK_GRAPHS);
    if (before == 0 || REAL(cuDeviceGraphMemTrim)(device) != CUDA_SUCCESS)
        return false;
    graph_memory_trimmed(device);
    shim_lock(SHIM_LOCK_GRAPHS);
    uint64_t after = of(device)->bytes;
    shim_unlock(SHIM_LOCK_GRAPHS);
    return after < before;
}

uint64_t graph_memory_trims(CUdevice device)
{
    return device >= 0 && device < DEVICES_MAX ? atomic_load(&trims[device]) + 1 : 1;
}

void graph_memory_trimmed(CUdevice device)
{
    if (device >= 0 && device < DEVICES_MAX)
        atomic_fetch_add(&trims[device], 1);
    graph_memory_settle(device);
}
