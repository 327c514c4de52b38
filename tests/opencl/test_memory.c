/* SPDX-License-Identifier: Apache-2.0 */
/* The bookings of every way to make an object, and when they are given back. Partition p1 has 1000
 * bytes, p2 has 5000. */
#include "common.h"

#include "tools/opencl/image_size.h"

#include <stdlib.h>
#include <string.h>

static const cl_image_format rgba = {CL_RGBA, CL_UNORM_INT8};

/* -- every call that makes an object --------------------------------------------------- */

static cl_mem_properties property_list[] = {0};
static int host;

static cl_mem make_buffer(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateBuffer(context, CL_MEM_USE_HOST_PTR, bytes, &host, error);
}

static cl_mem make_buffer_with(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateBufferWithProperties(context, property_list, CL_MEM_USE_HOST_PTR, bytes,
                                            &host, error);
}

static cl_mem make_buffer_intel(cl_context context, size_t bytes, cl_int *error)
{
    void *address = cl->clGetExtensionFunctionAddressForPlatform(
        fake_platform(0), "clCreateBufferWithPropertiesINTEL");
    clCreateBufferWithPropertiesINTEL_fn function;
    memcpy(&function, &address, sizeof(function));
    return function(context, property_list, CL_MEM_USE_HOST_PTR, bytes, &host, error);
}

static cl_mem make_buffer_nv(cl_context context, size_t bytes, cl_int *error)
{
    void *address = cl->clGetExtensionFunctionAddress("clCreateBufferNV");
    cl_mem (*function)(cl_context, cl_mem_flags, cl_bitfield, size_t, void *, cl_int *);
    memcpy(&function, &address, sizeof(function));
    return function(context, CL_MEM_USE_HOST_PTR, 0, bytes, &host, error);
}

static cl_mem make_by_name(cl_context context, size_t bytes, cl_int *error)
{
    void *address =
        cl->clGetExtensionFunctionAddressForPlatform(fake_platform(0), "clCreateBuffer");
    __typeof__(((cl_icd_dispatch *)0)->clCreateBuffer) function;
    memcpy(&function, &address, sizeof(function));
    return function(context, CL_MEM_USE_HOST_PTR, bytes, &host, error);
}

static cl_mem make_pipe(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreatePipe(context, CL_MEM_USE_HOST_PTR, 4, (cl_uint)bytes / 4, NULL, error);
}

static cl_mem make_image(cl_context context, size_t bytes, cl_int *error)
{
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = bytes / 8, .image_height = 2};
    return cl->clCreateImage(context, CL_MEM_USE_HOST_PTR, &rgba, &desc, &host, error);
}

static cl_mem make_image_with(cl_context context, size_t bytes, cl_int *error)
{
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE1D, .image_width = bytes / 4};
    return cl->clCreateImageWithProperties(context, property_list, CL_MEM_USE_HOST_PTR, &rgba,
                                           &desc, &host, error);
}

static cl_mem make_image_2d(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateImage2D(context, CL_MEM_USE_HOST_PTR, &rgba, bytes / 8, 2, 0, &host, error);
}

static cl_mem make_image_3d(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateImage3D(context, CL_MEM_USE_HOST_PTR, &rgba, bytes / 16, 2, 2, 0, 0, &host,
                               error);
}

static cl_mem import_buffer(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromGLBuffer(context, CL_MEM_USE_HOST_PTR, (cl_GLuint)bytes, error);
}

static cl_mem import_renderbuffer(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromGLRenderbuffer(context, CL_MEM_USE_HOST_PTR, (cl_GLuint)bytes, error);
}

static cl_mem import_texture(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromGLTexture(context, CL_MEM_USE_HOST_PTR, 0, 0, (cl_GLuint)bytes, error);
}

static cl_mem import_texture_2d(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromGLTexture2D(context, CL_MEM_USE_HOST_PTR, 0, 0, (cl_GLuint)bytes, error);
}

static cl_mem import_texture_3d(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromGLTexture3D(context, CL_MEM_USE_HOST_PTR, 0, 0, (cl_GLuint)bytes, error);
}

static cl_mem import_egl(cl_context context, size_t bytes, cl_int *error)
{
    return cl->clCreateFromEGLImageKHR(context, NULL, (CLeglImageKHR)(uintptr_t)bytes,
                                       CL_MEM_USE_HOST_PTR, NULL, error);
}

