/* SPDX-License-Identifier: Apache-2.0 */
/* Functions in child processes; see child.h. The end of a child closes its end of the socket. */
#include "child.h"

#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_MAX 8

/* The exit status has eight bits, and -EINPROGRESS says that the child has not ended. */
static int status_of(int r)
{
    return r > 0 || r < -255 || r == -EINPROGRESS ? EIO : -r;
}

static _Noreturn void run(child_fn *fn, void *context, const int *keep, size_t count, int socket)
{
    int kept[KEEP_MAX + 1];
    for (size_t i = 0; i < count; i++)
        kept[i] = keep[i];
    kept[count] = socket;
    fd_close_others(0, kept, count + 1);
    _exit(status_of(fn(context, socket)));
}

int child_start(child_fn *fn, void *context, const int *keep, size_t count, struct child *ret_child)
{
    int sockets[2];
    if (count > KEEP_MAX)
        return -EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        run(fn, context, keep, count, sockets[1]);
    int r = pid < 0 ? -errno : 0;
    fd_close(sockets[1]);
    if (r)
        fd_close(sockets[0]);
    else
        *ret_child = (struct child){pid, sockets[0]};
    return r;
}

/* Wait for one of `events`, or for the end of the child: 0, or -EINPROGRESS after the limit. */
static int wait_for(const struct child *child, short events, int limit_ms)
{
    struct pollfd wait = {.fd = child->socket, .events = events};
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
    ssize_t length = read(child->socket, data, size);
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
    *child = (struct child){.socket = fd_close(child->socket)};
}

void child_kill(struct child *child)
{
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, WNOHANG);
    }
    child_leave(child);
}
