/* SPDX-License-Identifier: Apache-2.0 */
/* A libcuda.so.1 of one device, which answers once it is initialized. */
#define NOT_INITIALIZED 3

#define API __attribute__((visibility("default")))

API int cuInit(unsigned flags);
API int cuDeviceGetCount(int *ret_count);

static int initialized;

int cuInit(unsigned flags)
{
    (void)flags;
    initialized = 1;
    return 0;
}

int cuDeviceGetCount(int *ret_count)
{
    if (!initialized)
        return NOT_INITIALIZED;
    *ret_count = 1;
    return 0;
}
