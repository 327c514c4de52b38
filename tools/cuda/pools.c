/* SPDX-License-Identifier: Apache-2.0 */
/* Records of pools; see pools.h. The driver reserves in steps of 32 MiB, and gives back at a
 * synchronize; its figure of used bytes is wrong after cuMemFree, so count them here. */
#include "pools.h"

#include <stdatomic.h>
#include <stdlib.h>

#define STEP_BYTES (32 * MIB)

struct pool {
    struct pool *next;
    CUmemoryPool handle;
    CUdevice device;
    bool charged, gone;
    struct account account;
    uint64_t live;
    uint64_t changes; /* of live and account */
};

/* Never freed: entries point to them, and a program has few. */
static struct pool *_Atomic pools;
static atomic_int captures;
static atomic_bool any_loose; /* some pool may hold more than is live */

static struct pool *find(CUmemoryPool handle)
{
    struct pool *pool = atomic_load(&pools);
    while (pool && (pool->handle != handle || pool->gone))
        pool = pool->next;
    return pool;
}

/* Call with the lock held. */
static struct pool *make(CUmemoryPool handle, CUdevice device, bool charged)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->handle = handle;
    pool->device = device;
    pool->charged = charged;
    pool->next = atomic_load(&pools);
    atomic_store(&pools, pool);
    return pool;
}

struct pool *pools_of(CUmemoryPool handle, CUdevice device)
{
    shim_lock(SHIM_LOCK_POOLS);
    struct pool *pool = find(handle);
    if (!pool)
        pool = make(handle, device, true);
    shim_unlock(SHIM_LOCK_POOLS);
    return pool && pool->charged ? pool : NULL;
}

void pools_created(CUmemoryPool handle, CUdevice device, bool charged)
{
    shim_lock(SHIM_LOCK_POOLS);
    struct pool *old = find(handle);
    if (old)
        old->gone = true;
    make(handle, device, charged);
    shim_unlock(SHIM_LOCK_POOLS);
}

/* The driver's figure, which costs 40 ns. Without it, what is charged. */
static uint64_t reserved(const struct pool *pool)
{
    uint64_t bytes = pool->account.bytes;
    if (REAL(cuMemPoolGetAttribute))
        REAL(cuMemPoolGetAttribute)(pool->handle, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes);
    return bytes;
}

/* Call with the lock held: of a parent before a fork. */
static void begin(struct pool *pool)
{
    if (!account_is_ours(&pool->account)) {
        pool->account = (struct account){0};
        pool->live = 0;
    }
}

CUresult pools_reserve(struct pool *pool, uint64_t bytes)
{
    shim_lock(SHIM_LOCK_POOLS);
    begin(pool);
    CUresult r = CUDA_SUCCESS;
    uint64_t wanted = pool->live + bytes, has = pool->account.bytes;
    if (wanted < bytes)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    else if (wanted > has) {
        uint64_t steps = (wanted - has + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        r = account_add(&pool->account, pool->device, steps);
        if (r == CUDA_ERROR_OUT_OF_MEMORY && steps != wanted - has)
            r = account_add(&pool->account, pool->device, wanted - has);
    }
    if (r == CUDA_SUCCESS)
        pool->live += bytes;
    pool->changes++;
    shim_unlock(SHIM_LOCK_POOLS);
    return r;
}

/* Make the charge what the pool has reserved, or what is live where another thread is about to
 * allocate that. Ask the driver without the lock, and again if the pool has changed meantime. */
static CUresult settle(struct pool *pool, bool only_more)
{
    for (;;) {
        shim_lock(SHIM_LOCK_POOLS);
        uint64_t changes = pool->changes;
        shim_unlock(SHIM_LOCK_POOLS);
        uint64_t now = reserved(pool);
        shim_lock(SHIM_LOCK_POOLS);
        bool again = changes != pool->changes && !pool->gone;
        uint64_t has = pool->account.bytes, needed = now > pool->live ? now : pool->live;
        CUresult r = CUDA_SUCCESS;
        if (!again && !pool->gone && needed > has)
            r = account_add(&pool->account, pool->device, needed - has);
        else if (!again && !pool->gone && !only_more)
            account_take(&pool->account, has - needed);
        shim_unlock(SHIM_LOCK_POOLS);
        if (!again)
            return r;
    }
}

CUresult pools_settle(struct pool *pool)
{
    return settle(pool, true);
}

void pools_freed(struct pool *pool, uint64_t bytes)
{
    shim_lock(SHIM_LOCK_POOLS);
    begin(pool);
    pool->live -= bytes < pool->live ? bytes : pool->live;
    pool->changes++;
    atomic_store(&any_loose, true);
    shim_unlock(SHIM_LOCK_POOLS);
}

void pools_shrink(struct pool *pool)
{
    if (REAL(cuMemPoolTrimTo))
        REAL(cuMemPoolTrimTo)(pool->handle, (size_t)pool->live);
    settle(pool, false);
}

void pools_destroyed(CUmemoryPool handle)
{
    shim_lock(SHIM_LOCK_POOLS);
    struct pool *pool = find(handle);
    if (pool) {
        begin(pool);
        account_end(&pool->account);
        pool->gone = true;
    }
    shim_unlock(SHIM_LOCK_POOLS);
}

static bool is_loose(struct pool *pool)
{
    shim_lock(SHIM_LOCK_POOLS);
    bool loose = !pool->gone && pool->account.bytes > pool->live;
    shim_unlock(SHIM_LOCK_POOLS);
    return loose;
}

/* The driver gives back when a stream reaches the free, and at a later trim what it kept until
 * then: look as long as there is something to give. */
void pools_look(void)
{
    if (!atomic_load(&any_loose))
        return;
    atomic_store(&any_loose, false);
    for (struct pool *pool = atomic_load(&pools); pool; pool = pool->next) {
        if (!is_loose(pool))
            continue;
        settle(pool, false);
        if (is_loose(pool))
            atomic_store(&any_loose, true);
    }
}

void pools_capture(int change)
{
    atomic_fetch_add(&captures, change);
}

bool pools_reclaim(void)
{
    bool waited = false;
    uint64_t before = 0, after = 0;
    if (atomic_load(&captures) > 0)
        return false;
    for (struct pool *pool = atomic_load(&pools); pool; pool = pool->next) {
        if (pool->gone || pool->account.bytes <= pool->live)
            continue;
        if (!waited && REAL(cuCtxSynchronize))
            REAL(cuCtxSynchronize)();
        waited = true;
        before += pool->account.bytes;
        pools_shrink(pool);
        after += pool->account.bytes;
    }
    return after < before;
}
