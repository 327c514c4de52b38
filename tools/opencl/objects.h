/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a memory object lives. The driver knows best: kernels, commands and parts of it keep
 * an object that the program has released. So the driver calls us when the object ends; where
 * it cannot, references are counted here.
 */
#ifndef CHRONOS_OPENCL_OBJECTS_H
#define CHRONOS_OPENCL_OBJECTS_H

#include "booking.h"

/* The end of every create call. `object` comes from the driver; if that refused, it is NULL,
 * with `error`, and the booking is freed. Sets *ret_error, which may be NULL. Returns object. */
cl_mem objects_created(cl_mem object, struct booking *booking, cl_int error, cl_int *ret_error);

/* The same, where only the driver knows how many bytes it took. Asks it, and releases the object
 * if that is too much, with the error `refusal`. */
cl_mem objects_created_sized(cl_mem object, struct booking *booking, cl_int error, cl_int refusal,
                             cl_int *ret_error);

/* An object was made out of `parent`: it takes no memory, and keeps the parent alive. */
void objects_derived(cl_mem object, cl_mem parent);

/* The objects whose references are counted here; none with most drivers. */
extern struct booking_table objects_counted;

#endif
