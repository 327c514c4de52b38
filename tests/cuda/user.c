/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain CUDA program: it allocates 10 MiB, 20 times, by the function that the linker found, and
 * again by what dlsym finds anywhere; prints how often that worked. USER_PLUGIN: a plugin that does
 * so, which user_host opens for itself alone. It also calls a function that two libraries define,
 * the first for the second, as cudnnCreate does.
 */
#include "tools/cuda/driver.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

int cudnnCreate(void), chain1(void), chain2(void);
CUresult cuInit(unsigned flags);
CUresult cuCtxSetCurrent(CUcontext context);
__attribute__((visibility("default"))) int user_main(void);

#define TIMES 20

typedef CUresult alloc_function(CUdeviceptr *pointer, size_t bytes);

static int fill(alloc_function *alloc)
{
    CUdeviceptr pointers[TIMES];
    int count = 0;
    while (count < TIMES && alloc(&pointers[count], 10 << 20) == CUDA_SUCCESS)
        count++;
    for (int i = 0; i < count; i++)
        cuMemFree_v2(pointers[i]);
    return count;
}

int user_main(void)
{
    CUcontext context;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context)) {
        printf("no context\n");
        return 0;
    }
    alloc_function *found = (alloc_function *)(uintptr_t)dlsym(RTLD_DEFAULT, "cuMemAlloc_v2");
    int (*calls)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "other_calls");
    printf("%d %d %d", fill(cuMemAlloc_v2), found ? fill(found) : -1,
           cudnnCreate() + chain1() + chain2());
    if (calls)
        printf(" %d %d", calls(), getppid() > 0);
    printf("\n");
    return 0;
}

#ifndef USER_PLUGIN
int main(void)
{
    return user_main();
}
#endif
