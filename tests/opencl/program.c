/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL program that executes the lines of its standard input and prints one line for
 * each. It links to the loader as every program does and knows nothing of partitions. Errors
 * are printed as OpenCL's numbers.
 *
 *   devices            the number of devices of all platforms
 *   memory I           size and largest allocation of device I
 *   context I          a context and a queue on device I; without this, on device 0
 *   alloc N            a buffer of N bytes: "0 HANDLE" or the error
 *   image W H          an image of bytes
 *   svm N              shared virtual memory
 *   fill H             writes to all of a buffer or memory, so that it is really allocated
 *   part H N           a sub-buffer
 *   free H             releases; freelater H: a command does (svm)
 *   kernel N           squares N numbers: their sum
 *   loop COUNT N       allocates and frees N bytes again and again: nanoseconds each
 *   enqueue COUNT      runs an empty kernel again and again: nanoseconds each
 *   hop COUNT          a call that no layer wraps, again and again: picoseconds each
 *   exit CODE
 */
#define CL_TARGET_OPENCL_VERSION 200
#include <CL/cl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEVICES_MAX 16
#define HANDLES_MAX 4096

static cl_device_id device[DEVICES_MAX];
static cl_uint devices;
static cl_device_id used;
static cl_context context;
static cl_command_queue queue;

static struct {
    cl_mem object;
    void *memory;
    size_t bytes;
} handle[HANDLES_MAX];
static int handles;

static void find_devices(void)
{
    cl_platform_id platform[8];
    cl_uint platforms = 0;
    devices = 0;
    clGetPlatformIDs(8, platform, &platforms);
    for (cl_uint i = 0; i < platforms && i < 8 && devices < DEVICES_MAX; i++) {
        cl_uint count = 0;
        if (clGetDeviceIDs(platform[i], CL_DEVICE_TYPE_ALL, DEVICES_MAX - devices, device + devices,
                           &count) == CL_SUCCESS)
            devices += count;
    }
}

static cl_int open_context(int i)
{
    cl_int error;
    find_devices();
    if (i < 0 || (cl_uint)i >= devices)
        return CL_DEVICE_NOT_FOUND;
    used = device[i];
    context = clCreateContext(NULL, 1, &used, NULL, NULL, &error);
    if (context)
        queue = clCreateCommandQueueWithProperties(context, used, NULL, &error);
    return error;
}

static bool have_context(void)
{
    return context || open_context(0) == CL_SUCCESS;
}

static int keep(cl_mem object, void *memory, size_t bytes)
{
    handle[handles].object = object;
    handle[handles].memory = memory;
    handle[handles].bytes = bytes;
    return handles++;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- memory ----------------------------------------------------------------------------- */

static void answer(cl_mem object, cl_int error, size_t bytes)
{
    if (!object)
        printf("%d\n", error);
    else
        printf("0 %d\n", keep(object, NULL, bytes));
}

static void alloc(size_t bytes)
{
    cl_int error = CL_DEVICE_NOT_FOUND;
    cl_mem object =
        have_context() ? clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &error) : NULL;
    answer(object, error, bytes);
}

static void image(size_t width, size_t height)
{
    const cl_image_format format = {CL_R, CL_UNSIGNED_INT8};
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = width, .image_height = height};
    cl_int error = CL_DEVICE_NOT_FOUND;
    cl_mem object = have_context()
                        ? clCreateImage(context, CL_MEM_READ_WRITE, &format, &desc, NULL, &error)
                        : NULL;
    answer(object, error, width * height);
}

static void svm(size_t bytes)
{
    void *memory = have_context() ? clSVMAlloc(context, CL_MEM_READ_WRITE, bytes, 0) : NULL;
    if (!memory)
        printf("null\n");
    else
        printf("0 %d\n", keep(NULL, memory, bytes));
}

static void fill(int i)
{
    const unsigned char pattern = 7;
    cl_int error = CL_SUCCESS;
    if (handle[i].memory)
        error = clEnqueueSVMMemFill(queue, handle[i].memory, &pattern, 1, handle[i].bytes, 0, NULL,
                                    NULL);
    else
        error = clEnqueueFillBuffer(queue, handle[i].object, &pattern, 1, 0, handle[i].bytes, 0,
                                    NULL, NULL);
    printf("%d\n", error | clFinish(queue));
}

static void part(int i, size_t bytes)
{
    const cl_buffer_region region = {0, bytes};
    cl_int error = CL_SUCCESS;
    answer(clCreateSubBuffer(handle[i].object, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error),
           error, bytes);
}

static void release(int i)
{
    cl_int error = CL_SUCCESS;
    if (handle[i].memory)
        clSVMFree(context, handle[i].memory);
    else
        error = clReleaseMemObject(handle[i].object);
    printf("%d\n", error);
}

