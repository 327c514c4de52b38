/* SPDX-License-Identifier: Apache-2.0 */
/* Charge contexts, and what is made in them until they end; see contexts.h. */
#include "contexts.h"

#include "pools.h"
#include "record.h"
#include "reserve.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Of one device. The first context is the primary one, or the program's first. */
struct contexts {
    struct account account;
    _Atomic uint32_t count;
    _Atomic pid_t process; /* that they belong to: not that of its child */
    bool primary;
    CUcontext _Atomic primary_context;
};
static struct contexts all[DEVICES_MAX];

/* Call with the lock held. */
static struct contexts *of(CUdevice device)
{
    struct contexts *contexts = &all[device];
    if (contexts->process != shim_process()) {
        contexts->account = (struct account){0};
        contexts->primary = false;
        contexts->count = 0;
        contexts->process = shim_process();
    }
    return contexts;
}

/* What the daemon measured for this device and driver; 0: it has no figure. Refused where a charge
 * would be. */
static CUresult read_figure(CUdevice device, uint64_t *ret_bytes)
{
    int partition = devices_partition(device);
    *ret_bytes = 0;
    if (partition < 0)
        return CUDA_SUCCESS;
    const char *directory = shim.environment.directory[partition];
    if (chronos_read_number(directory, "../context", ret_bytes) == 0 || devices_is_there(partition))
        return CUDA_SUCCESS;
    if (shim.environment.allow_unreachable && !chronos_has_ended(directory))
        return CUDA_SUCCESS;
    shim_debug("A context is refused: %s has ended, or does not answer", directory);
    return CUDA_ERROR_NOT_PERMITTED;
}

enum which {
    PRIMARY,   /* unless it is there */
    ANY_FIRST, /* unless there is one */
    ANOTHER,
};

/* Call with the lock held. */
static bool is_wanted(const struct contexts *contexts, enum which which)
{
    return which == ANOTHER || (which == PRIMARY ? !contexts->primary : contexts->count == 0);
}

