/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program with a signal handler that forks, in the middle of its allocations too. One
 * thread allocates by a stream. Prints 1 if all children ended well.
 *
 * The C library's own fork waits forever if its thread was interrupted inside malloc, and drivers
 * allocate as much as the shim does. So the program has a malloc of its own that takes no lock:
 * then a hang is the shim's.
 */
#include "tools/cuda/driver.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

CUresult cuInit(unsigned flags);
CUresult cuCtxSetCurrent(CUcontext context);

#define FORKS   200
#define THREADS 2

/* -- malloc: from one mapping, with a list of freed pieces for each thread and size ------- */

#define HEAP_BYTES ((size_t)1 << 30)
#define UNIT       16   /* alignment, and room for the size in front */
#define SMALL      1024 /* larger pieces are not used again */

static char heap[HEAP_BYTES] __attribute__((aligned(UNIT)));
static atomic_size_t heap_used;
static __thread void *spare[SMALL / UNIT + 1] __attribute__((tls_model("initial-exec")));

static size_t size_of(const void *piece)
{
    size_t bytes;
    memcpy(&bytes, (const char *)piece - sizeof(bytes), sizeof(bytes));
    return bytes;
}

#pragma GCC visibility push(default) /* for the libraries, too */

void *memalign(size_t alignment, size_t bytes)
{
    if (bytes > HEAP_BYTES || alignment > HEAP_BYTES)
        return NULL;
    alignment = alignment < UNIT ? UNIT : alignment;
    bytes = (bytes + UNIT - 1) / UNIT * UNIT;
    size_t at = atomic_fetch_add(&heap_used, UNIT + alignment + bytes) + UNIT;
    at = (at + alignment - 1) / alignment * alignment;
    if (at + bytes > HEAP_BYTES)
        abort();
    memcpy(heap + at - sizeof(bytes), &bytes, sizeof(bytes));
    return heap + at;
}

void *malloc(size_t bytes)
{
    void **list = bytes <= SMALL ? &spare[(bytes + UNIT - 1) / UNIT] : NULL;
    if (!list || !*list)
        return memalign(UNIT, bytes < UNIT ? UNIT : bytes);
    void *piece = *list;
    memcpy(list, piece, sizeof(*list));
    return piece;
}

void free(void *piece)
{
    size_t bytes = piece ? size_of(piece) : 0;
    if (bytes == 0 || bytes > SMALL)
        return;
    memcpy(piece, &spare[bytes / UNIT], sizeof(void *));
    spare[bytes / UNIT] = piece;
}

void *calloc(size_t count, size_t size)
{
    void *piece = malloc(count * size);
    return piece ? memset(piece, 0, count * size) : NULL;
}

void *realloc(void *old, size_t bytes)
{
    void *piece = malloc(bytes);
    if (old && piece)
        memcpy(piece, old, size_of(old) < bytes ? size_of(old) : bytes);
    free(old);
    return piece;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **ret_piece, size_t alignment, size_t bytes)
{
    *ret_piece = memalign(alignment, bytes);
    return *ret_piece ? 0 : ENOMEM;
}

#pragma GCC visibility pop

/* ---------------------------------------------------------------------------------------- */

static CUcontext context;
static volatile sig_atomic_t forks, good;

static void fork_now(int number)
{
    int status = -1, saved = errno;
    pid_t pid = fork();
    (void)number;
    if (pid == 0)
        _exit(0);
    good += pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    forks++;
    errno = saved;
}

static void *allocate(void *by_stream)
{
    cuCtxSetCurrent(context);
    while (forks < FORKS) {
        CUdeviceptr pointer;
        if (by_stream && cuMemAllocAsync(&pointer, 1 << 20, NULL) == CUDA_SUCCESS)
            cuMemFreeAsync(pointer, NULL);
        if (!by_stream && cuMemAlloc_v2(&pointer, 4 << 20) == CUDA_SUCCESS)
            cuMemFree_v2(pointer);
    }
    return NULL;
}

int main(void)
{
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    pthread_t thread[THREADS];
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0))
        return 2;
    signal(SIGALRM, fork_now);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, allocate, i % 2 ? (void *)thread : NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    allocate(NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("%d\n", good >= FORKS);
    return 0;
}
