/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocation in the books of its partitions: made before the driver is asked,
 * freed when the driver has let go of the memory. A table finds bookings again by
 * the pointer or handle that the driver gave.
 */
#ifndef CHRONOS_OPENCL_BOOKING_H
#define CHRONOS_OPENCL_BOOKING_H

#include "layer.h"

#include <pthread.h>

struct booking {
    uint64_t bytes;
    uint32_t partitions; /* bit i: booked with partition i */
    pid_t owner;         /* the process that did */
    /* In a table. */
    struct booking *next;
    const void *key;
    uint32_t uses;          /* objects.c: references that are known of */
    struct booking *parent; /* objects.c: one of those references is to this */
};

/* Books `bytes` for the context. CL_SUCCESS; CL_MEM_OBJECT_ALLOCATION_FAILURE when
 * that is more than is left, so fewer may fit; CL_OUT_OF_RESOURCES when nothing can
 * be allocated, however little: the partition has ended or cannot be reached;
 * CL_OUT_OF_HOST_MEMORY. */
cl_int booking_new(cl_context context, uint64_t bytes, struct booking **ret_booking);

/* The driver took another size than was thought. Errors as above, and then the
 * booking is as it was; making it smaller always succeeds. */
cl_int booking_resize(struct booking *booking, uint64_t bytes);

/* Gives back what is booked. NULL is fine. */
struct booking *booking_free(struct booking *booking);

#define BOOKING_BUCKETS_MIN 64

struct booking_table {
    pthread_mutex_t lock;
    struct booking **bucket; /* NULL: the table is empty and was always */
    size_t buckets, count;
};

/* With the lock held. Adding says false where there is no memory for a first table. */
bool booking_table_add(struct booking_table *table, const void *key, struct booking *booking);
struct booking *booking_table_find(const struct booking_table *table, const void *key);
struct booking *booking_table_remove(struct booking_table *table, const void *key);

#endif
