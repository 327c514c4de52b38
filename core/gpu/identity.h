/* SPDX-License-Identifier: Apache-2.0 */
/* Which device is meant: names of devices, however they are written. Pure. */
#ifndef CHRONOS_GPU_IDENTITY_H
#define CHRONOS_GPU_IDENTITY_H

#include "vendor.h"

/* A uuid is written with and without "GPU-", dashes and capitals. False for "". */
bool gpu_same_uuid(const char *a, const char *b);
/* The parts of a PCI address: domain (four or eight digits), bus, device, function. */
bool gpu_read_pci(const char *text, unsigned ret_parts[4]);
bool gpu_same_pci(const char *a, const char *b);

/* The index of the device of `setup` that has this uuid, else this pci address, or -1;
 * also if several have the address: they are parts of one card. Either may be "". */
int gpu_match(const struct gpu_setup *setup, const char *uuid, const char *pci);

#endif
