/* SPDX-License-Identifier: Apache-2.0 */
/* Compute image sizes; see image_size.h. Pure: only the specification's tables. */
#include "image_size.h"

static uint64_t channels(cl_channel_order order)
{
    switch (order) {
    case CL_R:
    case CL_A:
    case CL_Rx:
    case CL_INTENSITY:
    case CL_LUMINANCE:
    case CL_DEPTH:
        return 1;
    case CL_RG:
    case CL_RA:
    case CL_RGx:
        return 2;
    case CL_RGB:
    case CL_sRGB:
        return 3;
    case CL_RGBx:
    case CL_RGBA:
    case CL_BGRA:
    case CL_ARGB:
    case CL_ABGR:
    case CL_sRGBx:
    case CL_sRGBA:
    case CL_sBGRA:
        return 4;
    default:
        return 0;
    }
}

static uint64_t pixel_bytes(const cl_image_format *format)
{
    switch (format->image_channel_data_type) {
    case CL_UNORM_SHORT_565:
    case CL_UNORM_SHORT_555:
        return 2; /* all channels in one */
    case CL_UNORM_INT_101010:
    case CL_UNORM_INT_101010_2:
        return 4;
    case CL_SNORM_INT8:
    case CL_UNORM_INT8:
    case CL_SIGNED_INT8:
    case CL_UNSIGNED_INT8:
        return channels(format->image_channel_order);
    case CL_SNORM_INT16:
    case CL_UNORM_INT16:
    case CL_SIGNED_INT16:
    case CL_UNSIGNED_INT16:
    case CL_HALF_FLOAT:
        return 2 * channels(format->image_channel_order);
    case CL_UNORM_INT24:
    case CL_SIGNED_INT32:
    case CL_UNSIGNED_INT32:
    case CL_FLOAT:
        return 4 * channels(format->image_channel_order);
    default:
        return 0;
    }
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t halved(uint64_t length)
{
    return length > 1 ? length / 2 : 1;
}

uint64_t image_size(const cl_image_format *format, const cl_image_desc *desc)
{
    if (!format || !desc)
        return 0; /* let the driver report what is wrong */
    bool is_array = desc->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ||
                    desc->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    bool is_3d = desc->image_type == CL_MEM_OBJECT_IMAGE3D;
    bool is_flat = desc->image_type == CL_MEM_OBJECT_IMAGE2D ||
                   desc->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY || is_3d;
    uint64_t width = desc->image_width, height = is_flat ? desc->image_height : 1;
    uint64_t depth = is_3d ? desc->image_depth : 1, bytes = 0;
    cl_uint levels = desc->num_mip_levels > 1 ? desc->num_mip_levels : 1;

    for (cl_uint level = 0; level < levels && level < 64; level++) {
        uint64_t level_bytes = times(times(width, height), depth);
        if (__builtin_add_overflow(bytes, level_bytes, &bytes))
            bytes = UINT64_MAX;
        width = halved(width);
        height = halved(height);
        depth = halved(depth);
    }
    bytes = times(bytes, pixel_bytes(format));
    return is_array ? times(bytes, desc->image_array_size) : bytes;
}
