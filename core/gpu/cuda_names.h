/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions of a library are for memory of devices, by their names. */
#ifndef CHRONOS_GPU_CUDA_NAMES_H
#define CHRONOS_GPU_CUDA_NAMES_H

#include <stddef.h>

/* List the functions for memory that the driver exports and the library, which is to replace them,
 * does not: names separated by blanks, at most size - 1 bytes, and " ..." if there are more. Files
 * of shared libraries. 0 or -errno. */
int cuda_names_unknown(const char *driver, const char *library, char *ret_names, size_t size);

#endif
