/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA program with a signal handler that forks, in the middle of its allocations too. One
 * thread allocates by a stream. Prints how many of the children ended well.
 */
#include "tools/cuda/driver.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

CUresult cuInit(unsigned flags);
CUresult cuCtxSetCurrent(CUcontext context);

#define FORKS   200
#define THREADS 2

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
