/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: the parent of the program and of all that loses its own parent below
 * it. It executes nothing and blocks every signal, because it belongs to the same
 * partition as the program and gets what is sent to all of that. It must not know
 * of partitions.
 */
#include "guard.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How far apart the launcher and the guard may see one signal. */
#define SAME_SIGNAL_NS 1000000000
/* Signals that come faster than this may be one to the guard and two to the launcher,
 * as signals that are pending are not counted. */
#define MERGED_NS 50000000

/* Signals that reached the guard itself: who sent the latest, and how many of
 * those were not asked for by the launcher yet. */
struct seen {
    uint32_t pid;
    int32_t code;
    int count;
    int64_t at_ns;
};

struct guard {
    int socket, signals, launcher; /* launcher: a pidfd */
    pid_t launcher_pid, program;
    bool ended;         /* the program */
    bool stopped;       /* the launcher, by us */
    bool had_terminal;  /* the program, in a group of its own, when it stopped */
    int64_t went_on_ns; /* when it went on */
    bool finishing;
    struct launch_end end;
    int64_t until_ns; /* finishing: when SIGTERM was not enough */
    struct children children;
    struct seen seen[_NSIG];
};

static void note_signals(struct guard *guard)
{
    struct signalfd_siginfo info;
    while (read(guard->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_pid == (uint32_t)guard->launcher_pid)
            continue; /* that was for us: to go on if we were stopped */
        struct seen *seen = &guard->seen[info.ssi_signo];
        if (seen->pid != info.ssi_pid || seen->code != info.ssi_code)
            seen->count = 0;
        seen->pid = info.ssi_pid;
        seen->code = info.ssi_code;
        seen->count++;
        seen->at_ns = monotonic_ns();
    }
}

/* Could what the guard saw be what the launcher saw? A launcher that was stopped sees
 * it when it goes on. */
static bool same_time(const struct guard *guard, const struct seen *seen, const struct order *order)
{
    int64_t apart = order->at_ns - seen->at_ns;
    return (apart < SAME_SIGNAL_NS && apart > -SAME_SIGNAL_NS) || guard->stopped ||
           order->at_ns - guard->went_on_ns < SAME_SIGNAL_NS;
}

/* Did the program get it too? It did if it was sent to the process group: then the
 * guard got the same from the same sender, and the program is in that group. */
static bool program_got(struct guard *guard, const struct order *order)
{
    struct seen *seen = &guard->seen[order->info.ssi_signo];
    bool counted = seen->count > 0 || order->at_ns - seen->at_ns < MERGED_NS;
    if (!counted || seen->pid != order->info.ssi_pid || seen->code != order->info.ssi_code ||
        !same_time(guard, seen, order))
        return false;
    seen->count -= seen->count > 0;
    return getpgid(guard->program) == getpgrp();
}

/* A signal that stops takes away one to go on that is not taken yet, and the other way
 * round. So the guard may have missed what the launcher saw, and then it saw the later
 * one: what is older must not undo that. */
static bool is_overtaken(const struct guard *guard, const struct order *order)
{
    static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        int later = (int)order->info.ssi_signo == SIGCONT    ? stops[i]
                    : (int)order->info.ssi_signo == stops[i] ? SIGCONT
                                                             : 0;
        if (later != 0 && guard->seen[later].at_ns >= order->at_ns)
            return true;
    }
    return false;
}

/* A program that has a group of its own, such as a shell, and stopped while the
 * terminal was its, gets it back when it goes on in the foreground: the caller's
 * shell gave it to our group, as the only one that it knows. */
static void terminal_is_programs(struct guard *guard)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    pid_t group = getpgid(guard->program);
    guard->had_terminal = terminal >= 0 && group != getpgrp() && tcgetpgrp(terminal) == group;
    close(terminal);
}

static void give_terminal(const struct guard *guard)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal >= 0 && tcgetpgrp(terminal) == getpgrp())
        tcsetpgrp(terminal, getpgid(guard->program));
    close(terminal);
}

static void pass_on(struct guard *guard, const struct order *order)
{
    int signal = (int)order->info.ssi_signo;
    if (guard->ended) {
        /* somebody does not want to wait for what the program left */
        if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT)
            guard->until_ns = 0;
        return;
    }
    note_signals(guard);
    if (program_got(guard, order) || is_overtaken(guard, order))
        return;
    if (signal == SIGCONT && guard->had_terminal)
        give_terminal(guard);
    if (order->info.ssi_code == SI_QUEUE)
        sigqueue(guard->program, signal,
                 (union sigval){.sival_ptr = (void *)(uintptr_t)order->info.ssi_ptr});
    else
        kill(guard->program, signal);
}

static void tell_launcher(const struct guard *guard, const struct report *report)
{
    ssize_t ignored = send(guard->socket, report, sizeof *report, MSG_NOSIGNAL);
    (void)ignored; /* it is gone: the end of the socket says so */
}

/* As the status of wait(2). */
static int status_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static void program_ended(struct guard *guard, const siginfo_t *info)
{
    struct report report = {REPORT_ENDED, guard->program, status_of(info)};
    guard->ended = true;
    tell_launcher(guard, &report);
    if (guard->stopped)
        pidfd_send_signal(guard->launcher, SIGCONT, NULL, 0);
}

/* False if no child is left. The launcher is told before the program is reaped: if
 * we are killed in between, the launcher inherits it and reaps it itself. */
