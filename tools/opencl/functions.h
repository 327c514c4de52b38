/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that replace the loader's, in its table and by name. */
#ifndef CHRONOS_OPENCL_FUNCTIONS_H
#define CHRONOS_OPENCL_FUNCTIONS_H

#include "layer.h"

/* Each NAME is opencl_NAME. */
#define OPENCL_FUNCTIONS(X)                                                                        \
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

#define OPENCL_DECLARE(name) __typeof__(*((cl_icd_dispatch *)0)->name) opencl_##name;
OPENCL_FUNCTIONS(OPENCL_DECLARE)
#undef OPENCL_DECLARE

/* Available by name only. clCreateBufferNV is in no header. */
typedef cl_mem(CL_API_CALL *clCreateBufferNV_fn)(cl_context, cl_mem_flags, cl_bitfield, size_t,
                                                 void *, cl_int *);
#define OPENCL_EXTENSIONS(X)                                                                       \
    X(clCreateBufferWithPropertiesINTEL)                                                           \
    X(clCreateBufferNV)                                                                            \
    X(clDeviceMemAllocINTEL)                                                                       \
    X(clSharedMemAllocINTEL)                                                                       \
    X(clMemFreeINTEL)                                                                              \
    X(clMemBlockingFreeINTEL)

#define OPENCL_DECLARE(name) __typeof__(*(name##_fn)0) opencl_##name;
OPENCL_EXTENSIONS(OPENCL_DECLARE)
#undef OPENCL_DECLARE

#endif
