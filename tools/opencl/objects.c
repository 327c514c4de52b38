/* SPDX-License-Identifier: Apache-2.0 */
/* See objects.h. */
#include "objects.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct booking_table objects_counted = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Whether there ever was an object that has to be counted: with most drivers there is
 * none, and retain and release cost one look at this. */
static atomic_bool counting;

/* -- the driver tells -------------------------------------------------------------- */

/* How often the program released something, and how many objects have ended. */
static _Atomic uint64_t released, ended;
static _Atomic uint64_t waited_for; /* of `released`: that many were waited for in vain */

#define WAIT_STEP_NS 200000
#define WAIT_STEPS   100

static void CL_CALLBACK gone(cl_mem object, void *booking)
{
    (void)object;
    booking_free(booking);
    atomic_fetch_add(&ended, 1);
}

uint64_t objects_gone(void)
{
    return atomic_load(&ended);
}

bool objects_wait(uint64_t *seen)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_NS};
    uint64_t before = *seen, releases = atomic_load(&released);
    bool worth = releases > objects_gone() && releases != atomic_load(&waited_for);

    *seen = objects_gone();
    for (int i = 0; worth && *seen == before && i < WAIT_STEPS; i++) {
        nanosleep(&step, NULL);
        *seen = objects_gone();
    }
    if (worth && *seen == before)
        atomic_store(&waited_for, releases);
    return *seen != before;
}

/* -- we count ------------------------------------------------------------------------ */

static bool count_object(cl_mem object, struct booking *booking, cl_mem parent)
{
    pthread_mutex_lock(&objects_counted.lock);
    booking->uses = 1;
    booking->parent = parent != NULL ? booking_table_find(&objects_counted, parent) : NULL;
    bool added = (parent == NULL || booking->parent != NULL) &&
                 booking_table_add(&objects_counted, object, booking);
    if (added && booking->parent != NULL)
        booking->parent->uses++;
    if (added)
        atomic_store(&counting, true);
    pthread_mutex_unlock(&objects_counted.lock);
    return added;
}

/* One use less. Gives the bookings that end by it, linked by `next`: the object's,
 * and those that it was made out of. */
static struct booking *uncount(cl_mem object)
{
    struct booking *last = NULL;
    pthread_mutex_lock(&objects_counted.lock);
    struct booking *at = booking_table_find(&objects_counted, object);
    while (at != NULL && --at->uses == 0) {
        struct booking *parent = at->parent;
        booking_table_remove(&objects_counted, at->key);
        at->next = last;
        last = at;
        at = parent;
    }
    pthread_mutex_unlock(&objects_counted.lock);
    return last;
}

cl_int CL_API_CALL opencl_clRetainMemObject(cl_mem memobj)
{
    cl_int error = layer.next.clRetainMemObject(memobj);
    if (error == CL_SUCCESS && atomic_load_explicit(&counting, memory_order_relaxed)) {
        pthread_mutex_lock(&objects_counted.lock);
        struct booking *booking = booking_table_find(&objects_counted, memobj);
        if (booking != NULL)
            booking->uses++;
        pthread_mutex_unlock(&objects_counted.lock);
    }
    return error;
}

cl_int CL_API_CALL opencl_clReleaseMemObject(cl_mem memobj)
{
    atomic_fetch_add_explicit(&released, 1, memory_order_relaxed);
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return layer.next.clReleaseMemObject(memobj);
    /* Forgotten first: the handle may come again as soon as the driver has let go. */
    struct booking *last = uncount(memobj);
    cl_int error = layer.next.clReleaseMemObject(memobj);
    while (last != NULL) {
        struct booking *next = last->next;
        gone(NULL, last);
        last = next;
    }
    return error;
}

void objects_derived(cl_mem object, cl_mem parent)
{
    if (object == NULL || !atomic_load_explicit(&counting, memory_order_relaxed))
        return;
    struct booking *booking = calloc(1, sizeof(*booking));
    if (booking != NULL && !count_object(object, booking, parent))
        free(booking);
}

/* -- the end of a create call --------------------------------------------------------- */

static void keep(cl_mem object, struct booking *booking)
{
    if (layer.next.clSetMemObjectDestructorCallback != NULL &&
        layer.next.clSetMemObjectDestructorCallback(object, gone, booking) == CL_SUCCESS)
        return;
    if (!count_object(object, booking, NULL))
        free(booking); /* stays booked until the program ends: never too little */
}

cl_mem objects_created(cl_mem object, struct booking *booking, cl_int error, cl_int *ret_error)
{
    if (object == NULL)
        booking_free(booking);
    else
        keep(object, booking);
    if (ret_error != NULL)
        *ret_error = error;
    return object;
}

cl_mem objects_created_sized(cl_mem object, struct booking *booking, cl_int error, cl_int refusal,
                             cl_int *ret_error)
{
    size_t size = 0;
    if (object != NULL &&
        layer.next.clGetMemObjectInfo(object, CL_MEM_SIZE, sizeof(size), &size, NULL) ==
            CL_SUCCESS &&
        size != booking->bytes) {
        cl_int refused = booking_resize(booking, size);
        if (refused != CL_SUCCESS) {
            layer.next.clReleaseMemObject(object);
            booking_free(booking);
            return layer_refuse(refused == CL_MEM_OBJECT_ALLOCATION_FAILURE ? refusal : refused,
                                ret_error);
        }
    }
    return objects_created(object, booking, error, ret_error);
}
