/* SPDX-License-Identifier: Apache-2.0 */
/* Look up the driver's own functions by name: the loader's table lacks extensions. */
#ifndef CHRONOS_OPENCL_EXTENSIONS_H
#define CHRONOS_OPENCL_EXTENSIONS_H

#include "layer.h"

typedef void (*extensions_function)(void);

/* Return the driver's function of that name for a context, to be cast to its type. NULL: none. */
extensions_function extensions_next(cl_context context, const char *name);

#endif
