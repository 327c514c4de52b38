/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that programs ask for by name. */
#ifndef CHRONOS_OPENCL_EXTENSIONS_H
#define CHRONOS_OPENCL_EXTENSIONS_H

#include "layer.h"

typedef void (*layer_function)(void);

/* The driver's own function of that name, for a context; NULL: it has none. The
 * caller casts it to what it is. */
layer_function extensions_next(cl_context context, const char *name);

#endif