/* Charge a context. *ret_new: it was not there, so it goes again if the driver refuses. */
static CUresult add(CUdevice device, enum which which, bool *ret_new)
{
    *ret_new = false;
    if (device < 0 || device >= DEVICES_MAX)
        return CUDA_SUCCESS; /* the driver refuses it */
    shim_lock(SHIM_LOCK_CONTEXTS);
    bool wanted = is_wanted(of(device), which);
    shim_unlock(SHIM_LOCK_CONTEXTS);
    uint64_t bytes;
    struct account account = {0};
    CUresult r = wanted ? read_figure(device, &bytes) : CUDA_SUCCESS;
    if (wanted && r == CUDA_SUCCESS)
        r = reserve_bytes(&account, device, bytes);
    if (r != CUDA_SUCCESS || !wanted)
        return r;
    shim_lock(SHIM_LOCK_CONTEXTS);
    struct contexts *contexts = of(device);
    *ret_new = is_wanted(contexts, which);
    if (*ret_new) {
        account_move(&contexts->account, &account, device);
        contexts->count++;
        contexts->primary = contexts->primary || which != ANOTHER;
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

/* Whether the program has a context on a device, not only memory. */
static bool is_active(CUdevice device)
{
    CUdevice current;
    unsigned flags;
    int active = 0;
    if (devices_current(&current) && current == device)
        return true;
    return REAL(cuDevicePrimaryCtxGetState) &&
           REAL(cuDevicePrimaryCtxGetState)(device, &flags, &active) == CUDA_SUCCESS && active;
}

CUresult contexts_note(CUdevice device)
{
    bool is_new;
    if (device < 0 || device >= DEVICES_MAX ||
        (all[device].count > 0 && all[device].process == shim_process()) || !is_active(device))
        return CUDA_SUCCESS;
    return add(device, ANY_FIRST, &is_new);
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

/* Everything that was made in a context goes with it: it was taken out before, because the
 * context's number can come again at once. */
static void ended(CUresult r, struct entry *list)
{
    if (r != CUDA_SUCCESS) {
        record_add_all(list);
        return;
    }
    record_end_all(list);
    reserve_look();
}

/* The same where only the driver knows whether it has ended, and afterwards. */
static void forget(CUcontext context)
{
    ended(CUDA_SUCCESS, entries_take_context(context));
}

/* -- the primary context ---------------------------------------------------------------- */

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    ENTER(cuDevicePrimaryCtxRetain, context, device);
    bool is_new;
    CUresult r = add(device, PRIMARY, &is_new);
    if (r == CUDA_SUCCESS) {
        r = REAL(cuDevicePrimaryCtxRetain)(context, device);
        if (r == CUDA_SUCCESS && device >= 0 && device < DEVICES_MAX)
            all[device].primary_context = *context;
        else if (is_new)
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

#define RELEASE(name)                                                                              \
    ENTER(name, device);                                                                           \
    CUresult r = release(REAL(name)(device), device);                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    RELEASE(cuDevicePrimaryCtxRelease);
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    RELEASE(cuDevicePrimaryCtxRelease_v2);
}

EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
    RELEASE(cuDevicePrimaryCtxReset);
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    RELEASE(cuDevicePrimaryCtxReset_v2);
}

/* -- other contexts ----------------------------------------------------------------------- */

#define CREATE(name, device, ...)                                                                  \
    ENTER(name, __VA_ARGS__);                                                                      \
    bool is_new;                                                                                   \
    CUresult r = add(device, ANOTHER, &is_new);                                                    \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(__VA_ARGS__);                                                               \
        if (r != CUDA_SUCCESS && is_new)                                                           \
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
    struct entry *list = entries_take_context(context);                                            \
    CUresult r = REAL(name)(context);                                                              \
    ended(r, list);                                                                                \
    if (r == CUDA_SUCCESS)                                                                         \
        drop(device, false);                                                                       \
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

/* It ends with the last of its uses, which are not counted here: then it is not current any more.
 */
EXPORT CUresult cuCtxDetach(CUcontext context)
{
    ENTER(cuCtxDetach, context);
    CUdevice device = context && contexts_current() == context ? device_of(context) : -1;
    CUresult r = REAL(cuCtxDetach)(context);
    if (r == CUDA_SUCCESS && device >= 0 && contexts_current() != context) {
        forget(context);
        drop(device, false);
    }
    shim_leave();
    return r;
}

/* -- the stack ------------------------------------------------------------------------------ */

/* What all threads of the device need for so many bytes more of stack: the driver takes and gives
 * it at once (measured on an H100 and an H200). */
static uint64_t stack_bytes(CUdevice device, uint64_t size)
{
    int processors = 0, threads = 0;
    if (!REAL(cuDeviceGetAttribute))
        return 0;
    REAL(cuDeviceGetAttribute)(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
    REAL(cuDeviceGetAttribute)
    (&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, device);
    return shim_product(shim_product(size, (unsigned)processors), (unsigned)threads);
}

/* Take out the entry of the current context's stacks: `bytes` is their size at first, which the
 * context pays for. */
static struct entry *take_stack(CUcontext context, CUdevice device)
{
    size_t bytes = 0;
    struct entry *entry = entries_take(ENTRY_STACK, (uint64_t)(uintptr_t)context);
    if (entry || !(entry = entries_new(ENTRY_STACK, device)))
        return entry;
    if (REAL(cuCtxGetLimit))
        REAL(cuCtxGetLimit)(&bytes, CU_LIMIT_STACK_SIZE);
    entry->context = context;
    entry->bytes = bytes;
    return entry;
}

static CUresult set_stack_alone(size_t value)
{
    CUdevice device;
    CUresult r = contexts_device(&device);
    if (r != CUDA_SUCCESS || device < 0)
        return r != CUDA_SUCCESS ? r : REAL(cuCtxSetLimit)(CU_LIMIT_STACK_SIZE, value);
    CUcontext context = contexts_current();
    struct entry *entry = take_stack(context, device);
    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t has = entry->account.bytes;
    uint64_t needed = value > entry->bytes ? stack_bytes(device, value - entry->bytes) : 0;
    if (needed > has)
        r = reserve_bytes(&entry->account, device, needed - has);
    if (r == CUDA_SUCCESS) {
        r = REAL(cuCtxSetLimit)(CU_LIMIT_STACK_SIZE, value);
        uint64_t keep = r == CUDA_SUCCESS ? needed : has;
        if (entry->account.bytes > keep)
            account_take(&entry->account, entry->account.bytes - keep);
    }
    record_add(entry, (uint64_t)(uintptr_t)context);
    return r;
}

/* One thread at a time: the entry is out of the table then, and another thread would begin with
 * what this one has set. Nothing else waits for this lock. */
static CUresult set_stack(size_t value)
{
    static atomic_int lock;
    shim_lock_once(&lock);
    CUresult r = set_stack_alone(value);
    shim_unlock_once(&lock);
    return r;
}

EXPORT CUresult cuCtxSetLimit(int limit, size_t value)
{
    ENTER(cuCtxSetLimit, limit, value);
    CUresult r =
        limit == CU_LIMIT_STACK_SIZE ? set_stack(value) : REAL(cuCtxSetLimit)(limit, value);
    shim_leave();
    return r;
}