static void release_later(int i)
{
    cl_int error = clEnqueueSVMFree(queue, 1, &handle[i].memory, NULL, NULL, 0, NULL, NULL);
    printf("%d\n", error | clFinish(queue));
}

static void loop(int count, size_t bytes)
{
    if (!have_context()) {
        printf("no context\n");
        return;
    }
    int64_t began_ns = now_ns();
    for (int i = 0; i < count; i++)
        clReleaseMemObject(clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, NULL));
    printf("%lld\n", (long long)(now_ns() - began_ns) / count);
}

/* -- kernels ------------------------------------------------------------------------------ */

static cl_kernel build(const char *source, const char *name)
{
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    if (!program || clBuildProgram(program, 1, &used, NULL, NULL, NULL) != CL_SUCCESS)
        return NULL;
    return clCreateKernel(program, name, NULL);
}

static void kernel(size_t count)
{
    if (!have_context()) {
        printf("no context\n");
        return;
    }
    cl_kernel square = build("kernel void square(global uint *a)"
                             "{ a[get_global_id(0)] = get_global_id(0) * get_global_id(0); }",
                             "square");
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4 * count, NULL, NULL);
    cl_uint *numbers = calloc(count, sizeof(*numbers)), sum = 0;
    cl_int error = clSetKernelArg(square, 0, sizeof(buffer), &buffer);
    error |= clEnqueueNDRangeKernel(queue, square, 1, NULL, &count, NULL, 0, NULL, NULL);
    error |= clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, 4 * count, numbers, 0, NULL, NULL);
    clReleaseMemObject(buffer);
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    free(numbers);
    clReleaseKernel(square);
    printf("%d %u\n", error, sum);
}

static void enqueue(int count)
{
    const size_t one = 1;
    cl_kernel empty = have_context() ? build("kernel void empty(void) {}", "empty") : NULL;
    int64_t began_ns = now_ns();
    for (int i = 0; i < count; i++) {
        clEnqueueNDRangeKernel(queue, empty, 1, NULL, &one, NULL, 0, NULL, NULL);
        if (i % 64 == 63)
            clFinish(queue);
    }
    clFinish(queue);
    printf("%lld\n", (long long)(now_ns() - began_ns) / count);
}

static void hop(int count)
{
    if (!have_context()) {
        printf("no context\n");
        return;
    }
    int64_t began_ns = now_ns();
    for (int i = 0; i < count; i += 2) {
        clRetainContext(context);
        clReleaseContext(context);
    }
    printf("%lld\n", (long long)((now_ns() - began_ns) * 1000 / count));
}

/* -- the main loop ---------------------------------------------------------------------------- */

static void memory(int i)
{
    cl_ulong size = 0, largest = 0;
    find_devices();
    clGetDeviceInfo(device[i], CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(size), &size, NULL);
    clGetDeviceInfo(device[i], CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(largest), &largest, NULL);
    printf("%llu %llu\n", (unsigned long long)size, (unsigned long long)largest);
}

static void obey(const char *word, size_t a, size_t b)
{
    if (strcmp(word, "devices") == 0) {
        find_devices();
        printf("%u\n", devices);
    } else if (strcmp(word, "memory") == 0) {
        memory((int)a);
    } else if (strcmp(word, "context") == 0) {
        printf("%d\n", open_context((int)a));
    } else if (strcmp(word, "alloc") == 0) {
        alloc(a);
    } else if (strcmp(word, "image") == 0) {
        image(a, b);
    } else if (strcmp(word, "svm") == 0) {
        svm(a);
    } else if (strcmp(word, "fill") == 0) {
        fill((int)a);
    } else if (strcmp(word, "part") == 0) {
        part((int)a, b);
    } else if (strcmp(word, "free") == 0) {
        release((int)a);
    } else if (strcmp(word, "freelater") == 0) {
        release_later((int)a);
    } else if (strcmp(word, "kernel") == 0) {
        kernel(a);
    } else if (strcmp(word, "loop") == 0) {
        loop((int)a, b);
    } else if (strcmp(word, "enqueue") == 0) {
        enqueue((int)a);
    } else if (strcmp(word, "hop") == 0) {
        hop((int)a);
    } else if (strcmp(word, "exit") == 0) {
        fflush(stdout);
        _exit((int)a);
    } else {
        printf("what?\n");
    }
}

int main(void)
{
    char line[256], word[32];
    while (fgets(line, sizeof(line), stdin)) {
        size_t a = 0, b = 0;
        if (sscanf(line, "%31s %zu %zu", word, &a, &b) < 1)
            continue;
        obey(word, a, b);
        fflush(stdout);
    }
    return 0;
}
