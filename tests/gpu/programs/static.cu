/* SPDX-License-Identifier: Apache-2.0 */
/* A program with the runtime linked into it, as nvcc does it: the stages of stages.py. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sched.h>
#include <vector>

static __device__ float kept[24 << 20]; /* 96 MiB of the module */

static __global__ void squares(float *out, int count)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count)
        out[at] = (float)(at % 11) * (at % 11) + kept[at];
}

static void wait_for_line()
{
    char line[16];
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(1);
}

static double work()
{
    const int count = 100000;
    std::vector<float> result(count);
    float *out;
    if (cudaMalloc(&out, count * sizeof(*out)) != cudaSuccess)
        return -1;
    squares<<<(count + 255) / 256, 256>>>(out, count);
    cudaMemcpy(result.data(), out, count * sizeof(*out), cudaMemcpyDeviceToHost);
    cudaFree(out);
    double sum = 0;
    for (float value : result)
        sum += value;
    return sum;
}

/* -- memory that no call of the program asks for ---------------------------------------- */

static __global__ void local_memory(int *out, int of)
{
    volatile char own[8192];
    for (int i = 0; i < 8192; i += 512)
        own[(i + of) % 8192] = (char)i;
    out[threadIdx.x] = own[of % 8192];
}

static __global__ void prints()
{
    if (threadIdx.x == 0)
        printf("\n");
}

static __global__ void allocates(int **out)
{
    out[threadIdx.x] = (int *)malloc(1024);
    if (out[threadIdx.x])
        *out[threadIdx.x] = 1;
}

static void stage(const char *name)
{
    cudaError_t error = cudaDeviceSynchronize();
    printf("{\"stage\": \"%s\", \"error\": \"%s\"}\n", name, cudaGetErrorName(error));
    wait_for_line();
}

static int kernels()
{
    void *out;
    cudaMalloc(&out, 1 << 20);
    stage("a context");
    local_memory<<<132, 256>>>((int *)out, 3);
    stage("8 KiB of local memory a thread");
    prints<<<1, 32>>>();
    stage("printf");
    allocates<<<1, 256>>>((int **)out);
    stage("malloc in a kernel");
    return 0;
}

/* -- what a call costs --------------------------------------------------------------------- */

static double now()
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

#define TIMED(times, call)                                                                     \
    do {                                                                                       \
        double began = now();                                                                  \
        for (int i = 0; i < times; i++) {                                                      \
            call;                                                                              \
        }                                                                                      \
        printf("%s\"%s\": %.0f", comma, #call, (now() - began) / times);                       \
        comma = ", ";                                                                          \
    } while (0)

static int costs()
{
    void *at;
    size_t left, total;
    cudaStream_t stream;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(1, &cores);
    sched_setaffinity(0, sizeof(cores), &cores); /* the same for both */
    cudaStreamCreate(&stream);
    cudaMalloc(&at, 4096); /* a block of small ones is there */
    for (;;) {
        const char *comma = "";
        printf("{");
        TIMED(200, cudaMalloc(&at, 4 << 20); cudaFree(at));
        TIMED(2000, cudaMalloc(&at, 4096); cudaFree(at));
        TIMED(20000, cudaMallocAsync(&at, 4096, stream); cudaFreeAsync(at, stream));
        cudaStreamSynchronize(stream);
        TIMED(2000, cudaMemGetInfo(&left, &total));
        TIMED(2000, cudaStreamSynchronize(stream));
        TIMED(2000, (squares<<<1, 32, 0, stream>>>((float *)at, 0)));
        cudaDeviceSynchronize();
        printf("}\n");
        wait_for_line();
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "kernels") == 0)
        return kernels();
    if (argc > 1 && strcmp(argv[1], "costs") == 0)
        return costs();
    size_t left, total, filled = 0;
    cudaDeviceProp properties;
    cudaMemGetInfo(&left, &total);
    cudaGetDeviceProperties(&properties, 0);
    printf("{\"stage\": \"work\", \"result\": %.1f, \"total\": %zu, \"managed\": %zu}\n", work(),
           total >> 20, properties.totalGlobalMem >> 20);
    wait_for_line();
    if (argc > 1 && strcmp(argv[1], "reference") == 0)
        return 0;
    std::vector<void *> pieces;
    cudaError_t error = cudaSuccess;
    for (size_t piece = 256 << 20; piece >= 2 << 20; piece /= 8) {
        void *at;
        while (filled < 2 * total && (error = cudaMalloc(&at, piece)) == cudaSuccess) {
            pieces.push_back(at);
            filled += piece;
        }
    }
    printf("{\"stage\": \"full\", \"filled\": %zu, \"error\": \"%s\", \"text\": \"\"}\n",
           filled >> 20, cudaGetErrorName(error));
    wait_for_line();
    for (void *at : pieces)
        cudaFree(at);
    cudaGetLastError();
    printf("{\"stage\": \"again\", \"result\": %.1f}\n", work());
    wait_for_line();
    return 0;
}
