/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's headers: what they declare is defined in slurmd or looked up there, so it is not hidden,
 * as all else is here. */
#ifndef CHRONOS_SLURM_HEADERS_H
#define CHRONOS_SLURM_HEADERS_H

#pragma GCC visibility push(default)
#include <slurm/slurm.h>
#include <slurm/spank.h>
#pragma GCC visibility pop

#endif
