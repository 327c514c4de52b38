/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenCL layer: it stands between a program's calls and the loader's, in the program's own
 * process, and keeps the program inside its partition. Its parts, from the top down:
 *
 *   entry.c       what the loader calls
 *   by_name.c     functions that programs ask for by name
 *   functions.h   the functions that take the place of the loader's, which are in:
 *   buffers.c     making buffers, pipes, and objects of others' memory
 *   images.c      making images; image_size.c: how many bytes that is
 *   svm.c         shared virtual memory
 *   objects.c     how long a memory object lives
 *   booking.c     an allocation, counted against its partitions
 *   extensions.c  the driver's own functions by name
 *   devices.c     which devices are the partition's, and what the program learns of them
 *   layer.c       what all of these use
 *
 * The interface has no context for a layer, so there is one `layer`. It is written when the
 * loader starts and only read afterwards. Nothing here may end the program, or print unless
 * CHRONOS_DEBUG is set.
 */
#ifndef CHRONOS_OPENCL_LAYER_H
#define CHRONOS_OPENCL_LAYER_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include "tools/libchronos/chronos.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>

struct layer {
    cl_icd_dispatch next; /* the loader's functions; NULL where it has none */
    struct chronos_environment environment;
    struct chronos_charge *charge[CHRONOS_PARTITIONS_MAX]; /* of environment.directory[i] */
};
extern struct layer layer;

/* Reads the environment and prepares a client of `charge` for each partition. CL_SUCCESS or
 * CL_OUT_OF_HOST_MEMORY. */
cl_int layer_start(void);

/* How a create call refuses: sets *ret_error, which may be NULL, and returns NULL. */
static inline void *layer_refuse(cl_int error, cl_int *ret_error)
{
    if (ret_error)
        *ret_error = error;
    return NULL;
}

#endif
