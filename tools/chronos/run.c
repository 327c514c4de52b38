/* SPDX-License-Identifier: Apache-2.0 */
/* Run a program and behave like it; see run.h. */
#include "run.h"
#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/pidfd.h"
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
#include <unistd.h>

/* Lengthen the intervals between scans for leftovers; keep scanning, because some arrive without a
 * signal. */
#define SCAN_FIRST_NS (2 * NS_PER_MS)
#define SCAN_LAST_NS  (100 * NS_PER_MS)
#define EMPTY_SCANS   3    /* /proc can miss a child that arrives during the read */
#define FD_GUESS      4096 /* without /proc, no higher descriptors are found */
/* Explain the wait to the user if it takes longer than this. */
#define QUIET_NS NS_PER_SECOND
/* A program that creates its own process group does so within this time. */
#define GROUP_LAST_NS (10 * NS_PER_SECOND)

struct runner {
    const struct run *run;
    pid_t program, group; /* group: the caller's */
    sigset_t signals;     /* blocked, and read with sigtimedwait */
    bool aside;           /* stay outside the group while the program runs */
    bool ended, expired;
    int status;
    struct run_leftover leftover;
    int64_t ended_ns, kill_ns; /* kill_ns: end of the grace period */
    bool reported;
    int64_t scan_ns;
    int empty_scans;
    /* Children not to send SIGTERM to: the first `spared` are the caller's, the rest have had
     * theirs. */
    pid_t *known;
    size_t known_count, known_capacity, spared;
};

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
    if (array_reserve(self->known, self->known_capacity, self->known_count + 1) < 0)
        return false;
    self->known[self->known_count++] = pid;
    return true;
}

/* Return whether this is the pid of a child. In a /proc of another pid namespace it is not. */
static bool is_child(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Signal children only: no other process reaps them, so their pids cannot be reused. Their own
 * children are adopted when they end. Send SIGKILL to each, or SIGTERM to those that have not had
 * it; 0 records the caller's children. Return the number of children left to signal. */
static size_t children_signal(struct runner *self, int signo)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    size_t left = 0;
    pid_t pid;
    while (file && fscanf(file, "%d", &pid) == 1) {
        if (signo == 0)
            self->spared += remember(self, pid);
        if (is_known(self, self->spared, pid) || !is_child(pid))
            continue;
        if (signo == SIGTERM && !is_known(self, self->known_count, pid) && remember(self, pid)) {
            kill(pid, SIGTERM);
            kill(pid, SIGCONT); /* a stopped process does not handle SIGTERM */
        }
        left += kill(pid, signo == SIGKILL ? SIGKILL : 0) == 0;
    }
    if (file)
        fclose(file);
    return left;
}

/* Return whether a shell with job control started this process. Otherwise, as in a script, it must
 * not leave the group: when it ends, the kernel would consider the group newly orphaned and send it
 * SIGHUP if any of its processes is stopped. */
static bool is_job(void)
{
    pid_t parent = getppid();
    return getsid(parent) == getsid(0) && getpgid(parent) != getpgrp();
}

/* Move this process to an empty process group. Its number must be that of a process: a child that
 * has exited serves until it is reaped. */
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

/* Move back, for the caller's job control, and for signals from the terminal after the program
 * ended. */
static void step_back(const struct runner *self)
{
    setpgid(0, self->group);
}

/* Return whether the program was continued. The kernel signals a group under a lock that setpgid
 * takes too: after the call, which fails, every process of the group has its SIGCONT. */
