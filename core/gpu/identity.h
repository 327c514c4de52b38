/* SPDX-License-Identifier: Apache-2.0 */
/* Match devices by uuid and PCI address, in any notation. Pure. */
#ifndef CHRONOS_GPU_IDENTITY_H
#define CHRONOS_GPU_IDENTITY_H

#include "vendor.h"

/* Compare uuids, ignoring the prefixes "GPU-" and "MIG-", dashes and case. False if either is "".
 */
bool gpu_same_uuid(const char *a, const char *b);
/* True for a uuid that belongs to the card, and is not made by a runtime from its address. */
bool gpu_is_own(const char *uuid);
/* True for the uuid of a MIG instance, one of several devices at one PCI address. */
bool gpu_is_part(const char *uuid);
/* Parse a PCI address into domain (four or eight digits), bus, device and function. */
bool gpu_read_pci(const char *text, unsigned ret_parts[4]);
bool gpu_same_pci(const char *a, const char *b);
/* Write a PCI address as the kernel does, "0000:3b:00.0"; "" if `text` is not one. */
void gpu_write_pci(const char *text, char ret_pci[32]);

/* Return the index of the device in `setup` with this uuid, else with this PCI address, or -1.
 * Also -1 if several devices share the address: they are parts of one card. Either may be "". */
int gpu_match(const struct gpu_setup *setup, const char *uuid, const char *pci);

/* Return the index of the device that had this key at an earlier start, or -1. The same device can
 * have another key now, made of its uuid instead of its PCI address or the reverse, because its
 * key comes from the first vendor that finds it. -1 also if several devices fit. */
int gpu_find_key(const struct gpu_device *devices, uint32_t count, const char *key);

#endif
