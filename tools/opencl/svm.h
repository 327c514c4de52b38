/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that programs identify by address: shared virtual memory, and Intel's unified memory. */
#ifndef CHRONOS_OPENCL_SVM_H
#define CHRONOS_OPENCL_SVM_H

#include "booking.h"

/* All such allocations, by address. */
extern struct booking_table svm_table;

#endif
