/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded: the wall clock is that of the machine and the number of nanoseconds in the file
 * that WALL_CLOCK names. A write to the file steps the clock of the program alone.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int64_t none;
static volatile int64_t *offset_ns = &none;

static __attribute__((constructor)) void open_file(void)
{
    const char *path = getenv("WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        offset_ns = page;
    if (fd >= 0)
        close(fd);
}

static int64_t shifted_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + *offset_ns;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, ret_time);
    int64_t ns = shifted_ns();
    *ret_time = (struct timespec){ns / 1000000000, (long)(ns % 1000000000)};
    return 0;
}

EXPORT time_t time(time_t *ret_time)
{
    time_t now = shifted_ns() / 1000000000;
    if (ret_time)
        *ret_time = now;
    return now;
}

EXPORT int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
    int64_t ns = shifted_ns();
    (void)zone;
    *ret_time = (struct timeval){ns / 1000000000, (suseconds_t)(ns % 1000000000 / 1000)};
    return 0;
}