static bool program_continued(const struct runner *self)
{
    siginfo_t info = {0};
    setpgid(0, INT_MAX);
    waitid(P_PID, (id_t)self->program, &info, WCONTINUED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
}

/* Stop until the caller's job control continues the group. A SIGCONT that arrives first cancels the
 * pending SIGTSTP. False if this process did not stop: the kernel does not stop orphaned process
 * groups. */
static bool stop_self(const struct runner *self)
{
    sigset_t stop, resume;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigemptyset(&resume);
    sigaddset(&resume, SIGCONT);
    signal(SIGTSTP, SIG_DFL);
    step_back(self);
    raise(SIGTSTP);
    if (!program_continued(self)) {
        sigprocmask(SIG_UNBLOCK, &stop, NULL);
        sigprocmask(SIG_BLOCK, &stop, NULL);
    }
    return sigtimedwait(&resume, NULL, &(struct timespec){0}) == SIGCONT || program_continued(self);
}

/* Discard signals that arrived while this process was in the group: the program got them too, and
 * forwarding them now could undo later ones. */
static void drop_stops(void)
{
    static const int signals[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaddset(&set, signals[i]);
    while (sigtimedwait(&set, NULL, &(struct timespec){0}) > 0) {
    }
}

/* Stop and continue with the program. A program with its own process group, such as a shell, gets
 * the terminal back when it continues: the caller's shell gives it to the only group that it knows.
 * Ignore a SIGSTOP from elsewhere: if this process stopped as well, nothing would wake it when the
 * program continues or ends. */
static void follow_stop(struct runner *self, int signo)
{
    pid_t its_group = getpgid(self->program);
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool foreground = terminal >= 0 && tcgetpgrp(terminal) == its_group;
    if (signo != SIGSTOP || foreground) {
        bool stopped = stop_self(self);
        self->aside = self->aside && stopped; /* the group is orphaned: stay in it */
        if (!program_continued(self)) {
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
    self->ended_ns = clock_monotonic_ns();
    self->kill_ns =
        self->leftover.action == RUN_TERM ? self->ended_ns + self->leftover.grace_ns : 0;
}

/* Reap ended children and follow the program. False if no child is left. */
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
            step_back(self); /* the group can disappear with the program */
        if (waitpid(info.si_pid, &status, WUNTRACED | WNOHANG) <= 0 || !is_program)
            continue;
        if (WIFSTOPPED(status))
            follow_stop(self, WSTOPSIG(status));
        else
            program_ended(self, status);
    }
}

/* Return whether the program has received the signal too. The terminal signals a process group, in
 * some cases only the leader of the session. */
static bool program_received(const struct runner *self, const siginfo_t *info)
{
    bool leaders = getsid(0) == getpid() && (info->si_signo == SIGHUP || info->si_signo == SIGCONT);
    if (info->si_code == SI_KERNEL)
        return !leaders && getpgid(self->program) == self->group;
    return info->si_pid == getpid(); /* SIGPIPE from a write of this process */
}

static void handle_signal(struct runner *self, const siginfo_t *info)
{
    int signo = info->si_signo;
    if (signo == SIGCHLD)
        return;
    if (info->si_code == SI_QUEUE && info->si_value.sival_int == PIDFD_SIGNAL_VALUE) {
        if (signo == SIGTERM && !self->expired)
            self->expired = self->run->expired(self->run->context);
        return;
    }
    if (self->ended) {
        /* The caller does not want to wait for the leftovers. */
        if (signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT)
            self->kill_ns = 0;
        return;
    }
    if (program_received(self, info))
        return;
    if (info->si_code == SI_QUEUE)
        sigqueue(self->program, signo, info->si_value);
    else
        kill(self->program, signo);
}

/* Scan once for leftovers and signal them. False when none are left or they are kept; also when the
 * partition has expired: chronosfs then ends them, and would end this process too if it waited. */
static bool end_leftovers(struct runner *self)
{
    if (self->leftover.action == RUN_KEEP || self->expired)
        return false;
    int64_t now_ns = clock_monotonic_ns();
    if (!self->reported && now_ns - self->ended_ns >= QUIET_NS) {
        self->reported = true;
        output_message("The program left processes behind; ending them.");
    }
    size_t left = children_signal(self, now_ns >= self->kill_ns ? SIGKILL : SIGTERM);
    self->empty_scans = left == 0 ? self->empty_scans + 1 : 0;
    self->scan_ns = self->scan_ns * 2 < SCAN_LAST_NS ? self->scan_ns * 2 : SCAN_LAST_NS;
    return self->empty_scans < EMPTY_SCANS;
}

/* Return to the caller's group once the program has left it: no other process is there to receive
 * the group's signals. */
static void replace_in_group(struct runner *self)
{
    if (self->ended || !self->aside || getpgid(self->program) == self->group)
        return;
    self->aside = false;
    step_back(self);
}

static void watch(struct runner *self)
{
    siginfo_t info;
    int64_t group_ns = SCAN_FIRST_NS;
    self->scan_ns = SCAN_FIRST_NS;
    while (reap(self) && (!self->ended || end_leftovers(self))) {
        replace_in_group(self);
        bool polls = self->ended || (self->aside && group_ns < GROUP_LAST_NS);
        struct timespec wait = clock_timespec(self->ended ? self->scan_ns : group_ns);
        if (sigtimedwait(&self->signals, &info, polls ? &wait : NULL) > 0)
            handle_signal(self, &info);
        else if (polls && !self->ended)
            group_ns *= 2;
    }
}

static void close_inherited(int fd)
{
    int flags = fd > 2 ? fcntl(fd, F_GETFD) : -1;
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
        close(fd);
}

/* Close the descriptors inherited from the caller, so that only the program holds them and their
 * other ends see it close them. This process's own are close-on-exec. */
static void descriptors_close(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        close_inherited(atoi(entry->d_name));
    for (int fd = 3; !directory && fd < FD_GUESS; fd++)
        close_inherited(fd);
    if (directory)
        closedir(directory);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

/* Block all signals except those that a fault of this process raises. */
static void signals_block(struct runner *self, sigset_t *ret_before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(&self->signals);
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++)
        sigdelset(&self->signals, faults[i]);
    sigprocmask(SIG_BLOCK, &self->signals, ret_before);
}

/* Execute the program; never returns. */
static void become_program(const char **words)
{
    execvp(words[0], (char **)words);
    int exec_errno = errno;
    output_message("%s: %s", words[0], strerror(exec_errno));
    _exit(exec_errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE);
}

int run_program(const struct run *run, int *ret_status)
{
    struct runner self = {.run = run, .group = getpgrp(), .aside = is_job()};
    struct sigaction child_before, plain = {.sa_handler = SIG_DFL};
    sigset_t before;
    sigaction(SIGCHLD, &plain, &child_before); /* if ignored, the kernel would reap children */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* A shell that ran this program with exec may have had children of its own. */
    children_signal(&self, 0);
    int r = run->prepare(run->context);
    if (r) {
        free(self.known);
        return r;
    }
    signals_block(&self, &before);
    self.program = fork();
    if (self.program == 0) {
        sigaction(SIGCHLD, &child_before, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become_program(run->words);
    }
    if (self.program < 0) {
        output_message("Cannot start the program: %s.", strerror(errno));
        free(self.known);
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
    int signo = WTERMSIG(status);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* only the program dumps core */
    signal(signo, SIG_DFL);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + signo; /* init of a pid namespace does not die of its own signals */
}
