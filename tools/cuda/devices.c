/* SPDX-License-Identifier: Apache-2.0 */
/* Join devices and partitions by uuid; see devices.h. */
#include "devices.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* By ordinal: the partition and 1. A device of no partition is looked up each time: its program
 * gets nothing from it anyway. */
static _Atomic signed char found[DEVICES_MAX];

/* The hexadecimal digits of a uuid: vendors write them with different prefixes. */
static void digits_of(const char *uuid, char digits[static 33])
{
    size_t count = 0;
    const char *at =
        strncmp(uuid, "GPU-", 4) == 0 || strncmp(uuid, "MIG-", 4) == 0 ? uuid + 4 : uuid;
    for (; *at && count < 32; at++) {
        if (*at != '-')
            digits[count++] = *at;
    }
    digits[count] = '\0';
}

int devices_partition_of_uuid(const char *uuid)
{
    int at = DEVICES_NONE;
    char wanted[33], line[128], digits[33];
    digits_of(uuid, wanted);
    for (unsigned i = 0; i < shim.environment.count; i++) {
        const char *directory = shim.environment.directory[i];
        if (chronos_read_line(directory, "../uuid", line, sizeof(line)) == 0) {
            digits_of(line, digits);
            if (strcmp(digits, wanted) == 0)
                return (int)i;
        } else if (chronos_has_ended(directory)) {
            at = (int)i; /* it may have been this one: charging it is refused */
        } else if (at == DEVICES_NONE) {
            at = DEVICES_UNKNOWN;
        }
    }
    /* Its only partition: the client of `charge` knows what to do until the tree is back. */
    return at == DEVICES_UNKNOWN && shim.environment.count == 1 ? 0 : at;
}

bool devices_is_there(int partition)
{
    char line[128];
    return chronos_read_line(shim.environment.directory[partition], "../uuid", line,
                             sizeof(line)) == 0;
}

int devices_partition(CUdevice device)
{
    CUuuid uuid;
    char text[40];
    if (device < 0)
        return DEVICES_INVALID;
    if (device >= DEVICES_MAX)
        return DEVICES_NONE;
    int at = atomic_load_explicit(&found[device], memory_order_relaxed);
    if (at > 0)
        return at - 1;
    __typeof__(&cuDeviceGetUuid) get =
        REAL(cuDeviceGetUuid_v2) ? REAL(cuDeviceGetUuid_v2) : REAL(cuDeviceGetUuid);
    if (!get || get(&uuid, device) != CUDA_SUCCESS)
        return get ? DEVICES_INVALID : DEVICES_NONE;
    for (unsigned i = 0; i < sizeof(uuid.bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", uuid.bytes[i]);
    at = devices_partition_of_uuid(text);
    if (at >= 0 && devices_is_there(at))
        atomic_store_explicit(&found[device], (signed char)(at + 1), memory_order_relaxed);
    return at;
}

bool devices_current(CUdevice *ret_device)
{
    return REAL(cuCtxGetDevice) && REAL(cuCtxGetDevice)(ret_device) == CUDA_SUCCESS;
}
