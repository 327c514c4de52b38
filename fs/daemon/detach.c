/* SPDX-License-Identifier: Apache-2.0 */
/* Detach from the terminal; see detach.h. It must not know what the daemon does. */
#include "detach.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The process the user started: exit when the daemon is ready or gone. */
static _Noreturn void wait_for_daemon(int fd, pid_t child)
{
    char byte;
    ssize_t length;

    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    do
        length = read(fd, &byte, 1);
    while (length < 0 && errno == EINTR);
    _exit(length == 1 ? 0 : 1); /* without a byte, the daemon has already printed why */
}

static int use_null(int from, int to)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;
        log_say("Cannot open /dev/null: %s.", strerror(-r));
        return r;
    }
    for (int i = from; i <= to; i++)
        dup2(fd, i);
    if (fd > to)
        close(fd);
    return 0;
}

int detach_start(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -errno;
    pid_t child = fork();
    if (child < 0) {
        int r = -errno;
        close(fds[0]);
        close(fds[1]);
        return r;
    }
    if (child > 0) {
        close(fds[1]);
        wait_for_daemon(fds[0], child);
    }
    close(fds[0]);
    setsid();
    /* Fork again, so that the daemon is not a session leader and can never acquire a terminal. */
    child = fork();
    if (child < 0)
        log_say("Cannot start a process in the background: %s.", strerror(errno));
    if (child != 0)
        _exit(child > 0 ? 0 : 1);
    signal(SIGHUP, SIG_DFL); /* even under nohup(1): there is no terminal any more */
    if (use_null(STDIN_FILENO, STDOUT_FILENO))
        _exit(1); /* its caller would wait for the end of our output */
    return fds[1];
}

int detach_ready(int fd)
{
    int r = use_null(STDERR_FILENO, STDERR_FILENO);
    if (!r && write(fd, "", 1) != 1)
        r = -errno;
    close(fd);
    if (!r)
        log_to_syslog();
    return r;
}

void detach_notify(const char *lines)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

int detach_absolute(char *path, size_t size)
{
    char below[PATH_MAX];
    if (path[0] == '/' || path[0] == '\0')
        return 0;
    if (!getcwd(below, sizeof(below)))
        return -errno;
    size_t length = strlen(below), more = strlen(path);
    if (length + 1 + more >= size)
        return -ENAMETOOLONG;
    memmove(path + length + 1, path, more + 1);
    memcpy(path, below, length);
    path[length] = '/';
    return 0;
}
