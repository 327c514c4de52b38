/* SPDX-License-Identifier: Apache-2.0 */
/* What other files need of those of a device. */
#ifndef CHRONOS_TREE_FILES_DEVICE_H
#define CHRONOS_TREE_FILES_DEVICE_H

#include "tree.h"

/* Return what a context takes on a device; 0: not known. */
uint64_t files_device_context(const struct tree *tree, uint32_t device);

#endif
