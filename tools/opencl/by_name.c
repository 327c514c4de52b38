/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look up functions by name. The driver's own would bypass the layer, so return the layer's
 * function where the driver has one.
 */
#include "extensions.h"
#include "functions.h"

#include "core/base/array.h"

#include <string.h>

static void *address_of(extensions_function function)
{
    void *address;
    memcpy(&address, &function, sizeof(address));
    return address;
}

struct replacement {
    const char *name;
    extensions_function function;
};

static const struct replacement extensions[] = {
#define BY_NAME(name) {#name, (extensions_function)opencl_##name},
    OPENCL_EXTENSIONS(BY_NAME)
#undef BY_NAME
};

/* Functions of the table, which programs can also look up by name. The layer's call those in the
 * loader's table, so it must have them. */
static const struct {
    struct replacement ours;
    size_t offset;
} core[] = {
#define BY_NAME(name)                                                                              \
    {{#name, (extensions_function)opencl_##name}, offsetof(cl_icd_dispatch, name)},
    OPENCL_FUNCTIONS(BY_NAME)
#undef BY_NAME
};

static bool is_in_table(size_t offset)
{
    static const char none[sizeof(extensions_function)];
    return memcmp((const char *)&layer.next + offset, none, sizeof(none)) != 0;
}

/* Return the layer's function if there is one, else the driver's. */
static void *choose(void *address, const char *name)
{
    if (!address || !name)
        return address;
    for (size_t i = 0; i < ARRAY_COUNT(extensions); i++) {
        if (strcmp(extensions[i].name, name) == 0)
            return address_of(extensions[i].function);
    }
    for (size_t i = 0; i < ARRAY_COUNT(core); i++) {
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
