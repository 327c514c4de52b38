/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Track the lives of memory objects. The driver knows best: kernels, commands and sub-objects keep
 * an object that the program has released. So let the driver call back when the object ends; where
 * it cannot, count references here.
 */
#ifndef CHRONOS_OPENCL_OBJECTS_H
#define CHRONOS_OPENCL_OBJECTS_H

#include "booking.h"

/* Finish a create call. `object` comes from the driver; if the driver refused, `object` is NULL,
 * `error` says why, and the booking is freed. Set *ret_error, which may be NULL. Return object. */
cl_mem objects_created(cl_mem object, struct booking *booking, cl_int error, cl_int *ret_error);

/* Like objects_created, if only the driver knows the size. Query it, and release the object with
 * the error `refusal` if it is too large. */
cl_mem objects_created_sized(cl_mem object, struct booking *booking, cl_int error, cl_int refusal,
                             cl_int *ret_error);

/* Record that an object was created from `parent`: it takes no memory, and keeps the parent
 * alive. */
void objects_derived(cl_mem object, cl_mem parent);

/* Objects whose references are counted here; none with most drivers. */
extern struct booking_table objects_counted;

#endif
