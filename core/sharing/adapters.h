/* SPDX-License-Identifier: Apache-2.0 */
/* The adapters of the sharing port, for sharing.c and the contract suite. */
#ifndef CHRONOS_SHARING_ADAPTERS_H
#define CHRONOS_SHARING_ADAPTERS_H

#include "sharing.h"

extern const struct sharing_mode_adapter sharing_mps;

#endif
