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

/* What the driver reserves for them. */
static uint64_t steps(uint64_t bytes)
{
    return bytes > UINT64_MAX - STEP_BYTES ? UINT64_MAX
                                           : (bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
}

CUresult pools_reserve(struct pool *pool, uint64_t bytes)
{
    shim_lock(SHIM_LOCK_POOLS);
    CUresult r = CUDA_SUCCESS;
    uint64_t wanted = pool->live + bytes, has = pool->account.bytes;
    if (wanted < bytes)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    else if (wanted > has)
        r = account_add(&pool->account, pool->device, steps(wanted - has));
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
 * without the lock, and again if the pool has changed since. With only_more, what does not fit is
 * about to be taken back: then charge nothing of it. */
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
            needed += steps(pool->live - now);
        if (!again && needed > has)
            r = (only_more ? account_add : account_add_taken)(&pool->account, pool->device,
                                                              needed - has);
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

/* One number, so that a child begins without those of its parent: the process, the captures and the
 * waits that go on in it. */
enum { COUNT_BITS = 21 };
#define CAPTURE (1ull << COUNT_BITS)
#define WAIT    1ull
static _Atomic uint64_t going_on;

static uint64_t counts(uint64_t now)
{
    bool ours = now >> (2 * COUNT_BITS) == (uint64_t)shim_process();
    return ours ? now & ((CAPTURE << COUNT_BITS) - 1) : 0;
}

static uint64_t captures(uint64_t now)
{
    return counts(now) / CAPTURE;
}

static uint64_t waits(uint64_t now)
{
    return counts(now) % CAPTURE;
}

static void change(uint64_t begin, uint64_t end)
{
    uint64_t before = atomic_load(&going_on), after;
    do {
        after = counts(before) + begin;
        bool parents = end == CAPTURE ? captures(before) == 0 : waits(before) == 0;
        after -= parents ? 0 : end;
        after |= (uint64_t)shim_process() << (2 * COUNT_BITS);
    } while (!atomic_compare_exchange_weak(&going_on, &before, after));
}

void pools_capture_begin(void)
{
    change(CAPTURE, 0);
    while (waits(atomic_load(&going_on)) > 0)
        sched_yield();
}

void pools_capture_end(void)
{
    change(0, CAPTURE);
}

bool pools_wait_begin(void)
{
    change(WAIT, 0);
    if (captures(atomic_load(&going_on)) == 0)
        return true;
    change(0, WAIT);
    return false;
}

void pools_wait_end(void)
{
    change(0, WAIT);
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
