/* SPDX-License-Identifier: Apache-2.0 */
/* The start of the layer, the devices that it shows, and their properties. */
#include "common.h"

#include "tools/opencl/functions.h"

#include <CL/cl_layer.h>
#include <stdlib.h>
#include <string.h>

typedef __typeof__(clInitLayer) *init_function;
cl_int CL_API_CALL clInitLayerWithProperties(cl_uint, const cl_icd_dispatch *, cl_uint *,
                                             const cl_icd_dispatch **, const cl_properties *);

/* -- the start ------------------------------------------------------------------------ */

START_TEST(test_info)
{
    cl_layer_api_version version = 0;
    char name[16] = "";
    size_t length = 0;

    ck_assert_int_eq(clGetLayerInfo(CL_LAYER_API_VERSION, sizeof(version), &version, &length), 0);
    ck_assert_uint_eq(version, CL_LAYER_API_VERSION_100);
    ck_assert_uint_eq(length, sizeof(version));
    ck_assert_int_eq(clGetLayerInfo(CL_LAYER_API_VERSION, sizeof(version), &version, NULL), 0);
    ck_assert_int_eq(clGetLayerInfo(CL_LAYER_API_VERSION, 3, &version, NULL), CL_INVALID_VALUE);
    ck_assert_int_eq(clGetLayerInfo(CL_LAYER_NAME, 0, NULL, &length), 0);
    ck_assert_uint_eq(length, sizeof("chronos"));
    ck_assert_int_eq(clGetLayerInfo(CL_LAYER_NAME, sizeof(name), name, NULL), 0);
    ck_assert_str_eq(name, "chronos");
    ck_assert_int_eq(clGetLayerInfo(0x4242, sizeof(name), name, NULL), CL_INVALID_VALUE);
}
END_TEST

static cl_int init_new(cl_uint entries, const cl_icd_dispatch *target, cl_uint *ret_entries,
                       const cl_icd_dispatch **ret_table)
{
    static const cl_properties properties[] = {0};
    return clInitLayerWithProperties(entries, target, ret_entries, ret_table, properties);
}

static bool same(const cl_icd_dispatch *a, const cl_icd_dispatch *b, size_t i)
{
    return ((void *const *)a)[i] == ((void *const *)b)[i];
}

static void check_transparent(init_function init)
{
    cl_icd_dispatch *table = fake_table(FAKE_ENTRIES);
    cl_uint entries = 0;
    ck_assert_int_eq(init(FAKE_ENTRIES, table, &entries, &cl), CL_SUCCESS);
    ck_assert_uint_eq(entries, FAKE_ENTRIES);
    ck_assert_mem_eq(cl, table, FAKE_ENTRIES * sizeof(void *));
    free(table);
}

START_TEST(test_transparent)
{
    unsetenv("CHRONOS_PARTITION");
    check_transparent(clInitLayer);
    setenv("CHRONOS_PARTITION", "", 1);
    check_transparent(init_new);
    ck_assert_int_eq(clInitLayer(0, cl, &(cl_uint){0}, &cl), CL_INVALID_VALUE);
    ck_assert_int_eq(clInitLayer(9, NULL, &(cl_uint){0}, &cl), CL_INVALID_VALUE);
    ck_assert_int_eq(clInitLayer(9, cl, NULL, &cl), CL_INVALID_VALUE);
    ck_assert_int_eq(clInitLayer(9, cl, &(cl_uint){0}, NULL), CL_INVALID_VALUE);
}
END_TEST

/* Only necessary functions are replaced; missing ones of the loader stay missing. */
START_TEST(test_what_is_wrapped)
{
    size_t wrapped = 0, wanted = 0;
    cl_icd_dispatch *table = fake_table(FAKE_ENTRIES);
    start("gpu0/p1");
    for (size_t i = 0; i < FAKE_ENTRIES; i++)
        wrapped += !same(cl, table, i);
#define COUNT(name) wanted += table->name && cl->name == opencl_##name;
    OPENCL_FUNCTIONS(COUNT)
    ck_assert_uint_eq(wrapped, wanted);
    ck_assert_uint_eq(wrapped, 25);
    ck_assert(!cl->clEnqueueNDRangeKernel);
    table->clCreatePipe = NULL; /* a loader of OpenCL 1.2 */
    ck_assert_int_eq(clInitLayer(FAKE_ENTRIES, table, &(cl_uint){0}, &cl), CL_SUCCESS);
    ck_assert(!cl->clCreatePipe);
    free(table);
}
END_TEST

