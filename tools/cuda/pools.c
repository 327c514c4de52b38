/* SPDX-License-Identifier: Apache-2.0 */
/* Records of pools; see pools.h. The driver reserves in steps of 32 MiB, also where only less is
 * free (measured on an H200), and gives back at a synchronize; its figure of used bytes is wrong
 * after cuMemFree, so count them here. */
#include "pools.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define STEP_BYTES (32 * MIB)

struct pool {
    struct pool *next;
    CUmemoryPool handle;
    CUdevice device;
    bool charged;
    atomic_bool gone; /* destroyed; the driver does not know the handle any more */
    struct account account;
    uint64_t live;
    _Atomic uint64_t changes; /* of live and account */
    bool owes;                /* it has reserved more than could be charged */
    atomic_int asking;        /* threads that ask the driver about it now */
    pid_t process;
};

/* Never freed: entries point to them, and a program has few. */
static struct pool *_Atomic pools;
static atomic_bool any_loose; /* some pool may hold more than is live */

/* Not of a parent before a fork: what those have is charged there. */
static bool is_ours(const struct pool *pool)
{
    return pool->process == shim_process();
}

static struct pool *find(CUmemoryPool handle)
{
    struct pool *pool = atomic_load(&pools);
    while (pool && (pool->handle != handle || pool->gone || !is_ours(pool)))
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
    pool->process = shim_process();
    pool->next = atomic_load(&pools);
    atomic_store(&pools, pool);
    return pool;
}

/* The device that this is the pool of; -1: of none, it is the program's. */
static CUdevice owner_of(CUmemoryPool handle)
{
    CUmemoryPool its = NULL;
    for (CUdevice device = 0; device < DEVICES_MAX && REAL(cuDeviceGetDefaultMemPool); device++) {
        if (REAL(cuDeviceGetDefaultMemPool)(&its, device) != CUDA_SUCCESS)
            break;
        if (its == handle)
            return device;
    }
    return -1;
}

static struct pool *known(CUmemoryPool handle, CUdevice device, bool charged)
{
    shim_lock(SHIM_LOCK_POOLS);
    struct pool *pool = find(handle);
    if (!pool)
        pool = make(handle, device, charged);
    shim_unlock(SHIM_LOCK_POOLS);
    return pool && pool->charged ? pool : NULL;
}

struct pool *pools_of(CUmemoryPool handle, CUdevice device)
{
    struct pool *pool = find(handle); /* records stay, so this needs no lock */
    if (pool)
        return pool->charged ? pool : NULL;
    CUdevice owner = owner_of(handle);
    return known(handle, owner >= 0 ? owner : device, true);
}

void pools_known(CUmemoryPool handle, CUdevice device, bool charged)
{
    known(handle, device, charged);
}

void pools_created(CUmemoryPool handle, CUdevice device, bool charged)
{
    shim_lock(SHIM_LOCK_POOLS);
    struct pool *old = find(handle);
    if (old)
        atomic_store(&old->gone, true);
    make(handle, device, charged);
    shim_unlock(SHIM_LOCK_POOLS);
}

/* Begin to ask the driver about the pool. False: it is gone, and its handle may be another's. */
static bool ask(struct pool *pool)
{
    atomic_fetch_add(&pool->asking, 1);
    if (!atomic_load(&pool->gone) && is_ours(pool))
        return true;
    atomic_fetch_sub(&pool->asking, 1);
    return false;
}

static void asked(struct pool *pool)
{
    atomic_fetch_sub(&pool->asking, 1);
}

/* The driver's figure, which costs 40 ns. False: there is none, so what is charged stays. */
static bool read_reserved(struct pool *pool, uint64_t *ret_bytes)
{
    if (!REAL(cuMemPoolGetAttribute) || !ask(pool))
        return false;
    CUresult r =
        REAL(cuMemPoolGetAttribute)(pool->handle, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, ret_bytes);
    asked(pool);
    return r == CUDA_SUCCESS;
}

