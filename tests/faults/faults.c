/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes calls of libc fail, in programs that are linked with this file and --wrap: there are
 * memory, descriptors, processes and room on the disk until there are none. The environment
 * variable FAULTS names a file of a struct faults, which the test writes while the programs run:
 * faults.py. Only calls of our own code fail, not those of libraries.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct faults {
    uint64_t kinds;  /* which calls count, a bit for each kind */
    uint64_t at;     /* the call that fails, counted from 1; 0: none */
    uint64_t one_in; /* one in so many fails, at random; 0: none */
    uint64_t calls;  /* so far, of all programs */
    uint64_t failed;
};
enum kind { MEMORY, DESCRIPTORS, PROCESSES, WRITES, READS };

static struct faults *faults;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS");
    int fd = path ? (open)(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *memory = (mmap)(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    faults = memory == MAP_FAILED ? NULL : memory;
    close(fd);
}

static uint64_t mixed(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

static bool fails(enum kind kind, int code)
{
    if (!faults || !(faults->kinds >> kind & 1))
        return false;
    const uint64_t call = __atomic_add_fetch(&faults->calls, 1, __ATOMIC_RELAXED);
    const uint64_t one_in = faults->one_in;
    if (call != faults->at && (!one_in || mixed(call) % one_in))
        return false;
    __atomic_add_fetch(&faults->failed, 1, __ATOMIC_RELAXED);
    errno = code;
    return true;
}

/* NAME(arguments) of TYPE: calls the real one with `passed`, or fails with the errno. */
#define FAULT(kind, type, bad, code, name, arguments, passed)                                      \
    type __real_##name arguments;                                                                  \
    type __wrap_##name arguments;                                                                  \
    type __wrap_##name arguments                                                                   \
    {                                                                                              \
        return fails(kind, code) ? (bad) : __real_##name passed;                                   \
    }

FAULT(MEMORY, void *, NULL, ENOMEM, malloc, (size_t size), (size))
FAULT(MEMORY, void *, NULL, ENOMEM, calloc, (size_t count, size_t size), (count, size))
FAULT(MEMORY, void *, NULL, ENOMEM, realloc, (void *old, size_t size), (old, size))
FAULT(MEMORY, char *, NULL, ENOMEM, strdup, (const char *text), (text))
FAULT(MEMORY, char *, NULL, ENOMEM, strndup, (const char *text, size_t size), (text, size))

FAULT(DESCRIPTORS, FILE *, NULL, EMFILE, fopen64, (const char *path, const char *mode),
      (path, mode))
FAULT(DESCRIPTORS, FILE *, NULL, ENOMEM, fdopen, (int fd, const char *mode), (fd, mode))
FAULT(DESCRIPTORS, DIR *, NULL, EMFILE, opendir, (const char *path), (path))
FAULT(DESCRIPTORS, DIR *, NULL, ENOMEM, fdopendir, (int fd), (fd))
FAULT(DESCRIPTORS, int, -1, EMFILE, pipe2, (int fds[2], int flags), (fds, flags))
FAULT(DESCRIPTORS, int, -1, EMFILE, socketpair, (int domain, int type, int protocol, int fds[2]),
      (domain, type, protocol, fds))
FAULT(DESCRIPTORS, int, -1, EMFILE, eventfd, (unsigned value, int flags), (value, flags))
FAULT(DESCRIPTORS, int, -1, EMFILE, timerfd_create, (int clock, int flags), (clock, flags))
FAULT(DESCRIPTORS, int, -1, EMFILE, memfd_create, (const char *name, unsigned flags), (name, flags))
FAULT(DESCRIPTORS, int, -1, EMFILE, dup, (int fd), (fd))

FAULT(PROCESSES, pid_t, -1, EAGAIN, fork, (void), ())
FAULT(PROCESSES, int, EAGAIN, 0, pthread_create,
      (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *data),
      (thread, attr, start, data))
FAULT(PROCESSES, int, EAGAIN, 0, posix_spawn,
      (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]),
      (pid, path, actions, attr, argv, envp))

FAULT(WRITES, ssize_t, -1, ENOSPC, pwrite64, (int fd, const void *data, size_t size, off_t offset),
      (fd, data, size, offset))
FAULT(WRITES, int, -1, EIO, fsync, (int fd), (fd))
FAULT(WRITES, int, -1, EIO, fdatasync, (int fd), (fd))
FAULT(WRITES, int, -1, ENOSPC, ftruncate64, (int fd, off_t size), (fd, size))
FAULT(WRITES, int, -1, ENOSPC, rename, (const char *from, const char *to), (from, to))
FAULT(WRITES, int, -1, ENOSPC, renameat, (int from_fd, const char *from, int to_fd, const char *to),
      (from_fd, from, to_fd, to))
FAULT(WRITES, int, -1, ENOSPC, mkdir, (const char *path, mode_t mode), (path, mode))
FAULT(WRITES, int, -1, EIO, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))

FAULT(READS, ssize_t, -1, EIO, read, (int fd, void *data, size_t size), (fd, data, size))
FAULT(READS, ssize_t, -1, EIO, pread64, (int fd, void *data, size_t size, off_t offset),
      (fd, data, size, offset))

/* A single byte tells another process something, through a pipe that has room. */
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return size > 1 && fails(WRITES, EIO) ? -1 : __real_write(fd, data, size);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(DESCRIPTORS, EMFILE) ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(DESCRIPTORS, EMFILE) ? -1 : __real_openat64(fd, path, flags, mode);
}
