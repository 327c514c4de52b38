/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of the layer: a made-up tree, and the layer over the fake driver. A
 * layer starts once in a process, so every test has one of its own. */
#ifndef CHRONOS_TESTS_OPENCL_COMMON_H
#define CHRONOS_TESTS_OPENCL_COMMON_H

#include "fake_charge.h"
#include "fake_driver.h"

#include "core/base/array.h"

#include "tests/check.h"

/* The functions as a program sees them. */
extern const cl_icd_dispatch *cl;
extern char tree[SCRATCH_MAX]; /* gpu0/p1 with FAKE_KEY_0 and gpu1/p2 with FAKE_KEY_1 */

void tree_write(const char *name, const char *text);
void tree_remove(const char *name);

/* Starts the layer with these in CHRONOS_PARTITION, relative to the tree, separated by spaces. */
void start(const char *partitions);
void start_allowing(const char *partitions);

/* Makes a context of one device, or of the first two of platform 0. */
cl_context context_of(unsigned device);
cl_context context_of_both(void);

/* Asserts that this much of p1 is booked. */
void used(uint64_t bytes);
/* Makes a buffer of this context; the driver's result must be `wanted`. */
cl_mem buffer_of(cl_context context, size_t bytes, cl_int wanted);
/* Runs the tests, each in a process. Returns the exit status. */
int run_tests(const char *name, const TTest *const *tests, size_t count);

#endif
