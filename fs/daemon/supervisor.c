/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep a worker running; see supervisor.h. Start the next worker as soon as one dies, with pauses
 * if workers die repeatedly; give up if none gets ready. It must not know what a worker does.
 */
#include "supervisor.h"

#include "launch.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "fs/fuse/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_TRIES   3   /* before the first worker was ready */
#define TRIES         10  /* after that: clients are waiting, so try longer */
#define BRISK_TRIES   3   /* tries without a pause */
#define PAUSE_MS      50u /* then this pause, doubled each time */
#define SHORT_LIFE_MS 20
#define SHORT_LIVES   100 /* this many in a row: pause before each next worker */
#define STOP_MS       5000
#define RETRY_MS      1000u /* after a worker that ran short of memory, or could not be made */
#define LOGGED_SINGLY 10    /* short lives in a row that are logged one by one */

/* State of the running supervisor. */
struct state {
    const struct supervisor *given;
    int signals;
    int program, previous_program; /* previous: returned to if the new one fails */
    pid_t worker;                  /* 0: none */
    int ready;                     /* read end of the ready pipe; -1 once the worker is ready */
    int output;                    /* the first worker's stderr, until it is ready */
    bool ever_ready, stopping, replacing, done;
    int exit_status;
    unsigned failures;    /* workers in a row that died before being ready */
    unsigned short_lives; /* workers in a row that died soon after being ready */
    int64_t died_ns;      /* time at which the last worker died */
    int64_t ready_ns;     /* time at which this worker was ready; 0: not yet */
    int64_t start_ns;     /* time to start the next worker, while there is none */
    int64_t kill_ns; /* time to kill a worker that is not ready, or that does not stop; 0: none */
    char how[96];    /* how the last worker ended */
};

void supervisor_block_signals(void)
{
    sigset_t all;
    sigfillset(&all); /* including stop signals like SIGTSTP, with which clients would hang */
    sigprocmask(SIG_BLOCK, &all, NULL);
}

/* -- starting a worker -------------------------------------------------------- */

static void plan_next(struct state *state, unsigned pause_ms)
{
    state->start_ns = clock_monotonic_ns() + pause_ms * NS_PER_MS;
}

static void finish(struct state *state, int exit_status)
{
    state->done = true;
    state->exit_status = exit_status;
}

/* Count a worker that was not ready. Returns the pause before the next one, in ms. */
static unsigned count_failure(struct state *state)
{
    unsigned tries = state->ever_ready ? TRIES : FIRST_TRIES;
    if (++state->failures >= tries) {
        log_say("Giving up: %u workers in a row failed to start, the last one %s.", tries,
                state->how);
        finish(state, 1);
    }
    return state->failures > BRISK_TRIES ? PAUSE_MS << (state->failures - BRISK_TRIES - 1) : 0;
}

/* Start a worker; on failure plan another try. */
static void start_worker(struct state *state)
{
    int r = launch_worker(state->given, state->program, state->ever_ready, &state->ready,
                          &state->output);
    if (r < 0) {
        log_say("Cannot start a worker: %s.", strerror(-r));
        snprintf(state->how, sizeof(state->how), "could not be made (%s)", strerror(-r));
        count_failure(state);
        plan_next(state, RETRY_MS);
        return;
    }
    state->worker = r;
    state->ready_ns = 0;
    state->kill_ns = clock_monotonic_ns() + state->given->ready_ms * NS_PER_MS;
}

/* -- replacing the program ---------------------------------------------------- */

static void take_new_program(struct state *state)
{
    int fd = open(state->given->program_path, O_PATH | O_CLOEXEC);
    state->replacing = false;
    if (fd < 0) {
        log_say("Cannot open %s, keeping the current program: %s.", state->given->program_path,
                strerror(errno));
        return;
    }
    state->previous_program = fd_close(state->previous_program);
    state->previous_program = state->program;
    state->program = fd;
}

/* The new program does not work. Returns false if there is no previous one. */
static bool go_back(struct state *state)
{
    if (state->previous_program < 0)
        return false;
    log_say("The new program at %s fails to start (it %s); keeping the old one.",
            state->given->program_path, state->how);
    close(state->program);
    state->program = state->previous_program;
    state->previous_program = -1;
    return true;
}

/* -- events ------------------------------------------------------------------- */

static void ask_to_stop(struct state *state)
{
    if (state->stopping)
        return;
    state->stopping = true;
    state->kill_ns = clock_monotonic_ns() + STOP_MS * NS_PER_MS;
    if (state->worker > 0)
        kill(state->worker, SIGTERM);
    else
        finish(state, 0);
}

static void relay_output(struct state *state)
{
    char text[4096];
    ssize_t length;
    while ((length = read(state->output, text, sizeof(text))) > 0) {
        if (write(STDERR_FILENO, text, (size_t)length) < 0)
            break;
    }
    if (length == 0)
        state->output = fd_close(state->output);
}

static void log_take_over(const struct state *state)
{
    if (state->short_lives < LOGGED_SINGLY || state->short_lives % SHORT_LIVES == 0)
        log_say("The worker %s; the next one, %d, was ready after %.1f ms.", state->how,
                (int)state->worker, (double)(state->ready_ns - state->died_ns) / 1e6);
}