static bool reap(struct guard *guard)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            return false;
        if (info.si_pid == 0)
            return true;
        if (info.si_pid == guard->program && !guard->ended)
            program_ended(guard, &info);
        waitpid(info.si_pid, NULL, 0);
    }
}

/* Stops the launcher while the program is stopped, so that the caller's job control
 * sees it. The guard does it for both directions, so that they cannot overtake each
 * other. */
static void follow_stops(struct guard *guard)
{
    siginfo_t stop = {0}, go = {0};
    if (guard->ended)
        return;
    waitid(P_PID, (id_t)guard->program, &stop, WSTOPPED | WNOHANG);
    if (stop.si_pid != 0)
        group_settle(); /* the whole group may be going on again, we were just first */
    waitid(P_PID, (id_t)guard->program, &go, WCONTINUED | WNOHANG);
    if (go.si_pid != 0) {
        pidfd_send_signal(guard->launcher, SIGCONT, NULL, 0);
    } else if (stop.si_pid != 0) {
        terminal_is_programs(guard);
        pidfd_send_signal(guard->launcher, SIGSTOP, NULL, 0);
    }
    if (guard->stopped && go.si_pid != 0)
        guard->went_on_ns = monotonic_ns();
    if (go.si_pid != 0 || stop.si_pid != 0)
        guard->stopped = go.si_pid == 0;
}

/* False when the launcher is gone. */
static bool take_order(struct guard *guard)
{
    struct order order;
    ssize_t length = recv(guard->socket, &order, sizeof order, MSG_DONTWAIT);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    if (length != (ssize_t)sizeof order)
        return false;
    if (order.kind == ORDER_SIGNAL) {
        pass_on(guard, &order);
    } else {
        guard->finishing = true;
        guard->end = order.end;
        bool at_once = order.end.leftover == LEFTOVER_KILL;
        guard->until_ns = at_once ? 0 : monotonic_ns() + order.end.grace_ms * 1000000;
    }
    return true;
}

/* One step of ending what is left; true when that is done. */
static bool finish(struct guard *guard)
{
    if (!reap(guard) || guard->end.leftover == LEFTOVER_STAYS)
        return true;
    if (monotonic_ns() >= guard->until_ns) {
        children_end(0, NULL);
        return true;
    }
    children_terminate(&guard->children);
    return false;
}

static void watch(struct guard *guard)
{
    struct pollfd files[] = {{.fd = guard->socket, .events = POLLIN},
                             {.fd = guard->signals, .events = POLLIN}};
    for (;;) {
        /* What is left may come up to us without a signal: look now and then. */
        poll(files, 2, guard->finishing ? 100 : -1);
        note_signals(guard);
        if (files[0].revents != 0 && !take_order(guard)) {
            children_end(0, NULL);
            return;
        }
        follow_stops(guard);
        reap(guard);
        if (guard->finishing && finish(guard))
            return;
    }
}

/* What ps and pkill see: not the launcher's words, or a signal sent by name would
 * reach both and look like one sent to the group. `words` are copies. */
static void take_title(const struct launch *launch)
{
    size_t last = 0;
    while (launch->words[last + 1] != NULL)
        last++;
    char *start = program_invocation_name;
    const char *end = launch->words[last] + strlen(launch->words[last]);
    prctl(PR_SET_NAME, launch->title);
    if (end <= start)
        return;
    size_t room = (size_t)(end - start);
    memset(start, 0, room);
    memcpy(start, launch->title, strnlen(launch->title, room));
}

/* Does not return. */
static void become_program(const struct guard *guard, const struct origin *origin, pid_t parent,
                           char **words)
{
    struct report report = {.kind = REPORT_STARTED, .program = getpid()};
    /* both of ours killed at once: the program goes too */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(LAUNCH_FAILED);
    tell_launcher(guard, &report); /* before the program can do anything */
    sigaction(SIGCHLD, &origin->child, NULL);
    sigprocmask(SIG_SETMASK, &origin->mask, NULL);
    execvp(words[0], words);
    int error = errno;
    say("%s: %s", words[0], strerror(error));
    _exit(error == ENOENT ? LAUNCH_NOT_FOUND : LAUNCH_NOT_RUN);
}

static char **copy_words(const char **words)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (copy[i] == NULL)
            return NULL;
    }
    return copy;
}

static int failed(const char *what)
{
    say("%s: %s", what, strerror(errno));
    return LAUNCH_FAILED;
}

int guard_run(const struct launch *launch, const struct origin *origin, int socket)
{
    struct guard guard = {.socket = socket, .launcher_pid = getppid()};
    struct pollfd gone = {.fd = socket, .events = POLLRDHUP};
    if (launch->only >= 0)
        close(launch->only);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    char **words = copy_words(launch->words);
    guard.launcher = pidfd_open(guard.launcher_pid, 0);
    guard.signals = signals_open();
    if (words == NULL || guard.launcher < 0 || guard.signals < 0)
        return failed("The program cannot be started");
    take_title(launch);
    int result = launch->prepare(launch->context);
    if (result != 0 || poll(&gone, 1, 0) != 0)
        return result;
    note_signals(&guard);
    memset(guard.seen, 0, sizeof guard.seen); /* the program is not there to have got these */
    pid_t self = getpid();
    guard.program = fork();
    if (guard.program == 0)
        become_program(&guard, origin, self, words);
    if (guard.program < 0)
        return failed("The program cannot be started");
    descriptors_let_go((const int[]){guard.socket, guard.signals, guard.launcher}, 3, true);
    watch(&guard);
    guard.children = children_free(guard.children);
    return 0;
}
