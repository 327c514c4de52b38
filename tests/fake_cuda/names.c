/* SPDX-License-Identifier: Apache-2.0 */
/* Every function by its name, and by name and version; see fake.h. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

typedef void any_function(void);

static const struct {
    const char *name;
    any_function *function;
} functions[] = {
#define ROW(name)  {#name, (any_function *)name},
#define HOOK(name) ROW(name)
#define OWN(name)  ROW(name)
#define USED(name) ROW(name)
#include "own.def"
#include "tools/cuda/hooks.def"
};

/* From which version of the interface on a plain name means another function (cudaTypedefs.h);
 * the last row that is not too new counts. All others have one meaning since ever. */
static const struct {
    const char *name;
    int version;
    const char *means;
} versions[] = {
    {"cuArray3DCreate", 3020, "cuArray3DCreate_v2"},
    {"cuArrayCreate", 3020, "cuArrayCreate_v2"},
    {"cuCtxCreate", 3020, "cuCtxCreate_v2"},
    {"cuCtxCreate", 11040, "cuCtxCreate_v3"},
    {"cuCtxCreate", 12050, "cuCtxCreate_v4"},
    {"cuCtxDestroy", 4000, "cuCtxDestroy_v2"},
    {"cuCtxPopCurrent", 4000, "cuCtxPopCurrent_v2"},
    {"cuCtxPushCurrent", 4000, "cuCtxPushCurrent_v2"},
    {"cuCtxSynchronize", 13000, "cuCtxSynchronize_v2"},
    {"cuDeviceGetUuid", 11040, "cuDeviceGetUuid_v2"},
    {"cuDevicePrimaryCtxRelease", 11000, "cuDevicePrimaryCtxRelease_v2"},
    {"cuDevicePrimaryCtxReset", 11000, "cuDevicePrimaryCtxReset_v2"},
    {"cuDeviceTotalMem", 3020, "cuDeviceTotalMem_v2"},
    {"cuGetProcAddress", 12000, "cuGetProcAddress_v2"},
    {"cuGraphInstantiate", 11000, "cuGraphInstantiate_v2"},
    {"cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"},
    {"cuIpcOpenMemHandle", 11000, "cuIpcOpenMemHandle_v2"},
    {"cuMemAlloc", 3020, "cuMemAlloc_v2"},
    {"cuMemAllocPitch", 3020, "cuMemAllocPitch_v2"},
    {"cuMemFree", 3020, "cuMemFree_v2"},
    {"cuMemGetInfo", 3020, "cuMemGetInfo_v2"},
    {"cuStreamBeginCapture", 10010, "cuStreamBeginCapture_v2"},
    {"cuStreamDestroy", 4000, "cuStreamDestroy_v2"},
};

enum { PER_THREAD = 2 };

static any_function *function_of(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (!strcmp(functions[i].name, name))
            return functions[i].function;
    }
    return NULL;
}

static any_function *by_name(const char *symbol, int version, uint64_t flags)
{
    const char *name = symbol;
    char with_suffix[128];
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (!strcmp(versions[i].name, symbol) && versions[i].version <= version)
            name = versions[i].means;
    }
    snprintf(with_suffix, sizeof(with_suffix), "%s_ptsz", name);
    any_function *function = flags & PER_THREAD ? function_of(with_suffix) : NULL;
    return function ? function : function_of(name);
}

API CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, uint64_t flags,
                                 int *status)
{
    if (!symbol || !*symbol || !address || version == 0)
        return CUDA_ERROR_INVALID_VALUE;
    any_function *function = by_name(symbol, version, flags);
    *address = (void *)(uintptr_t)function;
    if (status)
        *status = function ? 0 : 1;
    /* With room for a status, what is unknown is no error. */
    return function || status ? CUDA_SUCCESS : NOT_FOUND;
}

CUresult fake_cuda_ask(const char *symbol, void **address, int version, uint64_t flags, int *status)
{
    return cuGetProcAddress_v2(symbol, address, version, flags, status);
}

API CUresult cuGetProcAddress(const char *symbol, void **address, int version, uint64_t flags)
{
    return cuGetProcAddress_v2(symbol, address, version, flags, NULL);
}