static const struct way {
    cl_mem (*make)(cl_context context, size_t bytes, cl_int *error);
    cl_int refusal;
    bool driver_first; /* only the driver knows the size */
} ways[] = {
    {make_buffer, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_buffer_with, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_buffer_intel, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_buffer_nv, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_by_name, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_pipe, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_image, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_image_with, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_image_2d, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {make_image_3d, CL_MEM_OBJECT_ALLOCATION_FAILURE, false},
    {import_buffer, CL_OUT_OF_RESOURCES, true},
    {import_renderbuffer, CL_OUT_OF_RESOURCES, true},
    {import_texture, CL_OUT_OF_RESOURCES, true},
    {import_texture_2d, CL_OUT_OF_RESOURCES, true},
    {import_texture_3d, CL_OUT_OF_RESOURCES, true},
    {import_egl, CL_OUT_OF_RESOURCES, true},
};

static void refused(const struct way *way, cl_context context, size_t bytes, cl_int wanted)
{
    cl_int error = 99;
    unsigned before = fake.allocations, live = fake.live;
    uint64_t booked = ledger[0].used;
    ck_assert_ptr_null(way->make(context, bytes, &error));
    ck_assert_int_eq(error, wanted);
    ck_assert_ptr_null(way->make(context, bytes, NULL));
    if (!way->driver_first)
        ck_assert_uint_eq(fake.allocations, before); /* it was not called */
    ck_assert_uint_eq(fake.live, live);
    used(booked);
}

/* To the byte: 400 of 1000 twice, then 208 are too much (of 8 each a pixel), 200 not. */
static void check_way(const struct way *way, cl_context context)
{
    cl_int error = 99;
    cl_mem objects[3];
    fake.last_flags = 0;
    objects[0] = way->make(context, 400, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    if (way->make != make_pipe)
        ck_assert_uint_eq(fake.last_flags, CL_MEM_USE_HOST_PTR);
    objects[1] = way->make(context, 400, NULL);
    ck_assert_ptr_nonnull(objects[1]);
    used(800);
    refused(way, context, 208, way->refusal);
    objects[2] = way->make(context, 192, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    used(992);
    fake.refuse = CL_INVALID_HOST_PTR; /* the driver's own errors come through */
    ck_assert_ptr_null(way->make(context, way->driver_first ? 8 : 0, &error));
    ck_assert_int_eq(error, CL_INVALID_HOST_PTR);
    cl->clReleaseMemObject(objects[1]);
    used(592);
    fake.refuse = CL_INVALID_VALUE;
    ck_assert_ptr_null(way->make(context, 16, &error));
    ck_assert_int_eq(error, CL_INVALID_VALUE);
    used(592);
    cl->clReleaseMemObject(objects[0]);
    cl->clReleaseMemObject(objects[2]);
    used(0);
    ck_assert_uint_eq(fake.live, 0);
}

START_TEST(test_every_way)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        check_way(&ways[i], context);
    ck_assert_uint_ge(fake.properties, 9); /* of three ways that have some */
}
END_TEST

START_TEST(test_every_way_counted)
{
    start("gpu0/p1");
    fake.no_callbacks = true;
    cl_context context = context_of(0);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        check_way(&ways[i], context);
}
END_TEST

/* Not a matter of the size: refused at every call, whatever the size. */
START_TEST(test_nothing_at_all)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl_mem buffer = buffer_of(context, 100, CL_SUCCESS);
    for (int refusal = CHRONOS_CLOSED; refusal <= CHRONOS_UNREACHABLE; refusal++) {
        ledger[0].refuse = refusal;
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
            refused(&ways[i], context, 8, CL_OUT_OF_RESOURCES);
        ck_assert_ptr_null(cl->clSVMAlloc(context, 0, 8, 0));
    }
    cl->clReleaseMemObject(buffer); /* frees always work */
    used(0);
}
END_TEST

/* -- how long an object lives ------------------------------------------------------------- */

START_TEST(test_in_use)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl_mem buffer = buffer_of(context, 600, CL_SUCCESS);
    cl->clRetainMemObject(buffer);
    fake_hold(buffer); /* a kernel's argument */
    cl->clReleaseMemObject(buffer);
    used(600);
    cl->clReleaseMemObject(buffer);
    used(600);
    buffer_of(context, 401, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    fake_let_go(buffer);
    used(0);
    cl_mem other = buffer_of(context, 1000, CL_SUCCESS);
    cl->clReleaseContext(context); /* objects outlive the context that they were made in */
    used(1000);
    cl->clReleaseMemObject(other);
    used(0);
}
END_TEST

static cl_mem part_of(cl_mem buffer)
{
    const cl_buffer_region region = {0, 100};
    cl_mem part = cl->clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, NULL);
    ck_assert_ptr_nonnull(part);
    return part;
}

