/* SPDX-License-Identifier: Apache-2.0 */
/* Read the devices that an argument names. */
#ifndef CHRONOS_TOOLS_DEVICE_H
#define CHRONOS_TOOLS_DEVICE_H

#include "tools/libchronos/client.h"

/* Read the device that `text` names, or all if it is NULL. 0, a list for the caller to free, and
 * the exit code: of all devices, those that cannot be read are left out after a message. Otherwise
 * an exit code after a message. */
int device_list(const struct chronos_mount *mount, const char *text, uint32_t mask,
                struct chronos_device **ret_devices, size_t *ret_count, int *ret_code);
/* Return the number in "gpu0". */
const char *device_number(const char *device);

/* Return whether "gpu0" is among "gpu0,gpu2"; "": always. */
bool device_is_among(const char *device, const char *devices);

#endif
