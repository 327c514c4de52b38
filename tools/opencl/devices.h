/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices are the partition's: found by comparing the keys that the daemon
 * publishes with those of the devices here. */
#ifndef CHRONOS_OPENCL_DEVICES_H
#define CHRONOS_OPENCL_DEVICES_H

#include "layer.h"

/* In whose books memory of this context goes: bit i is partition i; none where it is
 * let through. CL_SUCCESS, or CL_OUT_OF_RESOURCES where the filesystem cannot be
 * reached and the policy is to refuse. */
cl_int devices_of_context(cl_context context, uint32_t *ret_partitions);

/* The platform of a context's devices, NULL where the driver does not tell. */
cl_platform_id devices_platform(cl_context context);

/* Around a fork, so that no other thread is in the middle of the search. */
void devices_lock(void);
void devices_unlock(void);

#endif
