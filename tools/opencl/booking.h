/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocation charged to its partitions. Charge it before calling the driver, and free it after
 * the driver has released the memory. A table finds bookings by the pointer or handle from the
 * driver.
 */
#ifndef CHRONOS_OPENCL_BOOKING_H
#define CHRONOS_OPENCL_BOOKING_H

#include "layer.h"

#include <pthread.h>

struct booking {
    uint64_t bytes;
    uint32_t partitions; /* bit i: charged to partition i */
    pid_t owner;         /* the process that charged it */
    /* For a table: */
    struct booking *next;
    const void *key;
    uint32_t uses;          /* objects.c: known references */
    struct booking *parent; /* objects.c: the object that this one keeps alive */
};

/* Charge `bytes` to the partitions of the context. CL_SUCCESS; CL_MEM_OBJECT_ALLOCATION_FAILURE:
 * exceeds what is left, fewer may fit; CL_OUT_OF_RESOURCES: nothing can be allocated, as the
 * partition has ended or cannot be reached; CL_OUT_OF_HOST_MEMORY. */
cl_int booking_new(cl_context context, uint64_t bytes, struct booking **ret_booking);

/* Correct the size to what the driver allocated. Errors as above, leaving the booking unchanged;
 * reducing it always succeeds. */
cl_int booking_resize(struct booking *booking, uint64_t bytes);

/* Release the charge. NULL is fine. */
struct booking *booking_free(struct booking *booking);

/* Record a release, so that booking_new can wait until its memory is free. booking_end frees the
 * booking of an object that has ended. */
void booking_note_release(void);
void booking_end(struct booking *booking);

#define BOOKING_BUCKETS_MIN 64

struct booking_table {
    pthread_mutex_t lock;
    struct booking **bucket; /* NULL: nothing was ever added */
    size_t buckets, count;
};

/* Call with the lock held. Adding fails only without memory for the first buckets. */
bool booking_table_add(struct booking_table *table, const void *key, struct booking *booking);
struct booking *booking_table_find(const struct booking_table *table, const void *key);
struct booking *booking_table_remove(struct booking_table *table, const void *key);

#endif
