/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, which take memory of the device themselves. */
#ifndef CHRONOS_CUDA_CONTEXTS_H
#define CHRONOS_CUDA_CONTEXTS_H

#include "entries.h"

/* Charge the context of the device unless it is: a program can have one before its first call that
 * is replaced. */
CUresult contexts_note(CUdevice device);
/* The device of the current context, with its context charged. *ret_device is -1, and the result
 * CUDA_SUCCESS, if there is none: the driver says so by itself. */
CUresult contexts_device(CUdevice *ret_device);
/* The current context; NULL: none. */
CUcontext contexts_current(void);

#endif
