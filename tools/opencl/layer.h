/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenCL layer: intercept a program's calls, in its own process, and keep it inside its
 * partition. Its parts, from the top down:
 *
 *   entry.c       entry points for the loader
 *   by_name.c     functions looked up by name
 *   functions.h   the functions that replace the loader's, defined in:
 *   buffers.c     creating buffers, pipes, and objects of foreign memory
 *   images.c      creating images; image_size.c: their sizes
 *   svm.c         shared virtual memory
 *   objects.c     lifetime of memory objects
 *   booking.c     allocations, charged to partitions
 *   extensions.c  the driver's own functions by name
 *   devices.c     the partitions' devices, and what the program sees of them
 *   layer.c       shared by all of these
 *
 * The interface has no context for a layer, so there is one `layer`. It is written when the loader
 * starts and only read afterwards. Never end the program, and print only if CHRONOS_DEBUG is set.
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
#include "tools/libchronos/client.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>
#include <pthread.h>

struct layer {
    cl_icd_dispatch next; /* the loader's functions; NULL where missing */
    struct chronos_environment environment;
    struct chronos_charge *charge[CHRONOS_PARTITIONS_MAX]; /* of environment.directory[i] */
};
extern struct layer layer;

/* Read the environment and prepare a client of `charge` for each partition. CL_SUCCESS or
 * CL_OUT_OF_HOST_MEMORY. */
cl_int layer_start(void);

/* For each lock of the layer. The number is of those that this thread holds or is about to hold: a
 * signal handler may fork in the middle of a call, and must not wait then for its own thread, nor
 * for one that waits for it. */
void layer_lock(pthread_mutex_t *lock);
void layer_unlock(pthread_mutex_t *lock);
extern __thread volatile unsigned layer_locks_held;

/* Refuse a create call: set *ret_error, which may be NULL, and return NULL. */
static inline void *layer_refuse(cl_int error, cl_int *ret_error)
{
    if (ret_error)
        *ret_error = error;
    return NULL;
}

#endif