static void check_table(init_function init, size_t entries)
{
    cl_icd_dispatch *table = fake_table(entries);
    cl_uint ret = 0;
    start("gpu0/p1");
    ck_assert_int_eq(init((cl_uint)entries, table, &ret, &cl), CL_SUCCESS);
    ck_assert_uint_eq(ret, entries);
    ck_assert(cl->clGetDeviceIDs == opencl_clGetDeviceIDs);
    ck_assert(cl->clGetContextInfo == table->clGetContextInfo);
    for (size_t i = FAKE_ENTRIES; i < entries; i++)
        ck_assert(same(cl, table, i));
    free(table);
    cl_context context = context_of(0);
    cl_mem buffer = cl->clCreateBuffer(context, 0, 10, NULL, NULL);
    ck_assert_ptr_nonnull(buffer);
    ck_assert_uint_eq(ledger[0].used, 10);
}

START_TEST(test_long_table)
{
    check_table(init_new, FAKE_ENTRIES_LONG);
}
END_TEST

/* The memory checkers notice reads past the end of the table. Functions beyond it cannot be
 * called, such as the one that reports the end of an object. */
START_TEST(test_short_table)
{
    check_table(clInitLayer, FAKE_ENTRIES_SHORT);
}
END_TEST

START_TEST(test_longest_table)
{
    enum { LONGEST = 3000 };
    cl_icd_dispatch *target = fake_table(LONGEST);
    cl_uint entries = 0;
    start("gpu0/p1");
    ck_assert_int_eq(clInitLayer(LONGEST, target, &entries, &cl), CL_SUCCESS);
    ck_assert_uint_ge(entries, FAKE_ENTRIES_LONG);
    ck_assert_uint_lt(entries, LONGEST);
    for (size_t i = FAKE_ENTRIES; i < entries; i++)
        ck_assert(same(cl, target, i));
    free(target);
}
END_TEST

START_TEST(test_named_twice)
{
    cl_uint entries = 0;
    start("gpu0/p1");
    const cl_icd_dispatch below = *cl; /* loaders copy what they get */
    ck_assert_int_eq(clInitLayer(FAKE_ENTRIES, &below, &entries, &cl), CL_SUCCESS);
    ck_assert_mem_eq(cl, &below, sizeof(below));
    cl_mem buffer = cl->clCreateBuffer(context_of(0), 0, 10, NULL, NULL);
    ck_assert_ptr_nonnull(buffer);
    ck_assert_uint_eq(ledger[0].used, 10);
    ck_assert_uint_eq(fake.allocations, 1);
}
END_TEST

/* -- lists of devices ------------------------------------------------------------------- */

static void check_devices(unsigned platform, cl_device_type type, unsigned device, cl_int wanted)
{
    cl_device_id ids[3] = {NULL, NULL, NULL};
    cl_uint count = 99;
    cl_int r = cl->clGetDeviceIDs(fake_platform(platform), type, 3, ids, &count);
    ck_assert_int_eq(r, wanted);
    ck_assert_uint_eq(count, wanted == CL_SUCCESS ? 1 : 0);
    ck_assert_ptr_eq(ids[0], wanted == CL_SUCCESS ? fake_device(device) : NULL);
    ck_assert_ptr_null(ids[1]);
    r = cl->clGetDeviceIDs(fake_platform(platform), type, 0, NULL, &count);
    ck_assert_int_eq(r, wanted);
}

START_TEST(test_only_ours)
{
    start("gpu0/p1");
    check_devices(0, CL_DEVICE_TYPE_ALL, 0, CL_SUCCESS);
    check_devices(0, CL_DEVICE_TYPE_GPU, 0, CL_SUCCESS);
    check_devices(0, CL_DEVICE_TYPE_DEFAULT, 0, CL_SUCCESS); /* the driver's is 1 */
    check_devices(0, CL_DEVICE_TYPE_CPU, 0, CL_DEVICE_NOT_FOUND);
    check_devices(1, CL_DEVICE_TYPE_ALL, 2, CL_SUCCESS); /* the same card */
    check_devices(1, CL_DEVICE_TYPE_CPU, 0, CL_DEVICE_NOT_FOUND);
    check_devices(2, CL_DEVICE_TYPE_ALL, 0, CL_DEVICE_NOT_FOUND);
}
END_TEST

