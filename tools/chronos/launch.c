/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher: waits for the guard's reports, hands it the signals that came
 * here, and ends as the program did. It must not know of partitions.
 */
#include "launch.h"
#include "guard.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After this the caller is told why nothing seems to happen. */
#define QUIET_MS 1000

struct launcher {
    const struct launch *launch;
    int socket, signals;
    pid_t guard, program; /* program: 0 until it is started */
    bool adopts;          /* what the guard leaves comes to us */
    bool ended;
    int early; /* the signal that ended us before there was a program */
    struct launch_end end;
    int status;
};

int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Not those that an error in the program itself raises. */
void signals_block(sigset_t *ret_before)
{
    static const int left[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        sigdelset(&set, left[i]);
    sigprocmask(SIG_BLOCK, &set, ret_before);
}

int signals_open(void)
{
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A signal to a group is sent under the lock of the list of processes, which
 * setpgid takes as a writer, also for a group that cannot exist. */
void group_settle(void)
{
    setpgid(0, INT_MAX);
}

static int compare(const void *one, const void *other)
{
    int a = *(const int *)one, b = *(const int *)other;
    return (a > b) - (a < b);
}

/* What is kept open here would be kept open for whoever reads the other end. */
void descriptors_let_go(const int *keep, size_t count, bool error_too)
{
    int sorted[8];
    unsigned next = 3;
    memcpy(sorted, keep, count * sizeof *keep);
    qsort(sorted, count, sizeof *sorted, compare);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i] < 3)
            continue; /* -1: none */
        if ((unsigned)sorted[i] > next)
            close_range(next, (unsigned)sorted[i] - 1, 0);
        next = (unsigned)sorted[i] + 1;
    }
    close_range(next, UINT_MAX, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; null >= 0 && i < (error_too ? 3 : 2); i++)
        dup2(null, i);
    close(null);
}

/* Before there is a program, the launcher is the one to end, also when the guard
 * waits for a filesystem that does not answer. */
static bool ends_us(const struct launcher *self, int number)
{
    struct sigaction now;
    return self->program == 0 &&
           (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) &&
           sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

/* Ours to take, and nobody else's business: of writing to a pipe without a reader,
 * the guard's for our stops, and the terminal's own, which always go to a group. */
static bool not_for_the_program(const struct launcher *self, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;
    if (info->ssi_code == SI_KERNEL)
        return number != SIGHUP && number != SIGCONT; /* those go to a session's leader too */
    return number == SIGCHLD || info->ssi_pid == (uint32_t)getpid() ||
           info->ssi_pid == (uint32_t)self->guard;
}

static void hand_over_signals(struct launcher *self)
{
    struct order order = {.kind = ORDER_SIGNAL};
    while (read(self->signals, &order.info, sizeof order.info) == (ssize_t)sizeof order.info) {
        if (ends_us(self, (int)order.info.ssi_signo)) {
            self->early = (int)order.info.ssi_signo;
            kill(self->guard, SIGKILL);
            return;
        }
        if (not_for_the_program(self, &order.info))
            continue;
        group_settle();
        order.at_ns = monotonic_ns();
        send(self->socket, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (order.info.ssi_signo == SIGCONT)
            kill(self->guard, SIGCONT); /* it may have been stopped with the group */
    }
}

/* False when the guard is gone. */
static bool take_report(struct launcher *self)
{
    struct report report;
    ssize_t length = recv(self->socket, &report, sizeof report, MSG_DONTWAIT);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    if (length != (ssize_t)sizeof report)
        return false;
    self->program = report.program;
    if (report.kind == REPORT_ENDED) {
        self->ended = true;
        self->status = report.status;
        self->end = self->launch->ended(self->launch->context);
        struct order order = {.kind = ORDER_FINISH, .end = self->end};
        send(self->socket, &order, sizeof order, MSG_NOSIGNAL);
    }
    return true;
}

/* The guard is gone: as it should be, or killed. Then what it had is ours. */
static int conclude(struct launcher *self, int *ret_status)
{
    int status = 0;
    while (waitpid(self->guard, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status) && self->adopts &&
        !(self->ended && self->end.leftover == LEFTOVER_STAYS))
        children_end(self->ended ? 0 : self->program, &status);
    if (self->early != 0)
        status = self->early;
    else if (self->program == 0 && WIFEXITED(status))
        return WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : LAUNCH_FAILED;
    *ret_status = self->ended ? self->status : status;
    return 0;
}

static void watch(struct launcher *self)
{
    struct pollfd files[] = {{.fd = self->socket, .events = POLLIN},
                             {.fd = self->signals, .events = POLLIN}};
    bool told = false;
    for (;;) {
        int ready = poll(files, 2, self->ended && !told ? QUIET_MS : -1);
        if (ready == 0) {
            told = true;
            say("The program left processes behind; they are being ended.");
        }
        if (files[0].revents != 0 && !take_report(self))
            return;
        if (files[1].revents != 0)
            hand_over_signals(self);
    }
}

int launch(const struct launch *launch, int *ret_status)
{
    struct launcher self = {.launch = launch};
    struct origin origin;
    int ends[2];
    struct sigaction plain = {.sa_handler = SIG_DFL};
    signals_block(&origin.mask);
    self.signals = signals_open();
    if (self.signals < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        say("The program cannot be started: %s", strerror(errno));
        return LAUNCH_FAILED;
    }
    /* A shell that became us by exec may have left us children of its own. They are
     * not ours to end, and could not be told from the guard's later. */
    self.adopts = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
    if (self.adopts)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigaction(SIGCHLD, &plain, &origin.child); /* ignored, it would reap for us */
    self.guard = fork();
    if (self.guard == 0) {
        close(ends[0]);
        _exit(guard_run(launch, &origin, ends[1]));
    }
    if (self.guard < 0) {
        say("The program cannot be started: %s", strerror(errno));
        return LAUNCH_FAILED;
    }
    close(ends[1]);
    self.socket = ends[0];
    descriptors_let_go(
        (const int[]){self.socket, self.signals, launch->only, launch->keep[0], launch->keep[1]}, 5,
        false);
    watch(&self);
    return conclude(&self, ret_status);
}

int launch_exit_like(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    int number = WTERMSIG(status);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* the program left one if it should */
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + number; /* the first process of a pid namespace does not die so */
}