CUresult pools_reserve(struct pool *pool, uint64_t bytes)
{
    shim_lock(SHIM_LOCK_POOLS);
    CUresult r = CUDA_SUCCESS;
    uint64_t wanted = pool->live + bytes, has = pool->account.bytes;
    if (wanted < bytes)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    else if (wanted > has) {
        uint64_t steps = (wanted - has + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        r = account_add(&pool->account, pool->device, steps);
    }
    if (r == CUDA_SUCCESS)
        pool->live += bytes;
    pool->changes++;
    shim_unlock(SHIM_LOCK_POOLS);
    return r;
}

/* Call with the lock held: whether a look can change its charge. */
static bool is_loose(const struct pool *pool)
{
    return !pool->gone && is_ours(pool) && (pool->owes || pool->account.bytes > pool->live);
}

/* Make the charge what the pool has reserved, and will for what is live already. Ask the driver
 * without the lock, and again if the pool has changed meantime. */
static CUresult settle(struct pool *pool, bool only_more)
{
    CUresult r = CUDA_SUCCESS;
    for (bool again = true; again;) {
        uint64_t changes = atomic_load(&pool->changes), now = 0;
        if (!read_reserved(pool, &now))
            return CUDA_SUCCESS;
        shim_lock(SHIM_LOCK_POOLS);
        again = changes != pool->changes;
        uint64_t has = pool->account.bytes, needed = now;
        if (pool->live > now) /* another thread is about to allocate that */
            needed += (pool->live - now + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        if (!again && needed > has)
            r = account_add_taken(&pool->account, pool->device, needed - has);
        else if (!again && !only_more)
            account_take(&pool->account, has - needed);
        pool->owes = !again && pool->account.bytes < needed;
        if (is_loose(pool))
            atomic_store(&any_loose, true);
        shim_unlock(SHIM_LOCK_POOLS);
    }
    return r;
}

CUresult pools_settle(struct pool *pool)
{
    return settle(pool, true);
}

void pools_freed(struct pool *pool, uint64_t bytes)
{
    if (!is_ours(pool))
        return;
    shim_lock(SHIM_LOCK_POOLS);
    pool->live -= bytes < pool->live ? bytes : pool->live;
    pool->changes++;
    if (pool->gone && pool->live == 0)
        account_end(&pool->account);
    atomic_store(&any_loose, true);
    shim_unlock(SHIM_LOCK_POOLS);
}

void pools_shrink(struct pool *pool)
{
    shim_lock(SHIM_LOCK_POOLS);
    uint64_t live = pool->live;
    shim_unlock(SHIM_LOCK_POOLS);
    if (REAL(cuMemPoolTrimTo) && ask(pool)) {
        REAL(cuMemPoolTrimTo)(pool->handle, (size_t)live);
        asked(pool);
    }
    settle(pool, false);
}

struct pool *pools_end(CUmemoryPool handle)
{
    struct pool *pool = find(handle);
    if (!pool)
        return NULL;
    atomic_store(&pool->gone, true);
    while (atomic_load(&pool->asking) > 0)
        sched_yield();
    return pool;
}

void pools_ended(struct pool *pool, bool destroyed)
{
    if (!pool)
        return;
    shim_lock(SHIM_LOCK_POOLS);
    pool->changes++;
    if (destroyed && pool->live == 0)
        account_end(&pool->account);
    else if (!destroyed)
        atomic_store(&pool->gone, false);
    shim_unlock(SHIM_LOCK_POOLS);
}

void pools_changed(CUmemoryPool handle)
{
    struct pool *pool = find(handle);
    if (pool && pool->charged)
        settle(pool, false);
}

/* Bytes that it holds and the program does not. */
static uint64_t spare(struct pool *pool)
{
    shim_lock(SHIM_LOCK_POOLS);
    uint64_t has = pool->account.bytes, live = pool->live;
    shim_unlock(SHIM_LOCK_POOLS);
    return has > live ? has - live : 0;
}

/* The driver gives back when a stream reaches the free, and at a later trim what it kept until
 * then: look as long as there is something to give. settle() sets the flag again. */
void pools_look(void)
{
    if (!atomic_load(&any_loose))
        return;
    atomic_store(&any_loose, false);
    for (struct pool *pool = atomic_load(&pools); pool; pool = pool->next) {
        shim_lock(SHIM_LOCK_POOLS);
        bool loose = is_loose(pool);
        shim_unlock(SHIM_LOCK_POOLS);
        if (loose)
            settle(pool, false);
    }
}

/* -- waiting ------------------------------------------------------------------------------- */

static atomic_int captures, waits;
static atomic_int
    waiter; /* the process that waits: a child does not wait for its parent's threads */

void pools_capture_begin(void)
{
    atomic_fetch_add(&captures, 1);
    while (atomic_load(&waits) > 0 && atomic_load(&waiter) == shim_process())
        sched_yield();
}

void pools_capture_end(void)
{
    atomic_fetch_sub(&captures, 1);
}

bool pools_wait_begin(void)
{
    atomic_store(&waiter, shim_process());
    atomic_fetch_add(&waits, 1);
    if (atomic_load(&captures) == 0)
        return true;
    atomic_fetch_sub(&waits, 1);
    return false;
}

void pools_wait_end(void)
{
    atomic_fetch_sub(&waits, 1);
}

CUdevice pools_device(const struct pool *pool)
{
    return pool->device;
}

bool pools_reclaim(CUdevice device)
{
    bool waited = false, freed = false;
    CUdevice current;
    for (struct pool *pool = atomic_load(&pools); pool; pool = pool->next) {
        if (pool->gone || !is_ours(pool) || pool->device != device || spare(pool) == 0)
            continue;
        if (!waited && REAL(cuCtxSynchronize) && devices_current(&current) && current == device)
            REAL(cuCtxSynchronize)();
        waited = true;
        uint64_t before = spare(pool);
        pools_shrink(pool);
        freed = freed || spare(pool) < before;
    }
    return freed;
}
