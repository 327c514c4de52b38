/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts and ends the usage reader process; see usage_child.h. posix_spawn, because the caller
 * has threads: a copy of such a process may do almost nothing before it executes, and
 * posix_spawn does what there is to do without copying it.
 */
#include "usage_child.h"

#include "usage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAP_TRIES 200 /* of a millisecond: one that is stuck in a driver must not hold us */

#define STRING(number)    STRING_OF(number)
#define STRING_OF(number) #number

/* Input and output nowhere, the socket where it is expected. */
static int place_files(posix_spawn_file_actions_t *actions, int socket)
{
    int rc = posix_spawn_file_actions_init(actions);
    if (rc != 0)
        return -rc;
    for (int fd = 0; rc == 0 && fd <= 2; fd++)
        rc = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, socket, USAGE_FD);
    if (rc != 0)
        posix_spawn_file_actions_destroy(actions);
    return -rc;
}

/* A group of its own, so that it can be killed with its helpers; signals as at birth. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int rc = posix_spawnattr_init(attributes);
    if (rc != 0)
        return -rc;
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
    char *const arguments[] = {(char[]){"chronosfs"}, (char[]){"--meter"},
                               (char[]){STRING(USAGE_FD)}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    int rc = place_files(&actions, socket);
    if (rc < 0)
        return rc;
    rc = set_attributes(&attributes);
    if (rc == 0) {
        rc = -posix_spawn(ret_pid, program, &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int usage_child_start(struct usage_child *child, const char *program)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* Above all the numbers that the new process gets anew. */
    int far = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    int rc = far < 0 ? -errno : spawn(program, far, &child->pid);
    if (rc == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        rc = -errno;
    close(ends[1]);
    if (far >= 0)
        close(far);
    if (rc < 0) {
        close(ends[0]);
        return rc;
    }
    child->socket = ends[0];
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    child->status = -1;
    return 0;
}

/* It stays there to be waited for, so that its number belongs to nobody else meanwhile. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    int rc = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return rc != 0 || info.si_pid == pid;
}

bool usage_child_has_ended(const struct usage_child *child)
{
    return child->pid != 0 && has_ended(child->pid);
}

/* Waits for a moment. */
static bool ends(pid_t pid)
{
    for (int i = 0; i < REAP_TRIES && !has_ended(pid); i++)
        usleep(1000);
    return has_ended(pid);
}

pid_t usage_child_end(struct usage_child *child, bool by_itself)
{
    pid_t pid = child->pid;
    bool ended;

    if (child->socket >= 0)
        close(child->socket);
    if (child->pidfd >= 0)
        close(child->pidfd);
    *child = (struct usage_child){.socket = -1, .pidfd = -1, .status = -1};
    if (pid == 0)
        return 0;
    ended = by_itself && ends(pid);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    if (!ended && !ends(pid))
        return pid;
    if (waitpid(pid, &child->status, WNOHANG) != pid)
        child->status = -1;
    return 0;
}

bool usage_child_gone(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}
