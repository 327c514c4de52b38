/* SPDX-License-Identifier: Apache-2.0 */
/* A library that looks the driver up by itself, as CUDA's runtime does. Opened with RTLD_DEEPBIND
 * or dlmopen it does not see the shim. */
#include "tools/cuda/driver.h"

#include <dlfcn.h>
#include <string.h>

#define API __attribute__((visibility("default")))

static void *find(void *driver, const char *name, void *ret_function)
{
    void *address = dlsym(driver, name);
    memcpy(ret_function, &address, sizeof(address));
    return address;
}

/* Allocate memory of the first device. Return the error; -1: no driver. */
API int finder_alloc(size_t bytes);
API int finder_alloc(size_t bytes)
{
    CUresult (*init)(unsigned);
    CUresult (*retain)(CUcontext *, CUdevice);
    CUresult (*set_current)(CUcontext);
    CUresult (*alloc)(CUdeviceptr *, size_t);
    CUcontext context;
    CUdeviceptr pointer;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver || !find(driver, "cuInit", &init) ||
        !find(driver, "cuDevicePrimaryCtxRetain", &retain) ||
        !find(driver, "cuCtxSetCurrent", &set_current) || !find(driver, "cuMemAlloc_v2", &alloc))
        return -1;
    CUresult r = init(0);
    if (r == CUDA_SUCCESS)
        r = retain(&context, 0);
    if (r == CUDA_SUCCESS)
        r = set_current(context);
    return r == CUDA_SUCCESS ? alloc(&pointer, bytes) : r;
}
