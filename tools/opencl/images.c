/* SPDX-License-Identifier: Apache-2.0 */
/* Create images. Charge a computed size before calling the driver, and then correct it to what the
 * driver reports. */
#include "functions.h"
#include "image_size.h"
#include "objects.h"

/* Charge nothing for an image over the memory of another object. */
static cl_mem parent_of(const cl_image_desc *desc)
{
    return desc ? desc->mem_object : NULL;
}

cl_mem CL_API_CALL opencl_clCreateImage(cl_context context, cl_mem_flags flags,
                                        const cl_image_format *image_format,
                                        const cl_image_desc *image_desc, void *host_ptr,
                                        cl_int *errcode_ret)
{
    struct booking *booking;
    cl_mem object, parent = parent_of(image_desc);
    if (parent) {
        object = layer.next.clCreateImage(context, flags, image_format, image_desc, host_ptr,
                                          errcode_ret);
        objects_derived(object, parent);
        return object;
    }
    cl_int r = booking_new(context, image_size(image_format, image_desc), &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    object = layer.next.clCreateImage(context, flags, image_format, image_desc, host_ptr, &r);
    return objects_created_sized(object, booking, r, CL_MEM_OBJECT_ALLOCATION_FAILURE, errcode_ret);
}

cl_mem CL_API_CALL opencl_clCreateImageWithProperties(cl_context context,
                                                      const cl_mem_properties *properties,
                                                      cl_mem_flags flags,
                                                      const cl_image_format *image_format,
                                                      const cl_image_desc *image_desc,
                                                      void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    cl_mem object, parent = parent_of(image_desc);
    if (parent) {
        object = layer.next.clCreateImageWithProperties(context, properties, flags, image_format,
                                                        image_desc, host_ptr, errcode_ret);
        objects_derived(object, parent);
        return object;
    }
    cl_int r = booking_new(context, image_size(image_format, image_desc), &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    object = layer.next.clCreateImageWithProperties(context, properties, flags, image_format,
                                                    image_desc, host_ptr, &r);
    return objects_created_sized(object, booking, r, CL_MEM_OBJECT_ALLOCATION_FAILURE, errcode_ret);
}

/* -- before OpenCL 1.2 -------------------------------------------------------------- */

cl_mem CL_API_CALL opencl_clCreateImage2D(cl_context context, cl_mem_flags flags,
                                          const cl_image_format *image_format, size_t image_width,
                                          size_t image_height, size_t image_row_pitch,
                                          void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D,
                                .image_width = image_width,
                                .image_height = image_height};
    cl_int r = booking_new(context, image_size(image_format, &desc), &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object = layer.next.clCreateImage2D(context, flags, image_format, image_width,
                                               image_height, image_row_pitch, host_ptr, &r);
    return objects_created_sized(object, booking, r, CL_MEM_OBJECT_ALLOCATION_FAILURE, errcode_ret);
}

cl_mem CL_API_CALL opencl_clCreateImage3D(cl_context context, cl_mem_flags flags,
                                          const cl_image_format *image_format, size_t image_width,
                                          size_t image_height, size_t image_depth,
                                          size_t image_row_pitch, size_t image_slice_pitch,
                                          void *host_ptr, cl_int *errcode_ret)
{
    struct booking *booking;
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE3D,
                                .image_width = image_width,
                                .image_height = image_height,
                                .image_depth = image_depth};
    cl_int r = booking_new(context, image_size(image_format, &desc), &booking);
    if (r != CL_SUCCESS)
        return layer_refuse(r, errcode_ret);
    cl_mem object =
        layer.next.clCreateImage3D(context, flags, image_format, image_width, image_height,
                                   image_depth, image_row_pitch, image_slice_pitch, host_ptr, &r);
    return objects_created_sized(object, booking, r, CL_MEM_OBJECT_ALLOCATION_FAILURE, errcode_ret);
}
