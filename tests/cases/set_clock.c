/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before libc (LD_PRELOAD): a wall clock that is ahead by the seconds in the first line of
 * the file $SET_CLOCK_BY. The other clocks are what they are. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long ahead_s(void)
{
    const char *file = getenv("SET_CLOCK_BY");
    char text[24] = "";
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    return strtol(text, NULL, 10);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time)
{
    long r = syscall(SYS_clock_gettime, clock, time);
    if (!r && clock == CLOCK_REALTIME)
        time->tv_sec += ahead_s();
    return (int)r;
}