START_TEST(test_the_second)
{
    start("gpu1/p2");
    check_devices(0, CL_DEVICE_TYPE_ALL, 1, CL_SUCCESS);
    check_devices(1, CL_DEVICE_TYPE_ALL, 0, CL_DEVICE_NOT_FOUND);
}
END_TEST

START_TEST(test_a_list)
{
    cl_device_id ids[2];
    cl_uint count = 0;
    start("gpu1/p2 gpu0/p1");
    cl_platform_id platform = fake_platform(0);
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 2, ids, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_eq(ids[0], fake_device(0));
    ck_assert_ptr_eq(ids[1], fake_device(1));
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_DEFAULT, 2, ids, &count), 0);
    ck_assert_uint_eq(count, 1);
    ids[1] = NULL; /* room for one: the number is complete */
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, ids, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(ids[1]);
}
END_TEST

START_TEST(test_wrong_questions)
{
    cl_device_id id;
    cl_uint count = 7;
    start("gpu0/p1");
    cl_platform_id platform = fake_platform(0);
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, &id, &count),
                     CL_INVALID_VALUE);
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    ck_assert_int_eq(cl->clGetDeviceIDs(NULL, CL_DEVICE_TYPE_ALL, 1, &id, &count),
                     CL_INVALID_PLATFORM);
    ck_assert_int_eq(cl->clGetDeviceIDs(platform, 0, 1, &id, &count), CL_INVALID_DEVICE_TYPE);
    ck_assert_uint_eq(count, 7);
}
END_TEST

/* -- contexts ------------------------------------------------------------------------------ */

static cl_int create_context(unsigned count, cl_device_id a, cl_device_id b)
{
    cl_device_id ids[] = {a, b};
    cl_int error = 99;
    cl_context context = cl->clCreateContext(NULL, count, ids, NULL, NULL, &error);
    ck_assert_int_eq(!context, error != CL_SUCCESS);
    cl_context silent = cl->clCreateContext(NULL, count, ids, NULL, NULL, NULL);
    ck_assert_int_eq(!silent, !context);
    return error;
}

START_TEST(test_contexts)
{
    start("gpu0/p1");
    ck_assert_int_eq(create_context(1, fake_device(0), NULL), CL_SUCCESS);
    ck_assert_int_eq(create_context(1, fake_device(2), NULL), CL_SUCCESS);
    ck_assert_int_eq(create_context(1, fake_device(1), NULL), CL_INVALID_DEVICE);
    ck_assert_int_eq(create_context(1, fake_device(3), NULL), CL_INVALID_DEVICE);
    ck_assert_int_eq(create_context(2, fake_device(0), fake_device(1)), CL_INVALID_DEVICE);
    ck_assert_int_eq(create_context(1, fake_part(0), NULL), CL_SUCCESS);
    ck_assert_int_eq(create_context(1, fake_part(1), NULL), CL_INVALID_DEVICE);
    ck_assert_int_eq(create_context(0, NULL, NULL), CL_INVALID_VALUE); /* the driver's word */
    fake.no_parents = true;
    ck_assert_int_eq(create_context(1, fake_device(0), NULL), CL_SUCCESS);
    ck_assert_int_eq(create_context(1, fake_device(1), NULL), CL_INVALID_DEVICE);
}
END_TEST

static cl_int from_type(cl_platform_id platform, cl_device_type type, unsigned device)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)platform, 0};
    cl_int error = 99;
    cl_device_id ids[4] = {NULL};
    size_t length = 0;
    int data;
    cl_context context =
        cl->clCreateContextFromType(platform ? properties : NULL, type, NULL, &data, &error);
    ck_assert_int_eq(!context, error != CL_SUCCESS);
    if (!context)
        return error;
    ck_assert_ptr_eq(fake.last_data, &data);
    ck_assert_int_eq(cl->clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof(ids), ids, &length),
                     0);
    ck_assert_uint_eq(length, sizeof(ids[0]));
    ck_assert_ptr_eq(ids[0], fake_device(device));
    return error;
}

