/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's driver library, opened at run time. Call it in the driver process only. */
#ifndef CHRONOS_GPU_CUDA_H
#define CHRONOS_GPU_CUDA_H

#include "survey.h"
#include "vendor.h"

/* Compare the driver's functions with those of the library setup->layer. *survey is zeroed. */
void cuda_survey(const struct gpu_setup *setup, struct gpu_survey *survey);
/* Measure a context on each device that the setup names, as the vendor `nvml` reports it. */
void cuda_measure(const struct gpu_setup *setup, const struct gpu_vendor *nvml,
                  struct gpu_survey *survey);

#endif
