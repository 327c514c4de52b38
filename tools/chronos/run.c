/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program and stands in for it; see run.h. */
#include "run.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* chronosfs queues its signals to members with this value (docs/enforcement.md): the
 * program has its own. */
#define MEMBERS_VALUE 0x6368726f
/* Leftovers are looked for at growing intervals, as some arrive without a signal. */
#define LOOK_FIRST_MS 2
#define LOOK_LAST_MS  100
#define LOOKS_EMPTY   3 /* /proc can miss a child that comes while it is read */
/* After this the caller learns why nothing seems to happen. */
#define QUIET_MS 1000
/* A program that makes a group of its own does so soon. */
#define GROUP_LAST_MS 10000

struct runner {
    const struct run *run;
    pid_t program, group; /* group: the caller's */
    sigset_t signals;     /* those we take instead of being hit by them */
    bool aside;           /* we leave the group while the program runs */
    bool ended, expired;
    int status;
    struct run_leftover leftover;
    int64_t ended_ms, kill_ms; /* kill_ms: when the grace is over */
    bool told;
    int look_ms, looks_empty;
    /* Children that are not asked to end: the first `spared` were the caller's, the others
     * were asked before. */
    pid_t *known;
    size_t known_count, spared;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_known(const struct runner *self, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (self->known[i] == pid)
            return true;
    }
    return false;
}

static bool remember(struct runner *self, pid_t pid)
{
    pid_t *larger = realloc(self->known, (self->known_count + 1) * sizeof(*larger));
    if (!larger)
        return false;
    self->known = larger;
    self->known[self->known_count++] = pid;
    return true;
}

/* Only children are ever signalled: nobody else reaps them, so their pids cannot become
 * somebody else's. What is below them comes up when they end. Sends SIGKILL to each, or
 * SIGTERM to those that did not get it yet; 0 notes the caller's children. Returns how
 * many are left that can be reached. */
static size_t children_signal(struct runner *self, int number)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    size_t left = 0;
    pid_t pid;
    while (file && fscanf(file, "%d", &pid) == 1) {
        if (number == 0)
            self->spared += remember(self, pid);
        if (is_known(self, self->spared, pid))
            continue;
        if (number == SIGTERM && !is_known(self, self->known_count, pid) && remember(self, pid)) {
            kill(pid, SIGTERM);
            kill(pid, SIGCONT); /* one that is stopped could not end */
        }
        left += kill(pid, number == SIGKILL ? SIGKILL : 0) == 0;
    }
    if (file)
        fclose(file);
    return left;
}

/* Whether a shell with job control started us. Elsewhere, as in a script, we must not leave
 * the group: the kernel would think that it loses its keeper when we end, and hang up on
 * all of it if something in it is stopped. */
static bool is_job(void)
{
    pid_t parent = getppid();
    return getsid(parent) == getsid(0) && getpgid(parent) != getpgrp();
}

/* Leaves the group for an empty one. That needs a process of its number: a child that has
 * ended will do until it is reaped. */
static void step_aside(const struct runner *self)
{
    if (!self->aside)
        return;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    setpgid(child, child);
    setpgid(0, child);
    if (child > 0)
        waitpid(child, NULL, 0);
}

/* For the caller's job control, and for what the terminal sends once the program ended. */
static void step_back(const struct runner *self)
{
    setpgid(0, self->group);
}

/* A signal to a group is sent under a lock that setpgid takes too: afterwards it has
 * reached every member. */