static cl_mem image_over(cl_context context, cl_mem buffer, bool with_properties)
{
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = 100, .mem_object = buffer};
    cl_mem image = with_properties
                       ? cl->clCreateImageWithProperties(context, NULL, 0, &rgba, &desc, NULL, NULL)
                       : cl->clCreateImage(context, 0, &rgba, &desc, NULL, NULL);
    ck_assert_ptr_nonnull(image);
    return image;
}

static void check_parts(cl_context context)
{
    cl_mem buffer = buffer_of(context, 600, CL_SUCCESS);
    cl_mem part = part_of(buffer), image = image_over(context, buffer, false);
    cl_mem other = image_over(context, buffer, true);
    used(600);
    cl->clReleaseMemObject(buffer);
    used(600);
    cl->clReleaseMemObject(image);
    cl->clRetainMemObject(part);
    cl->clReleaseMemObject(part);
    cl->clReleaseMemObject(other);
    used(600);
    cl->clReleaseMemObject(part);
    used(0);
    ck_assert_uint_eq(fake.live, 0);
}

START_TEST(test_parts)
{
    start("gpu0/p1");
    check_parts(context_of(0));
}
END_TEST

START_TEST(test_parts_counted)
{
    start("gpu0/p1");
    fake.no_callbacks = true;
    check_parts(context_of(0));
}
END_TEST

/* Freed memory can be had again at once, even when the driver reports the end later; memory
 * that stays is waited for once and in vain. */
START_TEST(test_told_later)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    fake.late = true;
    cl_mem small = buffer_of(context, 300, CL_SUCCESS);
    cl->clRetainMemObject(small);
    cl->clReleaseMemObject(small);
    for (int i = 0; i < 5; i++) {
        cl_mem a = buffer_of(context, 300, CL_SUCCESS), b = buffer_of(context, 400, CL_SUCCESS);
        buffer_of(context, 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
        unsigned sleeps = fake.sleeps;
        buffer_of(context, 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
        ck_assert_uint_eq(fake.sleeps, sleeps);
        cl->clReleaseMemObject(a);
        cl->clReleaseMemObject(b);
        cl_mem both = buffer_of(context, 700, CL_SUCCESS);
        buffer_of(context, 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
        cl->clReleaseMemObject(both);
    }
    ck_assert_ptr_nonnull(cl->clSVMAlloc(context, 0, 700, 0));
    used(1000);
}
END_TEST

/* A driver that reports the end of some objects and not of others. */
START_TEST(test_counted_and_not)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl_mem told = buffer_of(context, 100, CL_SUCCESS);
    fake.no_callbacks = true;
    cl_mem counted = buffer_of(context, 200, CL_SUCCESS);
    fake.no_callbacks = false;
    cl_mem part = part_of(told);
    cl->clRetainMemObject(counted);
    cl->clReleaseMemObject(told);
    cl->clReleaseMemObject(counted);
    used(300);
    cl->clReleaseMemObject(part);
    used(200);
    cl->clReleaseMemObject(counted);
    used(0);
}
END_TEST

/* -- images --------------------------------------------------------------------------------- */

static cl_mem image_that_takes(cl_context context, uint64_t bytes, cl_int wanted)
{
    cl_int error = 99;
    fake.takes = bytes;
    cl_mem image = make_image(context, 400, &error);
    ck_assert_int_eq(error, wanted);
    return image;
}

START_TEST(test_images_trued_up)
{
    start("gpu0/p1");
    cl_context context = context_of(0);
    cl_mem image = image_that_takes(context, 512, CL_SUCCESS);
    used(512);
    cl_mem smaller = image_that_takes(context, 300, CL_SUCCESS);
    used(812);
    image_that_takes(context, 1001, CL_MEM_OBJECT_ALLOCATION_FAILURE); /* 400 do not fit */
    cl->clReleaseMemObject(smaller);
    used(512);
    image_that_takes(context, 489, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    used(512);
    ck_assert_uint_eq(fake.live, 1);
    cl_mem exact = image_that_takes(context, 488, CL_SUCCESS);
    used(1000);
    cl->clReleaseMemObject(exact);
    cl->clReleaseMemObject(image);
    used(0);
    /* Nonsense is for the driver to judge. */
    ck_assert_ptr_nonnull(cl->clCreateImage(context, 0, NULL, NULL, NULL, NULL));
}
END_TEST

START_TEST(test_image_sizes)
{
    static const struct {
        cl_image_format format;
        cl_image_desc desc;
        uint64_t bytes;
    } rows[] = {
        {{CL_R, CL_UNORM_INT8}, {.image_type = CL_MEM_OBJECT_IMAGE1D, .image_width = 7}, 7},
        {{CL_RG, CL_HALF_FLOAT}, {CL_MEM_OBJECT_IMAGE2D, 3, 5, 9, 9, 0, 0, 0, 0, {0}}, 60},
        {{CL_RGBA, CL_FLOAT}, {CL_MEM_OBJECT_IMAGE3D, 3, 5, 7, 9, 0, 0, 0, 0, {0}}, 1680},
        {{CL_RGB, CL_UNORM_SHORT_565}, {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}}, 200},
        {{CL_RGBx, CL_UNORM_INT_101010},
         {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}},
         400},
        {{CL_DEPTH, CL_UNORM_INT16}, {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}}, 200},
        {{CL_sBGRA, CL_UNORM_INT8}, {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}}, 400},
        /* Arrays have layers, and one of them has no height. */
        {{CL_R, CL_SIGNED_INT32},
         {CL_MEM_OBJECT_IMAGE1D_ARRAY, 10, 99, 99, 6, 0, 0, 0, 0, {0}},
         240},
        {{CL_R, CL_SIGNED_INT8}, {CL_MEM_OBJECT_IMAGE2D_ARRAY, 10, 2, 99, 6, 0, 0, 0, 0, {0}}, 120},
        /* 8x4, 4x2, 2x1, 1x1 */
        {{CL_R, CL_UNORM_INT8}, {CL_MEM_OBJECT_IMAGE2D, 8, 4, 0, 0, 0, 0, 4, 0, {0}}, 43},
        {{CL_R, CL_UNORM_INT8}, {CL_MEM_OBJECT_IMAGE2D, 8, 4, 0, 0, 0, 0, 1, 0, {0}}, 32},
        {{CL_R, CL_UNORM_INT8},
         {CL_MEM_OBJECT_IMAGE2D, SIZE_MAX, 2, 0, 0, 0, 0, 0, 0, {0}},
         UINT64_MAX},
        {{CL_RGBA, CL_FLOAT},
         {CL_MEM_OBJECT_IMAGE2D, SIZE_MAX / 8, 1, 0, 0, 0, 0, 0, 0, {0}},
         UINT64_MAX},
        {{CL_R, CL_UNORM_INT8},
         {CL_MEM_OBJECT_IMAGE2D, SIZE_MAX, 1, 0, 0, 0, 0, 3, 0, {0}},
         UINT64_MAX},
        {{0x9999, CL_FLOAT}, {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}}, 0},
        {{CL_R, 0x9999}, {CL_MEM_OBJECT_IMAGE2D, 10, 10, 0, 0, 0, 0, 0, 0, {0}}, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(image_size(&rows[i].format, &rows[i].desc) == rows[i].bytes, "row %zu: %llu",
                      i, (unsigned long long)image_size(&rows[i].format, &rows[i].desc));
    ck_assert_uint_eq(image_size(NULL, &rows[0].desc), 0);
    ck_assert_uint_eq(image_size(&rows[0].format, NULL), 0);
}
END_TEST