START_TEST(test_contexts_from_type)
{
    start("gpu0/p1");
    ck_assert_int_eq(from_type(NULL, CL_DEVICE_TYPE_ALL, 0), CL_SUCCESS);
    ck_assert_int_eq(from_type(NULL, CL_DEVICE_TYPE_DEFAULT, 0), CL_SUCCESS);
    ck_assert_int_eq(from_type(fake_platform(1), CL_DEVICE_TYPE_GPU, 2), CL_SUCCESS);
    ck_assert_int_eq(from_type(fake_platform(1), CL_DEVICE_TYPE_CPU, 0), CL_DEVICE_NOT_FOUND);
    ck_assert_int_eq(from_type(fake_platform(2), CL_DEVICE_TYPE_ALL, 0), CL_DEVICE_NOT_FOUND);
    ck_assert_int_eq(from_type(NULL, CL_DEVICE_TYPE_CPU, 0), CL_DEVICE_NOT_FOUND);
    fake.wants_platform = true;
    ck_assert_int_eq(from_type(NULL, CL_DEVICE_TYPE_ALL, 0), CL_INVALID_PLATFORM);
    ck_assert_int_eq(from_type(fake_platform(1), CL_DEVICE_TYPE_GPU, 2), CL_SUCCESS);
    fake.wants_platform = false;
}
END_TEST

/* -- sizes of memory -------------------------------------------------------------------------- */

static cl_ulong number(cl_device_id device, cl_device_info what)
{
    cl_ulong value = 0;
    size_t length = 0;
    ck_assert_int_eq(cl->clGetDeviceInfo(device, what, sizeof(value), &value, &length), 0);
    ck_assert_uint_eq(length, sizeof(value));
    return value;
}

START_TEST(test_memory_told)
{
    start("gpu0/p1");
    for (cl_device_id device = fake_device(0); device;
         device = device == fake_device(0) ? fake_part(0) : NULL) {
        tree_write("gpu0/p1/memory_limit", "1000");
        ck_assert_uint_eq(number(device, CL_DEVICE_GLOBAL_MEM_SIZE), 1000);
        ck_assert_uint_eq(number(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE), 1000);
        tree_write("gpu0/p1/memory_limit", "600000000"); /* resized */
        ck_assert_uint_eq(number(device, CL_DEVICE_GLOBAL_MEM_SIZE), 600000000);
        ck_assert_uint_eq(number(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE), FAKE_MEMORY / 4);
    }
    tree_write("gpu0/p1/memory_limit", "9000000000000"); /* never more than there is */
    ck_assert_uint_eq(number(fake_device(0), CL_DEVICE_GLOBAL_MEM_SIZE), FAKE_MEMORY);
    ck_assert_uint_eq(number(fake_device(1), CL_DEVICE_GLOBAL_MEM_SIZE), FAKE_MEMORY);
    tree_write("gpu0/p1/memory_limit", "2000");
    ck_assert_uint_eq(number(fake_device(0), CL_DEVICE_GLOBAL_MEM_SIZE), 2000);
    tree_remove("gpu0/p1/memory_limit"); /* ended: the last known figure */
    ck_assert_uint_eq(number(fake_device(0), CL_DEVICE_GLOBAL_MEM_SIZE), 2000);
}
END_TEST

START_TEST(test_free_memory_told)
{
    size_t kib[2] = {0, 0}, length = 0;
    cl_device_id device = fake_device(0);
    const cl_device_info what = CL_DEVICE_GLOBAL_FREE_MEMORY_AMD;
    start("gpu0/p1");
    tree_write("gpu0/p1/memory_limit", "600000000");
    tree_write("gpu0/p1/memory_used", "100000000");
    ck_assert_int_eq(cl->clGetDeviceInfo(device, what, sizeof(kib), kib, &length), 0);
    ck_assert_uint_eq(length, sizeof(kib));
    ck_assert_uint_eq(kib[0], 500000000 / 1024);
    ck_assert_uint_eq(kib[1], FAKE_MEMORY / 4096);
    tree_write("gpu0/p1/memory_used", "600000001");
    ck_assert_int_eq(cl->clGetDeviceInfo(device, what, sizeof(kib), kib, NULL), 0);
    ck_assert_uint_eq(kib[0] + kib[1], 0);
}
END_TEST

