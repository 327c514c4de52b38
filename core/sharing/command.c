/* SPDX-License-Identifier: Apache-2.0 */
/* Run a program; see command.h. */
#include "command.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Time between two looks at whether it has ended. */
#define LOOK_MS 10

static _Noreturn void execute(const char *const *argv, const char *const *environment, int in,
                              int out)
{
    const char *path = getenv("PATH");

    umask(022);                /* its sockets are for everyone */
    in = fd_above_streams(in); /* the streams of a child are closed */
    out = fd_above_streams(out);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    fd_close_others(3, NULL, 0);
    clearenv();
    setenv("PATH", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    for (size_t i = 0; environment[i]; i++)
        putenv((char *)(size_t)environment[i]);
    if (chdir("/") == 0)
        execvp(argv[0], (char *const *)(size_t)argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Write what fits at once: inputs are short. */
static int open_input(const char *input)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    ssize_t length = write(ends[1], input, strlen(input));
    fd_close(ends[1]);
    if (length == (ssize_t)strlen(input))
        return ends[0];
    fd_close(ends[0]);
    return -EIO;
}

/* Read what is there. */
static void drain(int fd, char *output, size_t size, size_t *used)
{
    char rest[256];
    ssize_t length;

    for (;;) {
        bool room = *used + 1 < size;

        length = room ? read(fd, output + *used, size - *used - 1) : read(fd, rest, sizeof(rest));
        if (length <= 0)
            break;
        *used += room ? (size_t)length : 0;
    }
    output[*used] = '\0';
}

static int wait_for(pid_t pid, int fd, char *output, size_t size, int limit_ms)
{
    const int64_t until_ns = clock_monotonic_ns() + limit_ms * NS_PER_MS;
    size_t used = 0;
    int status = 0;
    pid_t ended;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        ended = waitpid(pid, &status, WNOHANG);
        if (ended != 0)
            break;
        if (clock_monotonic_ns() >= until_ns)
            break;
        poll(&wait, 1, LOOK_MS);
        if (wait.revents & POLLHUP && !(wait.revents & POLLIN))
            poll(NULL, 0, LOOK_MS);
        drain(fd, output, size, &used);
    }
    drain(fd, output, size, &used);
    if (ended == pid)
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return ended < 0 ? -ECHILD : -ETIMEDOUT;
}

int command_run(const char *const *argv, const char *const *environment, const char *input,
                char *output, size_t size, int limit_ms)
{
    int out[2], in = open_input(input);

    output[0] = '\0';
    if (in < 0)
        return in;
    if (pipe2(out, O_CLOEXEC) != 0) {
        fd_close(in);
        return -errno;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        execute(argv, environment, in, out[1]);
    }
    int r = pid < 0 ? -errno : 0;
    fd_close(in);
    fd_close(out[1]);
    if (!r)
        r = wait_for(pid, out[0], output, size, limit_ms);
    fd_close(out[0]);
    return r == 127 ? -ENOENT : r;
}
