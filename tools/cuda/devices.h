/* SPDX-License-Identifier: Apache-2.0 */
/* Which partition a device belongs to. Ordinals are the program's own (CUDA_VISIBLE_DEVICES), so
 * devices are compared by uuid. */
#ifndef CHRONOS_CUDA_DEVICES_H
#define CHRONOS_CUDA_DEVICES_H

#include "shim.h"

#define DEVICES_MAX 64

enum {
    DEVICES_NONE = -1,    /* the device has no partition of this program */
    DEVICES_UNKNOWN = -2, /* the tree cannot be read now */
    DEVICES_INVALID = -3, /* the driver has no such device, and is to say so */
};

/* Return the partition of a device, or one of the above. */
int devices_partition(CUdevice device);
/* Return the partition with the device of this uuid ("GPU-..."), or one of the above. */
int devices_partition_of_uuid(const char *uuid);
/* Return whether a partition can be read now; else it has ended, or the tree cannot be reached. */
bool devices_is_there(int partition);
/* The device of the current context. False: there is none, and the driver says so by itself. */
bool devices_current(CUdevice *ret_device);

#endif