START_TEST(test_the_rest_is_untouched)
{
    char name[16];
    size_t length = 0;
    start("gpu0/p1");
    cl_device_id device = fake_device(0);
    ck_assert_int_eq(cl->clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof(name), name, &length), 0);
    ck_assert_str_eq(name, "Fake GPU");
    ck_assert_uint_eq(length, 9);
    ck_assert_int_eq(cl->clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, 0, NULL, &length), 0);
    ck_assert_uint_eq(length, 8);
    ck_assert_int_eq(cl->clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, 4, name, NULL),
                     CL_INVALID_VALUE);
}
END_TEST

/* -- the filesystem cannot be reached -------------------------------------------------------------
 */

START_TEST(test_unreachable_refused)
{
    tree_remove("gpu0/key");
    start("gpu0/p1");
    check_devices(0, CL_DEVICE_TYPE_ALL, 0, CL_DEVICE_NOT_FOUND);
    ck_assert_int_eq(create_context(1, fake_device(0), NULL), CL_DEVICE_NOT_AVAILABLE);
    ck_assert_int_eq(from_type(NULL, CL_DEVICE_TYPE_ALL, 0), CL_DEVICE_NOT_FOUND);
    cl_int error = 0;
    ck_assert_ptr_null(cl->clCreateBuffer(NULL, 0, 1, NULL, &error));
    ck_assert_int_eq(error, CL_OUT_OF_RESOURCES);
    ck_assert_uint_eq(fake.allocations, 0);
    tree_write("gpu0/key", FAKE_KEY_0); /* it is back */
    check_devices(0, CL_DEVICE_TYPE_ALL, 0, CL_SUCCESS);
}
END_TEST

START_TEST(test_unreachable_allowed)
{
    cl_device_id ids[2];
    cl_uint count = 0;
    tree_remove("gpu0/key");
    start_allowing("gpu0/p1");
    ck_assert_int_eq(cl->clGetDeviceIDs(fake_platform(0), CL_DEVICE_TYPE_ALL, 2, ids, &count), 0);
    ck_assert_uint_eq(count, 2);
    cl_context context = cl->clCreateContextFromType(NULL, CL_DEVICE_TYPE_ALL, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(context);
    ck_assert_ptr_nonnull(context_of(1));
    cl_mem buffer = cl->clCreateBuffer(context, 0, 5000, NULL, NULL);
    ck_assert_ptr_nonnull(buffer);
    ck_assert_uint_eq(ledger[0].used, 0);
    tree_write("gpu0/key", FAKE_KEY_0); /* it is back: from now on bookings count */
    ck_assert_ptr_null(cl->clCreateBuffer(context, 0, 5000, NULL, NULL));
    ck_assert_ptr_nonnull(cl->clCreateBuffer(context, 0, 500, NULL, NULL));
    ck_assert_uint_eq(ledger[0].used, 500);
    cl->clReleaseMemObject(buffer);
    ck_assert_uint_eq(ledger[0].used, 500);
    check_devices(0, CL_DEVICE_TYPE_ALL, 0, CL_SUCCESS);
}
END_TEST

/* An ended partition is not an unreachable one: the policy allows nothing there. */
START_TEST(test_ended_before)
{
    tree_remove("gpu0/p1/memory_limit");
    tree_remove("gpu0/p1/memory_used");
    tree_remove("gpu0/p1");
    start_allowing("gpu0/p1");
    check_devices(0, CL_DEVICE_TYPE_ALL, 0, CL_DEVICE_NOT_FOUND);
    ck_assert_int_eq(create_context(1, fake_device(0), NULL), CL_INVALID_DEVICE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_info,
                                  test_transparent,
                                  test_what_is_wrapped,
                                  test_long_table,
                                  test_short_table,
                                  test_longest_table,
                                  test_named_twice,
                                  test_only_ours,
                                  test_the_second,
                                  test_a_list,
                                  test_wrong_questions,
                                  test_contexts,
                                  test_contexts_from_type,
                                  test_memory_told,
                                  test_free_memory_told,
                                  test_the_rest_is_untouched,
                                  test_unreachable_refused,
                                  test_unreachable_allowed,
                                  test_ended_before};
    return run_tests("devices", tests, ARRAY_COUNT(tests));
}
