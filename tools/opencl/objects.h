/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a memory object lives. The driver knows best: kernels, commands and parts
 * of it hold an object that the program has released. So it is asked to call us when
 * the object goes; where it cannot, references are counted here.
 */
#ifndef CHRONOS_OPENCL_OBJECTS_H
#define CHRONOS_OPENCL_OBJECTS_H

#include "booking.h"

/* The end of every create call. `object` is what the driver gave, NULL with `error`
 * where it refused; then the booking is freed. Sets *ret_error where there is one. */
cl_mem objects_created(cl_mem object, struct booking *booking, cl_int error, cl_int *ret_error);

/* The same, where only the driver knows how many bytes it took: it is asked, and the
 * object is released again if that is too much, with `refusal` for an error. */
cl_mem objects_created_sized(cl_mem object, struct booking *booking, cl_int error, cl_int refusal,
                             cl_int *ret_error);

/* An object was made out of `parent`, which costs nothing and keeps it alive. */
void objects_derived(cl_mem object, cl_mem parent);

/* A driver may tell of an end from a thread of its own, a moment after the program let
 * go (NVIDIA's does), and a program that frees and allocates at once must not be refused
 * for that. objects_gone: how many have ended. objects_wait: whether more have since
 * *seen, which is brought up to date; waits for it a moment where the program has
 * released something that may be on its way. */
uint64_t objects_gone(void);
bool objects_wait(uint64_t *seen);

/* Where references are counted; empty with most drivers. */
extern struct booking_table objects_counted;

#endif
