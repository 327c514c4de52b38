/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CUDA's driver does here, asked when the daemon starts: gpu_survey. What contexts take is
 * measured once a device and driver version, and then kept in the file `contexts` of the state
 * directory.
 */
#ifndef CHRONOS_DAEMON_CONTEXTS_H
#define CHRONOS_DAEMON_CONTEXTS_H

#include "core/gpu/survey.h"

/* Ask about the devices, unless `shim` is "" (it is not on this machine) or CUDA sees none of them.
 * What is not known is 0 in *ret_survey, which is logged. */
void contexts_find(const char *state_dir, const struct gpu_list *devices, const char *shim,
                   struct gpu_survey *ret_survey);

#endif
