/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into every program of a coverage build: most of them end with _exit, which writes no
 * counters. What SIGKILL ends writes none either, so a driver process, which is killed when it has
 * answered, writes them before each answer. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

/* A child that is forked while counters are written would find them locked for ever. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&writing);
}

static void unlock(void)
{
    pthread_mutex_unlock(&writing);
}

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(lock, unlock, unlock);
}

_Noreturn void __wrap__exit(int status)
{
    lock();
    __gcov_dump();
    __real__exit(status);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    lock();
    __gcov_dump();
    __gcov_reset();
    unlock();
    return __real_send(fd, data, size, flags);
}
