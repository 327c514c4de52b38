/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that programs have by its address: shared virtual memory, and Intel's
 * unified memory, whose functions programs ask for by name (extensions.c). */
#ifndef CHRONOS_OPENCL_SVM_H
#define CHRONOS_OPENCL_SVM_H

#include "booking.h"

__typeof__(*(clDeviceMemAllocINTEL_fn)0) opencl_clDeviceMemAllocINTEL;
__typeof__(*(clSharedMemAllocINTEL_fn)0) opencl_clSharedMemAllocINTEL;
__typeof__(*(clMemFreeINTEL_fn)0) opencl_clMemFreeINTEL;
__typeof__(*(clMemBlockingFreeINTEL_fn)0) opencl_clMemBlockingFreeINTEL;

/* All that is allocated, by its address. */
extern struct booking_table svm_table;

#endif
