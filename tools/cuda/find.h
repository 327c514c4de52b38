/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three ways by which programs find a function of the driver: the linker, which takes our
 * exports; dlsym; and the driver's own cuGetProcAddress. The real address is always looked up
 * first, and then replaced: so which of the driver's many versions of a function is meant is never
 * guessed.
 */
#ifndef CHRONOS_CUDA_FIND_H
#define CHRONOS_CUDA_FIND_H

#include "shim.h"

/* Fill the driver's functions in shim_real from the one that is loaded. False: none is. */
bool find_driver(void);
/* The same for the library of one function, by where its address is in shim_real: a program can
 * have one library without the other. False: there is no such function. */
bool find_function(const void *real);

typedef void *find_dlsym(void *handle, const char *name);

/* For dlsym.S: return the replacement of `name` for `caller`, an address in the asking library, or
 * NULL and the function to jump to. */
void *find_by_name(void *handle, const char *name, const void *caller, find_dlsym **ret_next)
    __attribute__((visibility("hidden")));

#endif
