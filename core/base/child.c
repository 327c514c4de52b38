/* SPDX-License-Identifier: Apache-2.0 */
/* Functions in child processes; see child.h. The end of a child closes its end of the pipe. */
#include "child.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_MAX 8

static _Noreturn void run(child_fn *fn, void *context, const int *keep, size_t count, int pipe)
{
    int kept[KEEP_MAX + 1];
    for (size_t i = 0; i < count; i++)
        kept[i] = keep[i];
    kept[count] = pipe;
    fd_close_others(0, kept, count + 1);
    _exit(-fn(context, pipe));
}

int child_start(child_fn *fn, void *context, const int *keep, size_t count, struct child *ret_child)
{
    int pipes[2];
    if (count > KEEP_MAX)
        return -EINVAL;
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        run(fn, context, keep, count, pipes[1]);
    int r = pid < 0 ? -errno : 0;
    fd_close(pipes[1]);
    if (r)
        fd_close(pipes[0]);
    else
        *ret_child = (struct child){pid, pipes[0]};
    return r;
}

/* Wait for one of `events`, or for the end of the child: 0, or -EINPROGRESS after the limit. */
static int wait_for(const struct child *child, short events, int limit_ms)
{
    struct pollfd wait = {.fd = child->pipe, .events = events};
    int n;
    while ((n = poll(&wait, 1, limit_ms)) < 0 && errno == EINTR)
        ;
    return n > 0 ? 0 : n < 0 ? -errno : -EINPROGRESS;
}

ssize_t child_read(const struct child *child, void *data, size_t size, int limit_ms)
{
    int r = wait_for(child, POLLIN, limit_ms);
    if (r)
        return r;
    ssize_t length = read(child->pipe, data, size);
    return length < 0 ? -errno : length;
}

int child_wait(struct child *child, int limit_ms)
{
    int status, r = wait_for(child, 0, limit_ms);
    pid_t pid;
    if (r)
        return r;
    while ((pid = waitpid(child->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    bool ended = pid == child->pid;
    child->pid = 0;
    return ended && WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

void child_leave(struct child *child)
{
    *child = (struct child){.pipe = fd_close(child->pipe)};
}

void child_kill(struct child *child)
{
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, WNOHANG);
    }
    child_leave(child);
}
