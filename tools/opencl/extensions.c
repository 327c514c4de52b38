/* SPDX-License-Identifier: Apache-2.0 */
/* Look up the driver's own functions by name; see extensions.h. */
#include "extensions.h"

#include "devices.h"

#include <string.h>

/* Use memcpy: C has no conversion between function and object pointers. */
static extensions_function function_of(void *address)
{
    extensions_function function;
    memcpy(&function, &address, sizeof(function));
    return function;
}

extensions_function extensions_next(cl_context context, const char *name)
{
    cl_platform_id platform = devices_platform(context);
    if (platform && layer.next.clGetExtensionFunctionAddressForPlatform)
        return function_of(layer.next.clGetExtensionFunctionAddressForPlatform(platform, name));
    if (!layer.next.clGetExtensionFunctionAddress)
        return NULL;
    return function_of(layer.next.clGetExtensionFunctionAddress(name));
}