/* -- several partitions ------------------------------------------------------------------------ */

START_TEST(test_two_partitions)
{
    start("gpu0/p1 gpu1/p2");
    cl_context both = context_of_both(), second = context_of(1), part;
    cl_device_id part_of_second = fake_part(1);
    cl_mem a = buffer_of(both, 700, CL_SUCCESS);
    cl_mem b = buffer_of(second, 4000, CL_SUCCESS);
    used(700);
    ck_assert_uint_eq(ledger[1].used, 4700);
    buffer_of(both, 301, CL_MEM_OBJECT_ALLOCATION_FAILURE); /* the second one would refuse, too */
    cl->clReleaseMemObject(a);
    used(0);
    buffer_of(both, 1000 + 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    cl_mem c = buffer_of(second, 500, CL_SUCCESS);
    buffer_of(both, 600, CL_MEM_OBJECT_ALLOCATION_FAILURE); /* the first had agreed */
    used(0);
    ck_assert_uint_eq(ledger[1].used, 4500);
    cl->clReleaseMemObject(b);
    part = cl->clCreateContext(NULL, 1, &part_of_second, NULL, NULL, NULL);
    cl_mem d = buffer_of(part, 4500, CL_SUCCESS);
    cl->clReleaseMemObject(c);
    cl->clReleaseMemObject(d);
    used(0);
    ck_assert_uint_eq(ledger[1].used, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_every_way,       test_every_way_counted, test_nothing_at_all, test_in_use,
        test_parts,           test_parts_counted,     test_told_later,     test_counted_and_not,
        test_images_trued_up, test_image_sizes,       test_two_partitions};
    return run_tests("memory", tests, ARRAY_COUNT(tests));
}
