/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control daemon of a device was started with, in a file beside its directories. It is
 * written before the start, so where it is and the daemon is not, one that a crash left alone may
 * be about to appear.
 */
#ifndef CHRONOS_SHARING_MPS_BOUNDS_H
#define CHRONOS_SHARING_MPS_BOUNDS_H

#include "sharing.h"

#include <stdbool.h>

#define MPS_BOUNDS "bounds"

/* 0 or -errno. */
int mps_bounds_write(const struct sharing_device *device, const struct sharing_mode *mode);
/* Return whether a start was begun; *ret_same: with the bounds of this mode. */
bool mps_bounds_read(const struct sharing_device *device, const struct sharing_mode *mode,
                     bool *ret_same);

#endif
