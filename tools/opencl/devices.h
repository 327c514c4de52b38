/* SPDX-License-Identifier: Apache-2.0 */
/* Find the partitions' devices by the keys that the daemon publishes. */
#ifndef CHRONOS_OPENCL_DEVICES_H
#define CHRONOS_OPENCL_DEVICES_H

#include "layer.h"

/* Find the partitions to charge for memory of this context: bit i is partition i; 0 lets it through
 * uncharged. CL_SUCCESS; or CL_OUT_OF_RESOURCES if the filesystem cannot be reached and the policy
 * is to refuse. */
cl_int devices_of_context(cl_context context, uint32_t *ret_partitions);

/* Return the platform of a context's devices; NULL: unknown. */
cl_platform_id devices_platform(cl_context context);

/* Call around a fork, so that no other thread is searching. */
void devices_lock(void);
void devices_unlock(void);

#endif
