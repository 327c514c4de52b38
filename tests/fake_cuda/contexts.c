/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts of the made-up driver; see fake.h. */
#include "fake.h"

#include <stdlib.h>

static __thread CUcontext current;
static struct CUctx_st primaries[DEVICES];

CUcontext fake_context(void)
{
    return fake_usable() ? current : NULL;
}

API CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = fake_context();
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

static __thread CUcontext pushed[16];
static __thread int pushes;

API CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    if (context->gone || pushes == 16)
        return INVALID_CONTEXT;
    pushed[pushes++] = current;
    current = context;
    return CUDA_SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    if (context)
        *context = current;
    current = pushes > 0 ? pushed[--pushes] : NULL;
    return CUDA_SUCCESS;
}

API CUresult cuCtxGetDevice(CUdevice *device)
{
    CUcontext context = fake_context();
    if (!context || context->gone)
        return INVALID_CONTEXT;
    *device = context->device;
    return CUDA_SUCCESS;
}

static CUresult make_context(CUcontext *context, CUdevice device)
{
    CUresult r = fake_check(device);
    CUcontext made = calloc(1, sizeof(*made));
    if (r != CUDA_SUCCESS || !made) {
        free(made);
        return r;
    }
    fake_lock();
    bool fits = fake_take(device, CONTEXT);
    fake_unlock();
    if (!fits) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *made = (struct CUctx_st){.device = device, .stack = 1024, .attached = 1};
    current = *context = made;
    return CUDA_SUCCESS;
}

API CUresult cuCtxCreate(CUcontext *context, unsigned flags, CUdevice device)
{
    (void)flags;
    return make_context(context, device);
}

API CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    (void)flags;
    return make_context(context, device);
}

API CUresult cuCtxCreate_v3(CUcontext *context, CUexecAffinityParam *params, int count,
                            unsigned flags, CUdevice device)
{
    (void)params, (void)count, (void)flags;
    return make_context(context, device);
}

API CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned flags,
                            CUdevice device)
{
    (void)params, (void)flags;
    return make_context(context, device);
}

static void end_piece(struct piece *piece, const void *context)
{
    if (piece->context == context)
        fake_piece_end(piece, NULL);
}

/* Everything of a context goes with it. Call with the lock held. */
static void end_context(CUcontext context)
{
    fake_piece_each(end_piece, context);
    fake_give(context->device, CONTEXT + context->stack_taken);
    context->stack_taken = 0;
}

API CUresult cuCtxDestroy_v2(CUcontext context)
{
    if (!context || context->gone)
        return INVALID_CONTEXT;
    fake_lock();
    end_context(context);
    context->gone = true;
    fake_unlock();
    if (current == context)
        current = NULL;
    return CUDA_SUCCESS;
}

API CUresult cuCtxDestroy(CUcontext context)
{
    return cuCtxDestroy_v2(context);
}

API CUresult cuCtxDetach(CUcontext context)
{
    if (!context || context->gone)
        return INVALID_CONTEXT;
    return --context->attached > 0 ? CUDA_SUCCESS : cuCtxDestroy_v2(context);
}

API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    CUresult r = fake_check(device);
    if (r != CUDA_SUCCESS)
        return r;
    fake_lock();
    if (fake_devices[device].primary == 0) {
        r = fake_take(device, CONTEXT) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
        primaries[device] = (struct CUctx_st){.device = device, .stack = 1024};
    }
    if (r == CUDA_SUCCESS) {
        fake_devices[device].primary++;
        *context = &primaries[device];
    }
    fake_unlock();
    return r;
}

API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    CUresult r = fake_check(device);
    *flags = 0;
    *active = r == CUDA_SUCCESS && fake_devices[device].primary > 0;
    return r;
}

static CUresult release_primary(CUdevice device, bool all)
{
    CUresult r = fake_check(device);
    if (r != CUDA_SUCCESS)
        return r;
    fake_lock();
    if (fake_devices[device].primary > 0) {
        fake_devices[device].primary = all ? 0 : fake_devices[device].primary - 1;
        if (fake_devices[device].primary == 0)
            end_context(&primaries[device]);
    } else {
        r = INVALID_CONTEXT;
    }
    fake_unlock();
    return r;
}

API CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    return release_primary(device, false);
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    return release_primary(device, false);
}

API CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
    return release_primary(device, true);
}

API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    return release_primary(device, true);
}

/* -- the stack ------------------------------------------------------------------------ */

API CUresult cuCtxGetLimit(size_t *value, int limit)
{
    CUcontext context = fake_context();
    if (!context)
        return INVALID_CONTEXT;
    *value = limit == CU_LIMIT_STACK_SIZE ? context->stack : 0;
    return CUDA_SUCCESS;
}

API CUresult cuCtxSetLimit(int limit, size_t value)
{
    CUcontext context = fake_context();
    if (!context)
        return INVALID_CONTEXT;
    if (limit != CU_LIMIT_STACK_SIZE)
        return CUDA_SUCCESS;
    uint64_t before = (uint64_t)context->stack * FAKE_THREADS, after = value * FAKE_THREADS;
    fake_lock();
    bool fits = after <= before || fake_take(context->device, after - before);
    if (after < before)
        fake_give(context->device, before - after);
    fake_unlock();
    if (!fits)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->stack = value;
    context->stack_taken += after - before; /* below 0 for smaller ones than at first */
    return CUDA_SUCCESS;
}