static bool program_goes_on(const struct runner *self)
{
    siginfo_t info = {0};
    setpgid(0, INT_MAX);
    waitid(P_PID, (id_t)self->program, &info, WCONTINUED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
}

/* Stops until the caller's job control lets the group go on. A SIGCONT that comes first
 * takes the pending SIGTSTP back. False if it was no stop: the kernel lets no terminal stop
 * a group that no shell looks after. */
static bool stop_self(const struct runner *self)
{
    sigset_t stop, go;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigemptyset(&go);
    sigaddset(&go, SIGCONT);
    signal(SIGTSTP, SIG_DFL);
    step_back(self);
    raise(SIGTSTP);
    if (!program_goes_on(self)) {
        sigprocmask(SIG_UNBLOCK, &stop, NULL);
        sigprocmask(SIG_BLOCK, &stop, NULL);
    }
    return sigtimedwait(&go, NULL, &(struct timespec){0}) == SIGCONT || program_goes_on(self);
}

/* What came while this process was in the group came to the program too: passed on late,
 * it would undo what was sent since. */
static void drop_stops(void)
{
    static const int numbers[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    while (sigtimedwait(&set, NULL, &(struct timespec){0}) > 0) {
    }
}

/* The program was stopped. A program with a group of its own, such as a shell, gets the
 * terminal back when it goes on: the caller's shell gives it to the only group that it
 * knows. A SIGSTOP from elsewhere is between its sender and the program: if we stopped as
 * well, nothing would wake us when the program goes on or ends. */
static void follow_stop(struct runner *self, int number)
{
    pid_t its_group = getpgid(self->program);
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool foreground = terminal >= 0 && tcgetpgrp(terminal) == its_group;
    if (number != SIGSTOP || foreground) {
        bool stopped = stop_self(self);
        self->aside = self->aside && stopped; /* else the group would seem looked after */
        if (!program_goes_on(self)) {
            if (foreground && its_group != self->group && tcgetpgrp(terminal) == self->group)
                tcsetpgrp(terminal, its_group);
            kill(self->program, SIGCONT);
        }
        step_aside(self);
        drop_stops();
    }
    if (terminal >= 0)
        close(terminal);
}

static void program_ended(struct runner *self, int status)
{
    self->ended = true;
    self->status = status;
    self->leftover = self->run->ended(self->run->context);
    self->ended_ms = now_ms();
    self->kill_ms =
        self->leftover.action == RUN_TERM ? self->ended_ms + self->leftover.grace_ms : 0;
}

/* False if no child is left. */
static bool reap(struct runner *self)
{
    for (;;) {
        siginfo_t info = {0};
        int status;
        if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0)
            return false;
        if (info.si_pid == 0)
            return true;
        bool is_program = info.si_pid == self->program && !self->ended;
        if (is_program && info.si_code != CLD_STOPPED)
            step_back(self); /* before the group can vanish with the program */
        if (waitpid(info.si_pid, &status, WUNTRACED | WNOHANG) <= 0 || !is_program)
            continue;
        if (WIFSTOPPED(status))
            follow_stop(self, WSTOPSIG(status));
        else
            program_ended(self, status);
    }
}

/* What the terminal sends goes to a group, and some of it to the session's leader alone. */
static bool program_has_it(const struct runner *self, const siginfo_t *info)
{
    bool leaders = getsid(0) == getpid() && (info->si_signo == SIGHUP || info->si_signo == SIGCONT);
    if (info->si_code == SI_KERNEL)
        return !leaders && getpgid(self->program) == self->group;
    return info->si_pid == getpid(); /* we wrote to a pipe without a reader */
}

static void take_signal(struct runner *self, const siginfo_t *info)
{
    int number = info->si_signo;
    if (number == SIGCHLD)
        return;
    if (info->si_code == SI_QUEUE && info->si_value.sival_int == MEMBERS_VALUE) {
        if (number == SIGTERM && !self->expired) {
            self->expired = true;
            self->run->expired(self->run->context);
        }
        return;
    }
    if (self->ended) {
        /* the caller does not want to wait for the leftovers */
        if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
            self->kill_ms = 0;
        return;
    }
    if (program_has_it(self, info))
        return;
    if (info->si_code == SI_QUEUE)
        sigqueue(self->program, number, info->si_value);
    else
        kill(self->program, number);
}

/* One look at the leftovers. False when they are gone, are kept, or are chronosfs' to end:
 * once the time is up it does that, and us with them if we waited. */
static bool end_leftovers(struct runner *self)
{
    if (self->leftover.action == RUN_KEEP || self->expired)
        return false;
    int64_t now = now_ms();
    if (!self->told && now - self->ended_ms >= QUIET_MS) {
        self->told = true;
        output_say("The program left processes behind; they are being ended.");
    }
    size_t left = children_signal(self, now >= self->kill_ms ? SIGKILL : SIGTERM);
    self->looks_empty = left == 0 ? self->looks_empty + 1 : 0;
    self->look_ms = self->look_ms * 2 < LOOK_LAST_MS ? self->look_ms * 2 : LOOK_LAST_MS;
    return self->looks_empty < LOOKS_EMPTY;
}

/* A program with a group of its own leaves nobody in the caller's to take its signals. */
static void stand_in(struct runner *self)
{
    if (self->ended || !self->aside || getpgid(self->program) == self->group)
        return;
    self->aside = false;
    step_back(self);
}

static void watch(struct runner *self)
{
    siginfo_t info;
    int group_ms = LOOK_FIRST_MS;
    self->look_ms = LOOK_FIRST_MS;
    while (reap(self) && (!self->ended || end_leftovers(self))) {
        stand_in(self);
        bool looks = self->ended || (self->aside && group_ms < GROUP_LAST_MS);
        int64_t wait_ms = self->ended ? self->look_ms : group_ms;
        struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};
        if (sigtimedwait(&self->signals, &info, looks ? &wait : NULL) > 0)
            take_signal(self, &info);
        else if (looks && !self->ended)
            group_ms *= 2;
    }
}

/* What the caller passed stays open in the program alone, so that the other ends see it
 * close. Our own descriptors are those that exec closes. */
static void descriptors_close(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        int number = atoi(entry->d_name);
        if (number > 2 && (fcntl(number, F_GETFD) & FD_CLOEXEC) == 0)
            close(number);
    }
    if (directory)
        closedir(directory);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

/* All signals but those that an error in this process itself raises. */
static void signals_block(struct runner *self, sigset_t *ret_before)
{
    static const int left[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(&self->signals);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        sigdelset(&self->signals, left[i]);
    sigprocmask(SIG_BLOCK, &self->signals, ret_before);
}

/* Does not return. */
static void become_program(const char **words)
{
    execvp(words[0], (char **)words);
    int error = errno;
    output_say("%s: %s", words[0], strerror(error));
    _exit(error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE);
}

int run_program(const struct run *run, int *ret_status)
{
    struct runner self = {.run = run, .group = getpgrp(), .aside = is_job()};
    struct sigaction child_before, plain = {.sa_handler = SIG_DFL};
    sigset_t before;
    sigaction(SIGCHLD, &plain, &child_before); /* ignored, it would reap for us */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* A shell that became us by exec may have left us children of its own. */
    children_signal(&self, 0);
    int r = run->prepare(run->context);
    if (r != 0)
        return r;
    signals_block(&self, &before);
    self.program = fork();
    if (self.program == 0) {
        sigaction(SIGCHLD, &child_before, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become_program(run->words);
    }
    if (self.program < 0) {
        output_say("The program cannot be started: %s.", strerror(errno));
        return RUN_FAILED;
    }
    step_aside(&self);
    descriptors_close();
    watch(&self);
    free(self.known);
    *ret_status = self.status;
    return 0;
}

int run_exit_like(int status)
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
