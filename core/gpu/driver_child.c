/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and end the driver process; see driver.h. Uses posix_spawn because the caller may have
 * threads: after fork, a child of such a process could call almost nothing before it executes.
 */
#include "driver.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/pidfd.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS    10  /* poll interval where the kernel has no pidfd */
#define REAP_TRIES 200 /* times 1 ms: do not wait longer for a process stuck in a driver */

#define STRING(number)    STRING_OF(number)
#define STRING_OF(number) #number

/* Standard streams go to /dev/null, the socket to DRIVER_FD. */
static int place_files(posix_spawn_file_actions_t *actions, int socket)
{
    int r = posix_spawn_file_actions_init(actions);
    if (r)
        return -r;
    for (int fd = 0; !r && fd <= 2; fd++)
        r = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
    if (!r)
        r = posix_spawn_file_actions_adddup2(actions, socket, DRIVER_FD);
    if (r)
        posix_spawn_file_actions_destroy(actions);
    return -r;
}

/* Give the process its own group, so that it can be killed with its helpers, and default signal
 * handling. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int r = posix_spawnattr_init(attributes);
    if (r)
        return -r;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                             POSIX_SPAWN_SETSIGMASK);
    return 0;
}

static int spawn(const char *program, int socket, pid_t *ret_pid)
{
    char *const arguments[] = {(char[]){"chronosfs"}, (char[]){"--driver"},
                               (char[]){STRING(DRIVER_FD)}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char own[PROCFS_PATH_MAX]; /* relative in a worker: the process leaves that directory */

    procfs_path("self/exe", own);
    int r = place_files(&actions, socket);
    if (r < 0)
        return r;
    r = set_attributes(&attributes);
    if (!r) {
        r = -posix_spawn(ret_pid, *program ? program : own, &actions, &attributes, arguments,
                         environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int driver_child_start(struct driver_child *child, const char *program,
                       const struct gpu_setup *setup)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* Duplicate above every descriptor that the new process gets. */
    int far = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    int r = far < 0 ? -errno : spawn(program, far, &child->pid);
    close(ends[1]);
    fd_close(far);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    child->socket = ends[0];
    child->pidfd = pidfd_new(child->pid);
    child->status = -1;
    return driver_child_send(child, setup, driver_setup_bytes(setup->device_count)) ? 0 : -EPIPE;
}

bool driver_child_send(const struct driver_child *child, const void *data, size_t size)
{
    return send(child->socket, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

/* Leave the process as a zombie, so that its pid is not reused. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    int r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return r || info.si_pid == pid;
}

bool driver_child_has_ended(const struct driver_child *child)
{
    return child->pid != 0 && has_ended(child->pid);
}

int driver_child_receive(const struct driver_child *child, void *buffer, size_t size, size_t *got)
{
    while (*got < size) {
        /* Check for the end first: what the process sent before it ended still counts. */
        bool ended = driver_child_has_ended(child);
        ssize_t n = recv(child->socket, (char *)buffer + *got, size - *got, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !ended)
            return 0;
        if (n <= 0)
            return -EPIPE;
        *got += (size_t)n;
    }
    return 1;
}

bool driver_child_poll(const struct driver_child *child, int64_t deadline_ns)
{
    int64_t left_ms = (deadline_ns - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
    if (left_ms <= 0)
        return false;
    if (child->pidfd < 0 && left_ms > POLL_MS)
        left_ms = POLL_MS;
    struct pollfd fds[] = {{.fd = child->socket, .events = POLLIN},
                           {.fd = child->pidfd, .events = POLLIN}};
    poll(fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
    return true;
}

/* Wait up to REAP_TRIES ms for the process to end. */
static bool ends(pid_t pid)
{
    for (int i = 0; i < REAP_TRIES && !has_ended(pid); i++)
        usleep(1000);
    return has_ended(pid);
}

pid_t driver_child_end(struct driver_child *child, bool by_itself)
{
    pid_t pid = child->pid;

    fd_close(child->socket);
    fd_close(child->pidfd);
    *child = (struct driver_child)DRIVER_CHILD_NONE;
    if (pid == 0)
        return 0;
    bool ended = by_itself && ends(pid);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    if (!ended && !ends(pid))
        return pid;
    if (waitpid(pid, &child->status, WNOHANG) != pid)
        child->status = -1;
    return 0;
}

pid_t driver_child_drop(struct driver_child *child)
{
    pid_t pid = child->pid;

    fd_close(child->socket);
    fd_close(child->pidfd);
    *child = (struct driver_child)DRIVER_CHILD_NONE;
    if (pid == 0)
        return 0;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    return driver_child_gone(pid) ? 0 : pid;
}

bool driver_child_gone(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

void driver_child_describe_end(const struct driver_child *child, char *how, size_t size)
{
    if (child->status != -1 && WIFSIGNALED(child->status))
        snprintf(how, size, "crashed (%s)", strsignal(WTERMSIG(child->status)));
    else if (child->status != -1)
        snprintf(how, size, "exited with status %d", WEXITSTATUS(child->status));
    else
        snprintf(how, size, "ended");
}
