/* SPDX-License-Identifier: Apache-2.0 */
/* Track the lives of memory objects; see objects.h. */
#include "objects.h"

#include "functions.h"

#include <stdatomic.h>
#include <stdlib.h>

struct booking_table objects_counted = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Set once an object has to be counted. Most drivers need none; then retain and release only read
 * this flag. */
static atomic_bool counting;

/* Handle the driver's callback that it released the object. */
static void CL_CALLBACK gone(cl_mem object, void *booking)
{
    (void)object;
    booking_end(booking);
}

/* -- counting references ------------------------------------------------------------- */

static bool count_object(cl_mem object, struct booking *booking, cl_mem parent)
{
    layer_lock(&objects_counted.lock);
    booking->uses = 1;
    booking->parent = parent ? booking_table_find(&objects_counted, parent) : NULL;
    bool added =
        (!parent || booking->parent) && booking_table_add(&objects_counted, object, booking);
    if (added && booking->parent)
        booking->parent->uses++;
    if (added)
        atomic_store(&counting, true);
    layer_unlock(&objects_counted.lock);
    return added;
}

/* Remove one reference. Return the bookings that this ends, linked by `next`: the object's, and
 * those of the objects that it was created from. */
static struct booking *uncount(cl_mem object)
{
    struct booking *last = NULL;
    layer_lock(&objects_counted.lock);
    struct booking *at = booking_table_find(&objects_counted, object);
    while (at && --at->uses == 0) {
        struct booking *parent = at->parent;
        booking_table_remove(&objects_counted, at->key);
        at->next = last;
        last = at;
        at = parent;
    }
    layer_unlock(&objects_counted.lock);
    return last;
}

cl_int CL_API_CALL opencl_clRetainMemObject(cl_mem memobj)
{
    cl_int r = layer.next.clRetainMemObject(memobj);
    if (r == CL_SUCCESS && atomic_load_explicit(&counting, memory_order_relaxed)) {
        layer_lock(&objects_counted.lock);
        struct booking *booking = booking_table_find(&objects_counted, memobj);
        if (booking)
            booking->uses++;
        layer_unlock(&objects_counted.lock);
    }
    return r;
}

cl_int CL_API_CALL opencl_clReleaseMemObject(cl_mem memobj)
{
    booking_note_release();
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return layer.next.clReleaseMemObject(memobj);
    /* Forget it first: the driver may reuse the handle at once. */
    struct booking *last = uncount(memobj);
    cl_int r = layer.next.clReleaseMemObject(memobj);
    while (last) {
        struct booking *next = last->next;
        booking_end(last);
        last = next;
    }
    return r;
}

void objects_derived(cl_mem object, cl_mem parent)
{
    if (!object || !atomic_load_explicit(&counting, memory_order_relaxed))
        return;
    struct booking *booking = calloc(1, sizeof(*booking));
    if (booking && !count_object(object, booking, parent))
        free(booking);
}

/* -- finishing create calls ----------------------------------------------------------- */

static void keep(cl_mem object, struct booking *booking)
{
    if (layer.next.clSetMemObjectDestructorCallback &&
        layer.next.clSetMemObjectDestructorCallback(object, gone, booking) == CL_SUCCESS)
        return;
    if (!count_object(object, booking, NULL))
        free(booking); /* stays charged until the program ends: never too little */
}

cl_mem objects_created(cl_mem object, struct booking *booking, cl_int error, cl_int *ret_error)
{
    if (!object)
        booking_free(booking);
    else
        keep(object, booking);
    if (ret_error)
        *ret_error = error;
    return object;
}

cl_mem objects_created_sized(cl_mem object, struct booking *booking, cl_int error, cl_int refusal,
                             cl_int *ret_error)
{
    size_t size = 0;
    if (object &&
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