static void handle_ready(struct state *state)
{
    char byte;
    bool ready = read(state->ready, &byte, 1) == 1;

    state->ready = fd_close(state->ready);
    if (!ready)
        return; /* it died: SIGCHLD follows */
    state->ready_ns = clock_monotonic_ns();
    state->failures = 0;
    unsetenv(WORKER_SETTINGS);
    if (!state->stopping)
        state->kill_ns = 0;
    state->previous_program = fd_close(state->previous_program);
    if (state->ever_ready) {
        log_take_over(state);
    } else {
        state->ever_ready = true;
        if (state->output >= 0)
            relay_output(state);
        state->output = fd_close(state->output);
        if (state->given->ready(state->given->context) != 0)
            ask_to_stop(state);
    }
    if (state->replacing)
        kill(state->worker, SIGHUP);
}

/* Returns the pause before the next worker, in ms, after one died unexpectedly. */
static unsigned count_death(struct state *state)
{
    if (state->ready_ns != 0) {
        bool soon = state->died_ns - state->ready_ns < SHORT_LIFE_MS * NS_PER_MS;
        state->short_lives = soon ? state->short_lives + 1 : 0;
        return state->short_lives > SHORT_LIVES ? PAUSE_MS : 0;
    }
    return go_back(state) ? 0 : count_failure(state);
}

static void describe(struct state *state, int status)
{
    if (WIFSIGNALED(status))
        snprintf(state->how, sizeof(state->how), "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(state->how, sizeof(state->how), "ended with status %d", WEXITSTATUS(status));
}

static void handle_end(struct state *state, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    state->worker = 0;
    state->died_ns = clock_monotonic_ns();
    state->ready = fd_close(state->ready);
    if (state->output >= 0)
        relay_output(state);
    state->output = fd_close(state->output);
    describe(state, status);
    if (code == WORKER_UNMOUNTED || state->stopping) {
        finish(state, state->stopping && !state->ever_ready);
        return;
    }
    if (code == WORKER_FATAL && !go_back(state)) {
        log_say("Giving up: the worker had a fatal error.");
        finish(state, 1);
        return;
    }
    if (code == WORKER_REPLACE || state->replacing) {
        snprintf(state->how, sizeof(state->how), "was replaced by the program on disk");
        take_new_program(state);
        plan_next(state, 0);
    } else {
        unsigned pause_ms = code == WORKER_FATAL ? 0 : count_death(state);
        plan_next(state, code == WORKER_SHORT ? RETRY_MS : pause_ms);
    }
}

static void reap(struct state *state)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == state->worker)
            handle_end(state, status);
    }
}

/* -- waiting ------------------------------------------------------------------ */

/* True if started with nohup(1). */
static bool hangup_is_ignored(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void handle_signal(struct state *state)
{
    struct signalfd_siginfo info;

    if (read(state->signals, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD) {
        reap(state);
    } else if (info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL && hangup_is_ignored()) {
        return;
    } else if (info.ssi_signo == SIGHUP && info.ssi_code != SI_KERNEL) {
        state->replacing = true;
        if (state->given->reload)
            state->given->reload(state->given->context);
        if (state->worker > 0 && state->ready_ns != 0)
            kill(state->worker, SIGHUP);
    } else { /* also SIGHUP from the terminal, which is gone */
        ask_to_stop(state);
    }
}

/* Milliseconds until the next timed action, or -1. */
static int time_left(const struct state *state)
{
    int64_t due = state->worker == 0 ? state->start_ns : state->kill_ns;
    if (due == 0)
        return -1;
    int64_t left = (due - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
    return left > 0 ? (int)left : 0;
}

static void wait_once(struct state *state)
{
    struct pollfd fds[] = {{.fd = state->signals, .events = POLLIN},
                           {.fd = state->ready, .events = POLLIN},
                           {.fd = state->output, .events = POLLIN}};
    int n = poll(fds, 3, time_left(state));

    if (n > 0 && fds[2].revents != 0)
        relay_output(state);
    if (n > 0 && fds[1].revents != 0)
        handle_ready(state);
    if (n > 0 && fds[0].revents != 0)
        handle_signal(state);
    if (n == 0 && state->worker > 0 && state->kill_ns != 0) {
        log_say("The worker %s; killing it.",
                state->stopping ? "does not stop" : "does not get ready");
        kill(state->worker, SIGKILL);
        state->kill_ns = 0; /* no more timed actions */
    }
}

static int open_signals(void)
{
    static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaddset(&set, signals[i]);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Unmount and close everything; returns the exit status. */
static int clean_up(struct state *state)
{
    struct mount *mount = state->given->mount;
    bool unasked = !state->stopping && state->exit_status == 0;

    /* First, because the mount table takes a descriptor: there may be none left. */
    state->signals = fd_close(state->signals);
    state->program = fd_close(state->program);
    state->previous_program = fd_close(state->previous_program);
    int r = mount_close(mount);
    if (r < 0) {
        log_say("Cannot unmount %s; run umount -l %s.", mount->point, mount->point);
        state->exit_status = 1;
    } else if (!r && unasked) {
        log_say("The kernel ended the mount on %s.", mount->point);
        state->exit_status = 1;
    }
    return state->exit_status;
}

int supervisor_run(const struct supervisor *supervisor)
{
    struct state state = {.given = supervisor,
                          .program = supervisor->program_fd,
                          .previous_program = -1,
                          .ready = -1,
                          .output = -1,
                          .signals = open_signals()};

    if (state.signals < 0) {
        log_say("Cannot wait for signals: %s.", strerror(errno));
        finish(&state, 1);
    }
    plan_next(&state, 0);
    while (!state.done) {
        if (state.worker == 0 && clock_monotonic_ns() >= state.start_ns)
            start_worker(&state);
        wait_once(&state);
    }
    return clean_up(&state);
}
