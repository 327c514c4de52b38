/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenCL layer: it sits between a program's calls and the loader's, in the
 * program's own process, and keeps it inside its partition. Its parts:
 *
 *   layer.c       what the loader calls; the table of functions
 *   devices.c     which devices are the partition's; what is told of them
 *   booking.c     an allocation in the partition's books
 *   objects.c     how long a memory object lives
 *   buffers.c     the calls that make buffers, pipes, and objects of others' memory
 *   images.c      the calls that make images; image_size.c: how many bytes that is
 *   svm.c         shared virtual memory
 *   extensions.c  functions that programs ask for by name
 *
 * A layer has no context of its own in the interface, so there is one `layer`. It
 * is written when the loader starts and only read afterwards. Nothing here may end
 * the program or print, but for CHRONOS_DEBUG.
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

/* The functions that take the place of the loader's, each layer_NAME. */
#define LAYER_FUNCTIONS(X)                                                                         \
    X(clGetDeviceIDs)                                                                              \
    X(clGetDeviceInfo)                                                                             \
    X(clCreateContext)                                                                             \
    X(clCreateContextFromType)                                                                     \
    X(clCreateBuffer)                                                                              \
    X(clCreateBufferWithProperties)                                                                \
    X(clCreateSubBuffer)                                                                           \
    X(clCreatePipe)                                                                                \
    X(clCreateImage)                                                                               \
    X(clCreateImageWithProperties)                                                                 \
    X(clCreateImage2D)                                                                             \
    X(clCreateImage3D)                                                                             \
    X(clCreateFromGLBuffer)                                                                        \
    X(clCreateFromGLTexture)                                                                       \
    X(clCreateFromGLTexture2D)                                                                     \
    X(clCreateFromGLTexture3D)                                                                     \
    X(clCreateFromGLRenderbuffer)                                                                  \
    X(clCreateFromEGLImageKHR)                                                                     \
    X(clRetainMemObject)                                                                           \
    X(clReleaseMemObject)                                                                          \
    X(clSVMAlloc)                                                                                  \
    X(clSVMFree)                                                                                   \
    X(clEnqueueSVMFree)                                                                            \
    X(clGetExtensionFunctionAddress)                                                               \
    X(clGetExtensionFunctionAddressForPlatform)

#define LAYER_DECLARE(name) __typeof__(*(cl_api_##name)0) opencl_##name;
LAYER_FUNCTIONS(LAYER_DECLARE)
#undef LAYER_DECLARE

/* What a create call answers: sets *ret_error where there is one, gives NULL. */
static inline void *layer_refuse(cl_int error, cl_int *ret_error)
{
    if (ret_error != NULL)
        *ret_error = error;
    return NULL;
}

#endif
