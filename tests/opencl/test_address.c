/* SPDX-License-Identifier: Apache-2.0 */
/* The bookings of memory by address: shared virtual memory, and Intel's unified shared memory. */
#include "common.h"

#include "tools/opencl/svm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_svm)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    void *memory = cl->clSVMAlloc(context, CL_MEM_READ_WRITE, 600, 0);
    ck_assert_ptr_nonnull(memory);
    ck_assert_uint_eq(fake.last_flags, CL_MEM_READ_WRITE);
    used(600);
    unsigned before = fake.allocations;
    ck_assert_ptr_null(cl->clSVMAlloc(context, 0, 401, 0));
    ck_assert_uint_eq(fake.allocations, before);
    fake.refuse = CL_OUT_OF_RESOURCES;
    ck_assert_ptr_null(cl->clSVMAlloc(context, 0, 400, 0));
    used(600);
    cl->clSVMFree(context, NULL);
    used(600);
    cl->clSVMFree(context, memory);
    used(0);
    ck_assert_uint_eq(fake.live, 0);
}
END_TEST

/* Many pieces, found again in any order. */
START_TEST(test_svm_many)
{
    enum { COUNT = 1000 };
    void *memory[COUNT];
    start("gpu0/p1");
    cl_context context = context_of(0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            memory[i] = cl->clSVMAlloc(context, 0, 1, 0);
        used(COUNT);
        for (int i = 0; i < COUNT; i++) {
            cl->clSVMFree(context, memory[(i * 7 + round) % COUNT]);
            used((uint64_t)(COUNT - 1 - i));
        }
    }
    ck_assert_uint_ge(svm_table.buckets, COUNT); /* it grew while it held entries */
}
END_TEST

/* Another thread gets the address as soon as the driver has it back. */
static cl_context its_context;

static void allocate_again(void *memory)
{
    fake.during_free = NULL;
    fake.give = memory;
    ck_assert_ptr_eq(cl->clSVMAlloc(its_context, 0, 200, 0), memory);
    used(800); /* memory in the course of being freed is not free yet */
}

START_TEST(test_svm_same_address)
{
    start("gpu0/p1");
    its_context = context_of(0);
    void *memory = cl->clSVMAlloc(its_context, 0, 600, 0);
    fake.during_free = allocate_again;
    cl->clSVMFree(its_context, memory);
    used(200);
}
END_TEST

static void CL_CALLBACK free_myself(cl_command_queue queue, cl_uint count, void *memory[],
                                    void *context)
{
    (void)queue;
    for (cl_uint i = 0; i < count; i++)
        cl->clSVMFree(context, memory[i]);
}

static void check_enqueued(cl_context context, bool by_myself)
{
    void *memory[] = {cl->clSVMAlloc(context, 0, 300, 0), cl->clSVMAlloc(context, 0, 400, 0)};
    cl_command_queue queue = fake_queue(context);
    ck_assert_int_eq(cl->clEnqueueSVMFree(queue, 2, memory, by_myself ? free_myself : NULL,
                                          by_myself ? context : NULL, 0, NULL, NULL),
                     CL_SUCCESS);
    used(700); /* not run yet, so not free yet */
    ck_assert_ptr_null(cl->clSVMAlloc(context, 0, 301, 0));
    fake_run();
    used(0);
    ck_assert_uint_eq(fake.live, 0);
}

START_TEST(test_svm_enqueued)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    fake.hold_commands = true;
    check_enqueued(context, false);
    check_enqueued(context, true);
    void *memory = cl->clSVMAlloc(context, 0, 300, 0);
    cl_int error = cl->clEnqueueSVMFree(NULL, 1, &memory, NULL, NULL, 0, NULL, NULL);
    ck_assert_int_eq(error, CL_INVALID_COMMAND_QUEUE);
    used(300);
    cl->clSVMFree(context, memory);
    used(0);
}
END_TEST

static void *address(const char *name, bool of_platform)
{
    return of_platform ? cl->clGetExtensionFunctionAddressForPlatform(fake_platform(0), name)
                       : cl->clGetExtensionFunctionAddress(name);
}

static void check_usm(cl_context context, const char *allocate, const char *give_back,
                      bool of_platform)
{
    clDeviceMemAllocINTEL_fn alloc;
    clMemFreeINTEL_fn release;
    cl_int error = 99;
    memcpy(&alloc, &(void *){address(allocate, of_platform)}, sizeof(alloc));
    memcpy(&release, &(void *){address(give_back, of_platform)}, sizeof(release));

    void *memory = alloc(context, fake_device(0), NULL, 600, 0, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    used(600);
    unsigned before = fake.allocations;
    ck_assert_ptr_null(alloc(context, fake_device(0), NULL, 401, 0, &error));
    ck_assert_int_eq(error, CL_OUT_OF_RESOURCES);
    ck_assert_ptr_null(alloc(context, fake_device(0), NULL, 401, 0, NULL));
    ck_assert_uint_eq(fake.allocations, before);
    fake.refuse = CL_INVALID_BUFFER_SIZE;
    ck_assert_ptr_null(alloc(context, fake_device(0), NULL, 400, 0, &error));
    ck_assert_int_eq(error, CL_INVALID_BUFFER_SIZE);
    used(600);
    fake.free_fails = true; /* then it still exists */
    ck_assert_int_eq(release(context, memory), CL_INVALID_VALUE);
    used(600);
    fake.free_fails = false;
    ck_assert_int_eq(release(context, memory), CL_SUCCESS);
    used(0);
}

START_TEST(test_usm)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    check_usm(context, "clDeviceMemAllocINTEL", "clMemFreeINTEL", true);
    check_usm(context, "clSharedMemAllocINTEL", "clMemFreeINTEL", false);
    check_usm(context, "clSharedMemAllocINTEL", "clMemBlockingFreeINTEL", true);
    clDeviceMemAllocINTEL_fn on_second; /* the same device, through a context of another platform */
    memcpy(&on_second, &(void *){address("clDeviceMemAllocINTEL", true)}, sizeof(on_second));
    void *there = on_second(context_of(2), fake_device(2), NULL, 10, 0, NULL);
    ck_assert_ptr_eq(fake.last_platform, fake_platform(1));
    used(10);
    cl->clSVMFree(context, there);
    clHostMemAllocINTEL_fn alloc; /* the host's memory is not the device's */
    memcpy(&alloc, &(void *){address("clHostMemAllocINTEL", true)}, sizeof(alloc));
    void *memory = alloc(context, NULL, 5000, 0, NULL);
    used(0);
    clMemFreeINTEL_fn release;
    memcpy(&release, &(void *){address("clMemFreeINTEL", true)}, sizeof(release));
    ck_assert_int_eq(release(context, memory), CL_SUCCESS);
    used(0);
    ck_assert_uint_eq(fake.live, 0);
    ck_assert_ptr_null(address("clCreatePipe", true)); /* the driver gives no such name */
    ck_assert_ptr_null(address("clFooBAR", false));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_svm, test_svm_many, test_svm_same_address, test_svm_enqueued,
                                  test_usm};
    return run_tests("address", tests, ARRAY_COUNT(tests));
}
