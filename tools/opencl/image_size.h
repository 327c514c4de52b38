/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes an image takes, before the driver is called. */
#ifndef CHRONOS_OPENCL_IMAGE_SIZE_H
#define CHRONOS_OPENCL_IMAGE_SIZE_H

#include "layer.h"

/* Pixels times their size, all layers and levels; UINT64_MAX if that overflows. 0 for formats
 * that are not in the specification: only the driver knows them. */
uint64_t image_size(const cl_image_format *format, const cl_image_desc *desc);

#endif
