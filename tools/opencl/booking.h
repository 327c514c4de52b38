/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocation, counted against its partitions: made before the driver is called, freed when
 * the driver has released the memory. A table finds bookings by the pointer or handle that the
 * driver gave.
 */
#ifndef CHRONOS_OPENCL_BOOKING_H
#define CHRONOS_OPENCL_BOOKING_H

#include "layer.h"

#include <pthread.h>

struct booking {
    uint64_t bytes;
    uint32_t partitions; /* bit i: charged to partition i */
    pid_t owner;         /* the process that did */
    /* In a table. */
    struct booking *next;
    const void *key;
    uint32_t uses;          /* objects.c: known references */
    struct booking *parent; /* objects.c: one of those references is to this */
};

/* Charges `bytes` to the partitions of the context. CL_SUCCESS;
 * CL_MEM_OBJECT_ALLOCATION_FAILURE: more than is left, fewer may fit; CL_OUT_OF_RESOURCES:
 * nothing can be allocated, as the partition has ended or cannot be reached;
 * CL_OUT_OF_HOST_MEMORY. */
cl_int booking_new(cl_context context, uint64_t bytes, struct booking **ret_booking);

/* Corrects the size to what the driver took. Errors as above, with the booking unchanged;
 * making it smaller always succeeds. */
cl_int booking_resize(struct booking *booking, uint64_t bytes);

/* Gives the bytes back. NULL is fine. */
struct booking *booking_free(struct booking *booking);

/* Around the end of an object, so that booking_new can wait for one that is on its way: the
 * program released something; and frees the booking of an object that has ended. */
void booking_note_release(void);
void booking_end(struct booking *booking);

#define BOOKING_BUCKETS_MIN 64

struct booking_table {
    pthread_mutex_t lock;
    struct booking **bucket; /* NULL: the table is empty and was always */
    size_t buckets, count;
};

/* With the lock held. Adding fails if there is no memory for a first table. */
bool booking_table_add(struct booking_table *table, const void *key, struct booking *booking);
struct booking *booking_table_find(const struct booking_table *table, const void *key);
struct booking *booking_table_remove(struct booking_table *table, const void *key);

#endif
