/* SPDX-License-Identifier: Apache-2.0 */
/* Compute the size of an image before calling the driver. */
#ifndef CHRONOS_OPENCL_IMAGE_SIZE_H
#define CHRONOS_OPENCL_IMAGE_SIZE_H

#include "layer.h"

/* Return the bytes of all pixels, layers and levels; UINT64_MAX on overflow. 0 for formats outside
 * the specification: only the driver knows them. */
uint64_t image_size(const cl_image_format *format, const cl_image_desc *desc);

#endif
