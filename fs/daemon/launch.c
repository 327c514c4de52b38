/* SPDX-License-Identifier: Apache-2.0 */
/* Start one worker; see launch.h. */
#include "launch.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "fs/fuse/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Noreturn void become_worker(const struct supervisor *given, int program, bool ever_ready,
                                    pid_t parent, int ready, int output)
{
    char numbers[96];
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(WORKER_STOPPED);
    setsid(); /* no terminal: ^C goes to the supervisor */
    if (output >= 0)
        dup2(output, STDERR_FILENO);
    const int kept[] = {given->mount->fd, given->shared_fd, given->handles_fd,
                        given->ledger_fd, given->lock_fd,   ready,
                        program};
    fd_close_others(3, kept, ARRAY_COUNT(kept));
    for (size_t i = 0; i < ARRAY_COUNT(kept) - 1; i++)
        fcntl(kept[i], F_SETFD, 0);
    snprintf(numbers, sizeof(numbers), "%d,%d,%d,%d,%d,%d,%d", given->mount->fd, given->shared_fd,
             given->handles_fd, given->ledger_fd, ready, given->lock_fd,
             given->detached && ever_ready);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char *const arguments[] = {(char[]){"chronosfs"}, (char[]){"--worker"}, numbers, NULL};
    syscall(SYS_execveat, program, "", arguments, environ, AT_EMPTY_PATH);
    const int r = -errno;
    log_say("Cannot execute %s: %s.", given->program_path, strerror(-r));
    _exit(worker_failure(r));
}

pid_t launch_worker(const struct supervisor *given, int program, bool ever_ready, int *ret_ready,
                    int *ret_output)
{
    int ready[2] = {-1, -1}, output[2] = {-1, -1};
    /* Until the first worker is ready, relay its stderr, so that it does not keep the user's
     * terminal open. */
    bool relay = given->detached && !ever_ready;
    pid_t self = getpid(), child = -1;

    if (pipe2(ready, O_CLOEXEC) == 0 && (!relay || pipe2(output, O_CLOEXEC | O_NONBLOCK) == 0))
        child = fork();
    if (child == 0)
        become_worker(given, program, ever_ready, self, ready[1], output[1]);
    int r = child < 0 ? -errno : child;
    fd_close(ready[1]);
    fd_close(output[1]);
    if (r < 0) {
        fd_close(ready[0]);
        fd_close(output[0]);
        return r;
    }
    *ret_ready = ready[0];
    *ret_output = output[0];
    return r;
}
