/* SPDX-License-Identifier: Apache-2.0 */
/* Work that may never end; see aside.h. It must not know what is done. */
#include "aside.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 10000

/* Hold nothing that others wait for: Slurm reads what a prolog prints until all have closed it. */
static void let_go(int answer, int kept)
{
    const int keep[] = {answer, kept};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd < 3; fd++) {
        if (fd != answer && fd != kept) /* a daemon can have closed its streams */
            dup2(null, fd);
    }
    fd_close_others(3, keep, 2);
}

/* In the process between, which ends at once, so init waits for its child. */
static void start(void (*work)(void *data), void (*undo)(void *data), void *data, size_t size,
                  int answer, int kept)
{
    if (fork() != 0)
        _exit(0);
    let_go(answer, kept);
    work(data);
    if (write(answer, data, size) != (ssize_t)size && undo)
        undo(data);
    _exit(0);
}

/* Read the answer if it comes in time. */
static bool take(int fd, void *data, size_t size)
{
    struct pollfd news = {.fd = fd, .events = POLLIN};
    int r;
    do
        r = poll(&news, 1, LIMIT_MS);
    while (r < 0 && errno == EINTR);
    return r > 0 && read(fd, data, size) == (ssize_t)size;
}

bool aside_do(void (*work)(void *data), void (*undo)(void *data), void *data, size_t size, int kept)
{
    int ends[2];
    if (size > ASIDE_MAX || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        start(work, undo, data, size, ends[1], kept);
    }
    fd_close(ends[1]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    bool done = child > 0 && take(ends[0], data, size);
    fd_close(ends[0]);
    return done;
}
