/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charge shared virtual memory; see svm.h. To free memory, remove the booking from the table, call
 * the driver, then release the charge: the driver may reuse the address as soon as it has freed it,
 * and the bytes are not free earlier.
 */
#include "svm.h"

#include "extensions.h"
#include "functions.h"

struct booking_table svm_table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *keep(void *memory, struct booking *booking)
{
    bool kept = false;
    if (memory) {
        layer_lock(&svm_table.lock);
        kept = booking_table_add(&svm_table, memory, booking);
        layer_unlock(&svm_table.lock);
    }
    if (!kept)
        booking_free(booking);
    return memory;
}

static struct booking *take(const void *memory)
{
    layer_lock(&svm_table.lock);
    struct booking *booking = booking_table_remove(&svm_table, memory);
    layer_unlock(&svm_table.lock);
    return booking;
}

/* -- shared virtual memory ----------------------------------------------------------- */

void *CL_API_CALL opencl_clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size,
                                    cl_uint alignment)
{
    struct booking *booking;
    if (booking_new(context, size, &booking) != CL_SUCCESS)
        return NULL;
    return keep(layer.next.clSVMAlloc(context, flags, size, alignment), booking);
}

void CL_API_CALL opencl_clSVMFree(cl_context context, void *svm_pointer)
{
    struct booking *booking = take(svm_pointer);
    layer.next.clSVMFree(context, svm_pointer);
    booking_free(booking);
}

/* Free the memory; the driver calls this when it executes the command. */
static void CL_CALLBACK free_now(cl_command_queue queue, cl_uint num_svm_pointers,
                                 void *svm_pointers[], void *context)
{
    (void)queue;
    for (cl_uint i = 0; i < num_svm_pointers; i++)
        opencl_clSVMFree(context, svm_pointers[i]);
}

/* Pass our callback if the program passes none. A program's own callback then calls clSVMFree. */
cl_int CL_API_CALL opencl_clEnqueueSVMFree(
    cl_command_queue command_queue, cl_uint num_svm_pointers, void *svm_pointers[],
    void(CL_CALLBACK *pfn_free_func)(cl_command_queue queue, cl_uint num_svm_pointers,
                                     void *svm_pointers[], void *user_data),
    void *user_data, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
    cl_event *event)
{
    cl_context context = NULL;
    if (!pfn_free_func &&
        layer.next.clGetCommandQueueInfo(command_queue, CL_QUEUE_CONTEXT, sizeof(context), &context,
                                         NULL) == CL_SUCCESS) {
        pfn_free_func = free_now;
        user_data = context;
    }
    return layer.next.clEnqueueSVMFree(command_queue, num_svm_pointers, svm_pointers, pfn_free_func,
                                       user_data, num_events_in_wait_list, event_wait_list, event);
}

/* -- Intel's unified memory ------------------------------------------------------------ */

static void *allocate_intel(const char *name, cl_context context, cl_device_id device,
                            const cl_mem_properties_intel *properties, size_t size,
                            cl_uint alignment, cl_int *ret_error)
{
    struct booking *booking;
    clDeviceMemAllocINTEL_fn next = (clDeviceMemAllocINTEL_fn)extensions_next(context, name);
    if (!next)
        return layer_refuse(CL_INVALID_CONTEXT, ret_error);
    cl_int r = booking_new(context, size, &booking);
    if (r != CL_SUCCESS) /* the extension has no error for memory objects */
        return layer_refuse(r == CL_MEM_OBJECT_ALLOCATION_FAILURE ? CL_OUT_OF_RESOURCES : r,
                            ret_error);
    return keep(next(context, device, properties, size, alignment, ret_error), booking);
}

void *CL_API_CALL opencl_clDeviceMemAllocINTEL(cl_context context, cl_device_id device,
                                               const cl_mem_properties_intel *properties,
                                               size_t size, cl_uint alignment, cl_int *errcode_ret)
{
    return allocate_intel("clDeviceMemAllocINTEL", context, device, properties, size, alignment,
                          errcode_ret);
}

void *CL_API_CALL opencl_clSharedMemAllocINTEL(cl_context context, cl_device_id device,
                                               const cl_mem_properties_intel *properties,
                                               size_t size, cl_uint alignment, cl_int *errcode_ret)
{
    return allocate_intel("clSharedMemAllocINTEL", context, device, properties, size, alignment,
                          errcode_ret);
}

static cl_int free_intel(const char *name, cl_context context, void *memory)
{
    clMemFreeINTEL_fn next = (clMemFreeINTEL_fn)extensions_next(context, name);
    if (!next)
        return CL_INVALID_CONTEXT;
    struct booking *booking = take(memory);
    cl_int r = next(context, memory);
    if (r == CL_SUCCESS)
        booking_free(booking);
    else if (booking)
        keep(memory, booking);
    return r;
}

cl_int CL_API_CALL opencl_clMemFreeINTEL(cl_context context, void *ptr)
{
    return free_intel("clMemFreeINTEL", context, ptr);
}

cl_int CL_API_CALL opencl_clMemBlockingFreeINTEL(cl_context context, void *ptr)
{
    return free_intel("clMemBlockingFreeINTEL", context, ptr);
}
