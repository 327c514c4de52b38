/* SPDX-License-Identifier: Apache-2.0 */
/* Match devices by uuid and PCI address, in any notation. Pure. */
#ifndef CHRONOS_GPU_IDENTITY_H
#define CHRONOS_GPU_IDENTITY_H

#include "vendor.h"

/* Compare uuids, ignoring a "GPU-" prefix, dashes and case. False if either is "". */
bool gpu_same_uuid(const char *a, const char *b);
/* Parse a PCI address into domain (four or eight digits), bus, device and function. */
bool gpu_read_pci(const char *text, unsigned ret_parts[4]);
bool gpu_same_pci(const char *a, const char *b);

/* Return the index of the device in `setup` with this uuid, else with this PCI address, or -1.
 * Also -1 if several devices share the address: they are parts of one card. Either may be "". */
int gpu_match(const struct gpu_setup *setup, const char *uuid, const char *pci);

#endif
