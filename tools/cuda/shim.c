/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by all parts of the shim; see shim.h. */
#include "shim.h"

#include "find.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct shim shim;

/* A thread inside the shim: what the driver and the C library call from there passes through. */
static __thread int depth __attribute__((tls_model("initial-exec")));

static struct {
    pthread_mutex_t mutex;
} locks[SHIM_LOCKS]; /* zero is a mutex in every C library that the shim runs with */

/* The locks that this thread holds or is about to hold. A signal handler may fork in the middle of
 * a call, and must not wait then for its own thread, nor for one that waits for it. */
static __thread volatile unsigned locks_held;

void shim_lock(unsigned lock)
{
    locks_held++;
    pthread_mutex_lock(&locks[lock].mutex);
}

void shim_unlock(unsigned lock)
{
    pthread_mutex_unlock(&locks[lock].mutex);
    locks_held--;
}

void shim_lock_once(atomic_int *lock)
{
    int self = getpid(), holder = 0;
    while (!atomic_compare_exchange_weak(lock, &holder, self)) {
        if (holder == self)
            sched_yield();
        holder = holder == self ? 0 : holder; /* of a parent: take it over */
    }
}

void shim_unlock_once(atomic_int *lock)
{
    atomic_store(lock, 0);
}

/* Whether fork takes the locks: not in the middle of a call, which ends in the child too. */
static bool takes_locks(void)
{
    return locks_held == 1 && !chronos_charge_is_inside();
}

static void before_fork(void)
{
    locks_held++;
    for (unsigned i = 0; i < SHIM_LOCKS && takes_locks(); i++)
        pthread_mutex_lock(&locks[i].mutex);
}

static void after_fork(void)
{
    for (unsigned i = SHIM_LOCKS; i > 0 && takes_locks(); i--)
        pthread_mutex_unlock(&locks[i - 1].mutex);
    locks_held--;
}

/* 0: not known. A call of its own costs more than all else that a pool's allocation does here. */
static atomic_int process;
static atomic_bool watched; /* fork forgets the process */

static void in_child(void)
{
    atomic_store(&process, 0);
    after_fork();
}

pid_t shim_process(void)
{
    int known = atomic_load_explicit(&process, memory_order_relaxed);
    if (known != 0)
        return known;
    pid_t self = getpid();
    if (atomic_load(&watched))
        atomic_store_explicit(&process, self, memory_order_relaxed);
    return self;
}

static int start(void)
{
    struct chronos_environment environment;
    if (chronos_environment_read(&environment) < 0)
        return -1;
    for (unsigned i = 0; i < environment.count; i++) {
        if (chronos_charge_new(environment.directory[i], environment.allow_unreachable,
                               &shim.charge[i]) == 0)
            continue;
        while (i-- > 0)
            shim.charge[i] = chronos_charge_free(shim.charge[i]);
        chronos_environment_release(&environment);
        return -1;
    }
    /* After the clients', which are locked later. Once, also in the child of a parent that was
     * about to start. */
    if (!atomic_load(&watched) && pthread_atfork(before_fork, after_fork, in_child) == 0)
        atomic_store(&watched, true);
    shim.environment = environment;
    return 0;
}

bool shim_start(void)
{
    static atomic_int lock;
    static atomic_bool started;
    if (atomic_load_explicit(&started, memory_order_acquire))
        return shim.environment.count > 0;
    shim_lock_once(&lock);
    if (!atomic_load_explicit(&started, memory_order_relaxed) && start() == 0)
        atomic_store_explicit(&started, true, memory_order_release);
    shim_unlock_once(&lock);
    return atomic_load(&started) && shim.environment.count > 0;
}

bool shim_enter(const void *real)
{
    if (!find_function(real) || depth > 0)
        return false;
    depth++;
    bool ours = shim_start();
    if (!ours)
        depth--;
    return ours;
}

void shim_leave(void)
{
    depth--;
}

void shim_debug(const char *format, ...)
{
    if (!shim.environment.debug)
        return;
    va_list arguments;
    va_start(arguments, format);
    flockfile(stderr);
    fprintf(stderr, "chronos: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    funlockfile(stderr);
    va_end(arguments);
}
