/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See extensions.h. The driver answers with its own function, which would pass the
 * layer by; so where the driver has one, the program gets ours.
 */
#include "extensions.h"

#include "devices.h"
#include "objects.h"
#include "svm.h"

#include <string.h>

/* Object code of functions comes as void pointers, which C does not convert. */
static layer_function function_of(void *address)
{
    layer_function function;
    memcpy(&function, &address, sizeof(function));
    return function;
}

static void *address_of(layer_function function)
{
    void *address;
    memcpy(&address, &function, sizeof(address));
    return address;
}

layer_function extensions_next(cl_context context, const char *name)
{
    cl_platform_id platform = devices_platform(context);
    if (platform != NULL && layer.next.clGetExtensionFunctionAddressForPlatform != NULL)
        return function_of(layer.next.clGetExtensionFunctionAddressForPlatform(platform, name));
    if (layer.next.clGetExtensionFunctionAddress == NULL)
        return NULL;
    return function_of(layer.next.clGetExtensionFunctionAddress(name));
}

/* -- two more ways to a buffer ---------------------------------------------------------- */

static clCreateBufferWithPropertiesINTEL_fn next_buffer_intel(cl_context context)
{
    return (clCreateBufferWithPropertiesINTEL_fn)extensions_next(
        context, "clCreateBufferWithPropertiesINTEL");
}

static cl_mem CL_API_CALL opencl_clCreateBufferWithPropertiesINTEL(
    cl_context context, const cl_mem_properties_intel *properties, cl_mem_flags flags, size_t size,
    void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    clCreateBufferWithPropertiesINTEL_fn next = next_buffer_intel(context);
    cl_int error = next == NULL ? CL_INVALID_CONTEXT : booking_new(context, size, &booking);
    if (error != CL_SUCCESS)
        return layer_refuse(error, errcode_ret);
    cl_mem object = next(context, properties, flags, size, host_ptr, &error);
    return objects_created(object, booking, error, errcode_ret);
}

/* cl_nv_create_buffer, which is in no header. */
typedef cl_mem(CL_API_CALL *create_buffer_nv)(cl_context, cl_mem_flags, cl_bitfield, size_t, void *,
                                              cl_int *);

static cl_mem CL_API_CALL opencl_clCreateBufferNV(cl_context context, cl_mem_flags flags,
                                                  cl_bitfield flags_nv, size_t size, void *host_ptr,
                                                  cl_int *errcode_ret)
{
    struct booking *booking;
    create_buffer_nv next = (create_buffer_nv)extensions_next(context, "clCreateBufferNV");
    cl_int error = next == NULL ? CL_INVALID_CONTEXT : booking_new(context, size, &booking);
    if (error != CL_SUCCESS)
        return layer_refuse(error, errcode_ret);
    cl_mem object = next(context, flags, flags_nv, size, host_ptr, &error);
    return objects_created(object, booking, error, errcode_ret);
}

/* -- by name ------------------------------------------------------------------------------ */

struct replacement {
    const char *name;
    layer_function function;
};

static const struct replacement extensions[] = {
    {"clDeviceMemAllocINTEL", (layer_function)opencl_clDeviceMemAllocINTEL},
    {"clSharedMemAllocINTEL", (layer_function)opencl_clSharedMemAllocINTEL},
    {"clMemFreeINTEL", (layer_function)opencl_clMemFreeINTEL},
    {"clMemBlockingFreeINTEL", (layer_function)opencl_clMemBlockingFreeINTEL},
    {"clCreateBufferWithPropertiesINTEL", (layer_function)opencl_clCreateBufferWithPropertiesINTEL},
    {"clCreateBufferNV", (layer_function)opencl_clCreateBufferNV},
};

/* Functions of the table can be asked for by name too. Ours call the next ones of
 * the table, so it must have them. */
static const struct {
    struct replacement ours;
    size_t offset;
} core[] = {
#define BY_NAME(name) {{#name, (layer_function)opencl_##name}, offsetof(cl_icd_dispatch, name)},
    LAYER_FUNCTIONS(BY_NAME)
#undef BY_NAME
};

static bool is_in_table(size_t offset)
{
    static const char none[sizeof(layer_function)];
    return memcmp((const char *)&layer.next + offset, none, sizeof(none)) != 0;
}

/* Ours where there is one, else the driver's. */
static void *choose(void *address, const char *name)
{
    if (address == NULL || name == NULL)
        return address;
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        if (strcmp(extensions[i].name, name) == 0)
            return address_of(extensions[i].function);
    }
    for (size_t i = 0; i < sizeof(core) / sizeof(core[0]); i++) {
        if (strcmp(core[i].ours.name, name) == 0 && is_in_table(core[i].offset))
            return address_of(core[i].ours.function);
    }
    return address;
}

void *CL_API_CALL opencl_clGetExtensionFunctionAddress(const char *func_name)
{
    return choose(layer.next.clGetExtensionFunctionAddress(func_name), func_name);
}

void *CL_API_CALL opencl_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform,
                                                                  const char *func_name)
{
    return choose(layer.next.clGetExtensionFunctionAddressForPlatform(platform, func_name),
                  func_name);
}
