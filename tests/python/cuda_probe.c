/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the calls of CUDA's driver that give device memory, for cuda.py, which builds it: how many
 * of them does a library catch that is loaded in this or that way? PROBE_DRIVER is the path of the
 * driver, PROBE_OUT the file for "CALLS BYTES".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long device_pointer;
typedef void *dlsym_fn(void *, const char *);

static unsigned long calls, bytes;

static dlsym_fn *libc_dlsym(void)
{
    static dlsym_fn *found;
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
    for (size_t i = 0; !found && i < sizeof(versions) / sizeof(versions[0]); i++)
        found = (dlsym_fn *)dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    return found;
}

static void *driver_call(const char *name)
{
    static void *driver;
    if (!driver)
        driver = dlopen(getenv("PROBE_DRIVER"), RTLD_NOW | RTLD_LOCAL);
    return libc_dlsym()(driver, name);
}

#define HOOK(name, parameters, arguments, size)                                                    \
    int name parameters                                                                            \
    {                                                                                              \
        int r = ((int(*) parameters)driver_call(#name))arguments;                                  \
        calls += !r;                                                                               \
        bytes += r ? 0 : (size);                                                                   \
        return r;                                                                                  \
    }
HOOK(cuMemAlloc_v2, (device_pointer * ret_at, size_t size), (ret_at, size), size)
HOOK(cuMemAllocManaged, (device_pointer * ret_at, size_t size, unsigned flags),
     (ret_at, size, flags), size)
HOOK(cuMemAllocAsync, (device_pointer * ret_at, size_t size, void *stream), (ret_at, size, stream),
     size)
HOOK(cuMemAllocFromPoolAsync, (device_pointer * ret_at, size_t size, void *pool, void *stream),
     (ret_at, size, pool, stream), size)
HOOK(cuMemCreate, (device_pointer * ret_handle, size_t size, void *kind, device_pointer flags),
     (ret_handle, size, kind, flags), size)

int cuGetProcAddress(const char *name, void **ret_call, int version, device_pointer flags);
int cuGetProcAddress_v2(const char *name, void **ret_call, int version, device_pointer flags,
                        int *ret_status);

/* Our call of this name, or NULL. cuGetProcAddress leaves out the _v2. */
static void *hook(const char *name)
{
    static const struct {
        const char *name;
        void *call;
    } hooks[] = {{"cuMemAlloc_v2", (void *)cuMemAlloc_v2},
                 {"cuMemAlloc", (void *)cuMemAlloc_v2},
                 {"cuMemAllocManaged", (void *)cuMemAllocManaged},
                 {"cuMemAllocAsync", (void *)cuMemAllocAsync},
                 {"cuMemAllocFromPoolAsync", (void *)cuMemAllocFromPoolAsync},
                 {"cuMemCreate", (void *)cuMemCreate},
                 {"cuGetProcAddress", (void *)cuGetProcAddress},
                 {"cuGetProcAddress_v2", (void *)cuGetProcAddress_v2}};
    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
        if (!strcmp(name, hooks[i].name))
            return hooks[i].call;
    return NULL;
}

int cuGetProcAddress(const char *name, void **ret_call, int version, device_pointer flags)
{
    int r = ((int (*)(const char *, void **, int, device_pointer))driver_call("cuGetProcAddress"))(
        name, ret_call, version, flags);
    if (!r && hook(name)) /* from 12.0 on, the driver answers with the call of five arguments */
        *ret_call = !strcmp(name, "cuGetProcAddress") && version >= 12000
                        ? (void *)cuGetProcAddress_v2
                        : hook(name);
    return r;
}

int cuGetProcAddress_v2(const char *name, void **ret_call, int version, device_pointer flags,
                        int *ret_status)
{
    int r = ((int (*)(const char *, void **, int, device_pointer, int *))driver_call(
        "cuGetProcAddress_v2"))(name, ret_call, version, flags, ret_status);
    if (!r && ret_call && *ret_call && hook(name))
        *ret_call = !strcmp(name, "cuGetProcAddress") && version >= 12000
                        ? (void *)cuGetProcAddress_v2
                        : hook(name);
    return r;
}

/* A tail call: for RTLD_NEXT, libc looks at who called. */
void *dlsym(void *handle, const char *name)
{
    void *call = hook(name);
    return call ? call : libc_dlsym()(handle, name);
}

__attribute__((destructor)) static void tell(void)
{
    FILE *file = fopen(getenv("PROBE_OUT"), "w");
    if (!file)
        return;
    fprintf(file, "%lu %lu\n", calls, bytes);
    fclose(file);
}
