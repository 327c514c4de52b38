/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices are the partition's: those whose keys are the ones that the daemon
 * publishes. */
#ifndef CHRONOS_OPENCL_DEVICES_H
#define CHRONOS_OPENCL_DEVICES_H

#include "layer.h"

/* The partitions that memory of this context is charged to: bit i is partition i; none where
 * it is let through. CL_SUCCESS; or CL_OUT_OF_RESOURCES if the filesystem cannot be reached and
 * the policy is to refuse. */
cl_int devices_of_context(cl_context context, uint32_t *ret_partitions);

/* The platform of a context's devices; NULL: not known. */
cl_platform_id devices_platform(cl_context context);

/* Around a fork, so that no other thread is searching. */
void devices_lock(void);
void devices_unlock(void);

#endif
