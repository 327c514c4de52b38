/* SPDX-License-Identifier: Apache-2.0 */
/* Charge contexts, and what is made in them until they end; see contexts.h. */
#include "contexts.h"

#include "blocks.h"
#include "pools.h"
#include "reserve.h"

#include <stdlib.h>

/* Of one device. The first context is the primary one, or the program's first. */
struct contexts {
    struct account account;
    uint32_t count;
    bool primary;
    CUcontext primary_context;
};
static struct contexts all[DEVICES_MAX];

/* Call with the lock held. */
static struct contexts *of(CUdevice device)
{
    struct contexts *contexts = &all[device];
    if (!account_is_ours(&contexts->account))
        *contexts = (struct contexts){.count = 0};
    return contexts;
}

/* What the daemon measured for this device and driver. 0: it has no figure. */
static uint64_t context_bytes(CUdevice device)
{
    uint64_t bytes = 0;
    int partition = devices_partition(device);
    if (partition >= 0)
        chronos_read_number(shim.environment.directory[partition], "../context", &bytes);
    return bytes;
}

static CUresult add(CUdevice device, bool primary, bool only_first)
{
    if (device < 0 || device >= DEVICES_MAX)
        return CUDA_SUCCESS; /* the driver refuses it */
    struct account account = {0};
    CUresult r = reserve_bytes(&account, device, context_bytes(device));
    if (r != CUDA_SUCCESS)
        return r;
    shim_lock(SHIM_LOCK_CONTEXTS);
    struct contexts *contexts = of(device);
    bool is_new = !(only_first && contexts->count > 0) && !(primary && contexts->primary);
    if (is_new) {
        account_move(&contexts->account, &account);
        contexts->count++;
        contexts->primary = contexts->primary || primary;
    }
    shim_unlock(SHIM_LOCK_CONTEXTS);
    account_end(&account); /* another thread was first */
    return CUDA_SUCCESS;
}

/* One context less, and the bytes of one. */
static void drop(CUdevice device, bool primary)
{
    if (device < 0 || device >= DEVICES_MAX)
        return;
    shim_lock(SHIM_LOCK_CONTEXTS);
    struct contexts *contexts = of(device);
    if (contexts->count > 0 && (!primary || contexts->primary)) {
        account_take(&contexts->account, contexts->account.bytes / contexts->count);
        contexts->count--;
        contexts->primary = contexts->primary && !primary;
    }
    shim_unlock(SHIM_LOCK_CONTEXTS);
}

CUresult contexts_note(CUdevice device)
{
    if (device >= 0 && device < DEVICES_MAX && all[device].count > 0 &&
        account_is_ours(&all[device].account))
        return CUDA_SUCCESS;
    return add(device, true, true);
}

CUresult contexts_device(CUdevice *ret_device)
{
    if (!devices_current(ret_device)) {
        *ret_device = -1;
        return CUDA_SUCCESS;
    }
    return contexts_note(*ret_device);
}

CUcontext contexts_current(void)
{
    CUcontext context = NULL;
    if (REAL(cuCtxGetCurrent))
        REAL(cuCtxGetCurrent)(&context);
    return context;
}

/* Everything that was made in a context went with it. */
static void forget(CUcontext context)
{
    for (struct entry *entry = entries_take_context(context), *next; entry; entry = next) {
        next = entry->next;
        if (entry->small)
            blocks_remove(entry->device, entry->key);
        else if (entry->pool)
            pools_freed(entry->pool, entry->bytes);
        else
            account_end(&entry->account);
        free(entry);
    }
    pools_look();
}

/* -- the primary context ---------------------------------------------------------------- */

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    ENTER(cuDevicePrimaryCtxRetain, context, device);
    unsigned flags;
    int active = 0;
    if (REAL(cuDevicePrimaryCtxGetState))
        REAL(cuDevicePrimaryCtxGetState)(device, &flags, &active);
    CUresult r = active ? contexts_note(device) : add(device, true, false);
    if (r == CUDA_SUCCESS) {
        r = REAL(cuDevicePrimaryCtxRetain)(context, device);
        if (r == CUDA_SUCCESS && device >= 0 && device < DEVICES_MAX)
            all[device].primary_context = *context;
        else if (!active)
            drop(device, true);
    }
    shim_leave();
    return r;
}

static CUresult release(CUresult r, CUdevice device)
{
    unsigned flags;
    int active = 1;
    if (r != CUDA_SUCCESS || device < 0 || device >= DEVICES_MAX)
        return r;
    if (REAL(cuDevicePrimaryCtxGetState))
        REAL(cuDevicePrimaryCtxGetState)(device, &flags, &active);
    if (!active) {
        forget(all[device].primary_context);
        drop(device, true);
    }
    return r;
}

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    ENTER(cuDevicePrimaryCtxRelease, device);
    CUresult r = release(REAL(cuDevicePrimaryCtxRelease)(device), device);
    shim_leave();
    return r;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    ENTER(cuDevicePrimaryCtxRelease_v2, device);
    CUresult r = release(REAL(cuDevicePrimaryCtxRelease_v2)(device), device);
    shim_leave();
    return r;
}

EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
    ENTER(cuDevicePrimaryCtxReset, device);
    CUresult r = release(REAL(cuDevicePrimaryCtxReset)(device), device);
    shim_leave();
    return r;
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    ENTER(cuDevicePrimaryCtxReset_v2, device);
    CUresult r = release(REAL(cuDevicePrimaryCtxReset_v2)(device), device);
    shim_leave();
    return r;
}

/* -- other contexts ----------------------------------------------------------------------- */

#define CREATE(name, device, ...)                                                                  \
    ENTER(name, __VA_ARGS__);                                                                      \
    CUresult r = add(device, false, false);                                                        \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(__VA_ARGS__);                                                               \
        if (r != CUDA_SUCCESS)                                                                     \
            drop(device, false);                                                                   \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuCtxCreate(CUcontext *context, unsigned int flags, CUdevice device)
{
    CREATE(cuCtxCreate, device, context, flags, device);
}

EXPORT CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device)
{
    CREATE(cuCtxCreate_v2, device, context, flags, device);
}

EXPORT CUresult cuCtxCreate_v3(CUcontext *context, CUexecAffinityParam *params, int count,
                               unsigned int flags, CUdevice device)
{
    CREATE(cuCtxCreate_v3, device, context, params, count, flags, device);
}

EXPORT CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned int flags,
                               CUdevice device)
{
    CREATE(cuCtxCreate_v4, device, context, params, flags, device);
}

/* Only the current context's device can be asked for. */
static CUdevice device_of(CUcontext context)
{
    CUdevice device = -1;
    CUcontext before = contexts_current();
    if (before == context)
        return devices_current(&device) ? device : -1;
    if (REAL(cuCtxPushCurrent_v2) && REAL(cuCtxPopCurrent_v2) &&
        REAL(cuCtxPushCurrent_v2)(context) == CUDA_SUCCESS) {
        device = devices_current(&device) ? device : -1;
        REAL(cuCtxPopCurrent_v2)(&before);
    }
    return device;
}

#define DESTROY(name)                                                                              \
    ENTER(name, context);                                                                          \
    CUdevice device = context ? device_of(context) : -1;                                           \
    CUresult r = REAL(name)(context);                                                              \
    if (r == CUDA_SUCCESS) {                                                                       \
        forget(context);                                                                           \
        drop(device, false);                                                                       \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuCtxDestroy(CUcontext context)
{
    DESTROY(cuCtxDestroy);
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context)
{
    DESTROY(cuCtxDestroy_v2);
}

/* -- the stack ------------------------------------------------------------------------------ */

/* What all threads of the device need for this size of a stack: the driver takes and gives the
 * difference at once (measured on an H100 and an H200). */
static uint64_t stack_bytes(CUdevice device, size_t size)
{
    int processors = 0, threads = 0;
    if (!REAL(cuDeviceGetAttribute))
        return 0;
    REAL(cuDeviceGetAttribute)(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
    REAL(cuDeviceGetAttribute)
    (&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, device);
    return shim_product(shim_product(size, (unsigned)processors), (unsigned)threads);
}

/* Add to what the context's stacks beyond the first size are charged, and take from it. */
static void note_stack(CUdevice device, struct account *more, uint64_t less)
{
    CUcontext context = contexts_current();
    uint64_t key = (uint64_t)(uintptr_t)context;
    struct entry *entry = entries_hold(ENTRY_STACK, key);
    if (entry) {
        account_move(&entry->account, more);
        account_take(&entry->account, less);
        entries_release(ENTRY_STACK, key);
    } else if ((entry = entries_new(ENTRY_STACK, device))) {
        account_move(&entry->account, more);
        entry->context = context;
        entries_add(entry, key);
    }
}

static CUresult set_stack(CUdevice device, size_t before, size_t value)
{
    struct account more = {0};
    CUresult r = value > before ? reserve_bytes(&more, device, stack_bytes(device, value - before))
                                : CUDA_SUCCESS;
    if (r != CUDA_SUCCESS)
        return r;
    r = REAL(cuCtxSetLimit)(CU_LIMIT_STACK_SIZE, value);
    if (r == CUDA_SUCCESS)
        note_stack(device, &more, value < before ? stack_bytes(device, before - value) : 0);
    account_end(&more);
    return r;
}

EXPORT CUresult cuCtxSetLimit(int limit, size_t value)
{
    ENTER(cuCtxSetLimit, limit, value);
    CUdevice device;
    size_t before = 0;
    CUresult r = contexts_device(&device);
    if (r == CUDA_SUCCESS && limit == CU_LIMIT_STACK_SIZE && device >= 0 && REAL(cuCtxGetLimit) &&
        REAL(cuCtxGetLimit)(&before, limit) == CUDA_SUCCESS)
        r = set_stack(device, before, value);
    else if (r == CUDA_SUCCESS)
        r = REAL(cuCtxSetLimit)(limit, value);
    shim_leave();
    return r;
}
