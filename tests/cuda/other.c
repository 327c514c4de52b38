/* SPDX-License-Identifier: Apache-2.0 */
/* Another library that is preloaded, in front of the shim or behind it: it replaces a function of
 * the driver and one of the C library, and goes on to what is next. CHAIN: one that is linked, and
 * calls its successor's function of the same name; the linker keeps it for a function of its own.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#ifdef CHAIN
EXPORT int CHAIN(void);
EXPORT int CHAIN(void)
{
    return 0;
}

EXPORT int cudnnCreate(void);
EXPORT int cudnnCreate(void)
{
    int (*next)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_NEXT, "cudnnCreate");
    return next ? next() + 1 : 1;
}
#else
typedef int alloc_function(unsigned long long *pointer, size_t bytes);
typedef pid_t pid_function(void);

static int calls;
EXPORT int other_calls(void);
EXPORT int other_calls(void)
{
    return calls;
}

EXPORT int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes);
EXPORT int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes)
{
    calls++;
    return ((alloc_function *)(uintptr_t)dlsym(RTLD_NEXT, "cuMemAlloc_v2"))(pointer, bytes);
}

EXPORT pid_t getppid(void)
{
    return ((pid_function *)(uintptr_t)dlsym(RTLD_NEXT, "getppid"))();
}
#endif
