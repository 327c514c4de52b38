/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes of kernel classes: implements `nodes` of struct gpu_vendor for drm.c. */
#ifndef CHRONOS_GPU_DRM_NODES_H
#define CHRONOS_GPU_DRM_NODES_H

#include "vendor.h"

int drm_nodes(const struct gpu_node_search *search);

#endif
