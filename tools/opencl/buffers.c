/* SPDX-License-Identifier: Apache-2.0 */
/* Create buffers and pipes, whose sizes are known before calling the driver, and memory objects
 * from OpenGL or EGL, whose sizes only the driver knows. */
#include "extensions.h"
#include "functions.h"
#include "objects.h"

cl_mem CL_API_CALL opencl_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size,
                                         void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    cl_int r = booking_new(context, size, &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object = layer.next.clCreateBuffer(context, flags, size, host_ptr, &r);
    return objects_created(object, booking, r, errcode_ret);
}

cl_mem CL_API_CALL opencl_clCreateBufferWithProperties(cl_context context,
                                                       const cl_mem_properties *properties,
                                                       cl_mem_flags flags, size_t size,
                                                       void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    cl_int r = booking_new(context, size, &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object =
        layer.next.clCreateBufferWithProperties(context, properties, flags, size, host_ptr, &r);
    return objects_created(object, booking, r, errcode_ret);
}

cl_mem CL_API_CALL opencl_clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags,
                                            cl_buffer_create_type buffer_create_type,
                                            const void *buffer_create_info, cl_int *errcode_ret)
{
    cl_mem object = layer.next.clCreateSubBuffer(buffer, flags, buffer_create_type,
                                                 buffer_create_info, errcode_ret);
    objects_derived(object, buffer);
    return object;
}

cl_mem CL_API_CALL opencl_clCreatePipe(cl_context context, cl_mem_flags flags,
                                       cl_uint pipe_packet_size, cl_uint pipe_max_packets,
                                       const cl_pipe_properties *properties, cl_int *errcode_ret)
{
    struct booking *booking;
    uint64_t bytes = (uint64_t)pipe_packet_size * pipe_max_packets;
    cl_int r = booking_new(context, bytes, &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object =
        layer.next.clCreatePipe(context, flags, pipe_packet_size, pipe_max_packets, properties, &r);
    return objects_created_sized(object, booking, r, CL_MEM_OBJECT_ALLOCATION_FAILURE, errcode_ret);
}

/* -- looked up by name only ---------------------------------------------------------- */

cl_mem CL_API_CALL opencl_clCreateBufferWithPropertiesINTEL(
    cl_context context, const cl_mem_properties_intel *properties, cl_mem_flags flags, size_t size,
    void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    clCreateBufferWithPropertiesINTEL_fn next =
        (clCreateBufferWithPropertiesINTEL_fn)extensions_next(context,
                                                              "clCreateBufferWithPropertiesINTEL");
    cl_int r = !next ? CL_INVALID_CONTEXT : booking_new(context, size, &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object = next(context, properties, flags, size, host_ptr, &r);
    return objects_created(object, booking, r, errcode_ret);
}

cl_mem CL_API_CALL opencl_clCreateBufferNV(cl_context context, cl_mem_flags flags,
                                           cl_bitfield flags_nv, size_t size, void *host_ptr,
                                           cl_int *errcode_ret)
{
    struct booking *booking;
    clCreateBufferNV_fn next = (clCreateBufferNV_fn)extensions_next(context, "clCreateBufferNV");
    cl_int r = !next ? CL_INVALID_CONTEXT : booking_new(context, size, &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object = next(context, flags, flags_nv, size, host_ptr, &r);
    return objects_created(object, booking, r, errcode_ret);
}

/* -- foreign memory ---------------------------------------------------------------- */

/* Refuse with CL_OUT_OF_RESOURCES: these calls have no error for "too much memory". */
#define IMPORT(errcode_ret, call)                                                                  \
    do {                                                                                           \
        struct booking *booking;                                                                   \
        cl_int r = booking_new(context, 0, &booking);                                              \
        if (r != CL_SUCCESS)                                                                       \
            return layer_refuse(r, errcode_ret);                                                   \
        cl_mem object = call;                                                                      \
        return objects_created_sized(object, booking, r, CL_OUT_OF_RESOURCES, errcode_ret);        \
    } while (0)

cl_mem CL_API_CALL opencl_clCreateFromGLBuffer(cl_context context, cl_mem_flags flags,
                                               cl_GLuint bufobj, cl_int *errcode_ret)
{
    IMPORT(errcode_ret, layer.next.clCreateFromGLBuffer(context, flags, bufobj, &r));
}

cl_mem CL_API_CALL opencl_clCreateFromGLTexture(cl_context context, cl_mem_flags flags,
                                                cl_GLenum target, cl_GLint miplevel,
                                                cl_GLuint texture, cl_int *errcode_ret)
{
    IMPORT(errcode_ret,
           layer.next.clCreateFromGLTexture(context, flags, target, miplevel, texture, &r));
}

cl_mem CL_API_CALL opencl_clCreateFromGLTexture2D(cl_context context, cl_mem_flags flags,
                                                  cl_GLenum target, cl_GLint miplevel,
                                                  cl_GLuint texture, cl_int *errcode_ret)
{
    IMPORT(errcode_ret,
           layer.next.clCreateFromGLTexture2D(context, flags, target, miplevel, texture, &r));
}

cl_mem CL_API_CALL opencl_clCreateFromGLTexture3D(cl_context context, cl_mem_flags flags,
                                                  cl_GLenum target, cl_GLint miplevel,
                                                  cl_GLuint texture, cl_int *errcode_ret)
{
    IMPORT(errcode_ret,
           layer.next.clCreateFromGLTexture3D(context, flags, target, miplevel, texture, &r));
}

cl_mem CL_API_CALL opencl_clCreateFromGLRenderbuffer(cl_context context, cl_mem_flags flags,
                                                     cl_GLuint renderbuffer, cl_int *errcode_ret)
{
    IMPORT(errcode_ret, layer.next.clCreateFromGLRenderbuffer(context, flags, renderbuffer, &r));
}

cl_mem CL_API_CALL opencl_clCreateFromEGLImageKHR(cl_context context, CLeglDisplayKHR display,
                                                  CLeglImageKHR image, cl_mem_flags flags,
                                                  const cl_egl_image_properties_khr *properties,
                                                  cl_int *errcode_ret)
{
    IMPORT(errcode_ret,
           layer.next.clCreateFromEGLImageKHR(context, display, image, flags, properties, &r));
}
