/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of graphs, by device; see graph_memory.h. */
#include "graph_memory.h"

#include <stdatomic.h>

/* Of one device. */
static struct graph_memory {
    struct account account;
    pid_t process;      /* a child has none of its parent's */
    uint64_t launching; /* charged for launches that go on */
    uint64_t changes;
    bool owes; /* the driver has more than could be charged */
} all[DEVICES_MAX];
static _Atomic uint64_t trims[DEVICES_MAX];
static atomic_bool any_owes;

/* Call with the lock held. */
static struct graph_memory *of(CUdevice device)
{
    struct graph_memory *memory = &all[device];
    if (memory->process != shim_process())
        *memory = (struct graph_memory){.process = shim_process()};
    return memory;
}

static bool is_valid(CUdevice device)
{
    return device >= 0 && device < DEVICES_MAX;
}

CUresult graph_memory_reserve(CUdevice device, uint64_t bytes)
{
    if (!is_valid(device))
        return CUDA_ERROR_NOT_PERMITTED;
    shim_lock(SHIM_LOCK_GRAPHS);
    struct graph_memory *memory = of(device);
    CUresult r = account_add(&memory->account, device, bytes);
    memory->launching += r == CUDA_SUCCESS ? bytes : 0;
    memory->changes++;
    shim_unlock(SHIM_LOCK_GRAPHS);
    return r;
}

/* Call with the lock held. */
static void correct(struct graph_memory *memory, CUdevice device, uint64_t reserved)
{
    uint64_t has = memory->account.bytes, needed = reserved + memory->launching;
    memory->owes =
        needed > has && account_add_taken(&memory->account, device, needed - has) != CUDA_SUCCESS;
    if (needed < has)
        account_take(&memory->account, has - needed);
    if (memory->owes)
        atomic_store(&any_owes, true);
}

/* Make the charge the driver's figure. Ask without the lock, and again if another thread has
 * launched something since. */
static void settle(CUdevice device)
{
    for (bool again = is_valid(device) && REAL(cuDeviceGetGraphMemAttribute); again;) {
        uint64_t reserved = 0;
        shim_lock(SHIM_LOCK_GRAPHS);
        uint64_t changes = of(device)->changes;
        shim_unlock(SHIM_LOCK_GRAPHS);
        if (REAL(cuDeviceGetGraphMemAttribute)(device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                               &reserved) != CUDA_SUCCESS)
            return;
        shim_lock(SHIM_LOCK_GRAPHS);
        again = of(device)->changes != changes;
        if (!again)
            correct(of(device), device, reserved);
        shim_unlock(SHIM_LOCK_GRAPHS);
    }
}

void graph_memory_launched(CUdevice device, uint64_t bytes)
{
    if (!is_valid(device))
        return;
    shim_lock(SHIM_LOCK_GRAPHS);
    struct graph_memory *memory = of(device);
    memory->launching -= bytes < memory->launching ? bytes : memory->launching;
    memory->changes++;
    shim_unlock(SHIM_LOCK_GRAPHS);
    settle(device);
}

void graph_memory_look(void)
{
    if (!atomic_load(&any_owes))
        return;
    atomic_store(&any_owes, false);
    for (CUdevice device = 0; device < DEVICES_MAX; device++) {
        shim_lock(SHIM_LOCK_GRAPHS);
        bool owes = of(device)->owes;
        shim_unlock(SHIM_LOCK_GRAPHS);
        if (owes)
            settle(device);
    }
}

bool graph_memory_reclaim(CUdevice device)
{
    if (!is_valid(device) || !REAL(cuDeviceGraphMemTrim))
        return false;
    shim_lock(SHIM_LOCK_GRAPHS);
    uint64_t before = of(device)->account.bytes;
    shim_unlock(SHIM_LOCK_GRAPHS);
    if (before == 0 || REAL(cuDeviceGraphMemTrim)(device) != CUDA_SUCCESS)
        return false;
    graph_memory_trimmed(device);
    shim_lock(SHIM_LOCK_GRAPHS);
    uint64_t after = of(device)->account.bytes;
    shim_unlock(SHIM_LOCK_GRAPHS);
    return after < before;
}

uint64_t graph_memory_trims(CUdevice device)
{
    return is_valid(device) ? atomic_load(&trims[device]) + 1 : 1;
}

void graph_memory_trimmed(CUdevice device)
{
    if (is_valid(device))
        atomic_fetch_add(&trims[device], 1);
    graph_memory_launched(device, 0);
}
