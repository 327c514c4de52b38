/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a backend in a child process. Drivers hang, crash, print, start helpers
 * of their own and leave threads behind; nothing of that may reach the caller,
 * who gets an answer that was checked or a message, and never waits longer than
 * it said. It must not know any backend.
 */
#include "gpu.h"
#include "nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a killed child may take to go before it is left to itself: one that
 * is stuck in a driver cannot be killed, and must not hold us. */
#define REAP_MS 200

/* What the child leaves behind, in memory that both see. */
struct answer {
    int rc;
    struct gpu_list list;
};

/* A question under way. */
struct question {
    const char *backend;
    pid_t child;
    int pidfd, done; /* `done`: readable or closed when the answer is there */
    struct answer *answer;
    bool reaped;
    int status;
};

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* -- in the child ------------------------------------------------------------ */

static void reset_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL); /* fails for the few that cannot be changed */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void drop_output(void)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        _exit(1);
    for (int fd = 0; fd <= 2; fd++) {
        if (dup2(null, fd) < 0)
            _exit(1);
    }
    if (null > 2)
        close(null);
}

/* A driver that hangs for ever must not keep our locks and mounts open. */
static void close_all_but(int keep)
{
    long rc = keep > 3 ? syscall(SYS_close_range, 3u, (unsigned)keep - 1, 0) : 0;
    if (rc == 0 && syscall(SYS_close_range, (unsigned)keep + 1, ~0u, 0) == 0)
        return;
    for (int fd = 3; fd < 4096; fd++) { /* an old kernel */
        if (fd != keep)
            close(fd);
    }
}

static _Noreturn void ask(const struct gpu_backend *backend, const char *argument, pid_t parent,
                          int done, struct answer *answer)
{
    struct rlimit no_core = {0, 0};

    setpgid(0, 0);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setrlimit(RLIMIT_CORE, &no_core);
    if (done < 3 && (done = fcntl(done, F_DUPFD_CLOEXEC, 3)) < 0)
        _exit(1);
    drop_output();
    close_all_but(done);
    gpu_nodes_shield(NULL);
    answer->rc = backend->probe(argument, &answer->list);
    if (write(done, "", 1) != 1)
        _exit(1);
    _exit(0); /* no destructors: the driver's may hang */
}

/* -- in the caller ------------------------------------------------------------ */

static bool line_is_good(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    }
    return length < size;
}

static bool device_is_good(const struct gpu_device *d)
{
    return d->memory_bytes > 0 && d->memory_bytes <= INT64_MAX && d->key[0] != '\0' &&
           line_is_good(d->key, sizeof(d->key)) && line_is_good(d->name, sizeof(d->name)) &&
           line_is_good(d->vendor, sizeof(d->vendor)) &&
           line_is_good(d->driver, sizeof(d->driver)) &&
           line_is_good(d->version, sizeof(d->version)) && line_is_good(d->uuid, sizeof(d->uuid)) &&
           line_is_good(d->pci, sizeof(d->pci)) && line_is_good(d->type, sizeof(d->type)) &&
           line_is_good(d->backend, sizeof(d->backend));
}

/* The child may have been out of its mind: nothing it says is believed unseen. */
static bool list_is_good(const struct gpu_list *list)
{
    if (list->count > GPU_DEVICE_MAX || !line_is_good(list->note, sizeof(list->note)))
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        if (!device_is_good(&list->device[i]))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(list->device[i].key, list->device[j].key) == 0)
                return false;
        }
    }
    return true;
}

/* Where there is no pidfd, the child has to be looked at again and again. */
#define LOOK_MS 10

static bool child_is_gone(const struct question *question)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)question->child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == question->child;
}

/* Waits until the answer is there or the child is gone; false: time is up. */
static bool wait_answer(const struct question *question, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = question->done, .events = POLLIN},
                               {.fd = question->pidfd, .events = POLLIN}};
        int64_t left = deadline_ms - now_ms();
        if (question->pidfd < 0 && left > LOOK_MS)
            left = LOOK_MS;
        int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n > 0 || (question->pidfd < 0 && child_is_gone(question)))
            return true;
        if (n == 0 && now_ms() >= deadline_ms)
            return false;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

/* Everything the backend started is in the child's group. */
static void kill_group(struct question *question)
{
    kill(-question->child, SIGKILL);
    kill(question->child, SIGKILL);
    int64_t deadline_ms = now_ms() + REAP_MS;
    while (!question->reaped) {
        struct pollfd fd = {.fd = question->pidfd, .events = POLLIN};
        pid_t pid = waitpid(question->child, &question->status, WNOHANG);
        if (pid == question->child || (pid < 0 && errno != EINTR)) {
            question->reaped = pid > 0;
            return;
        }
        int64_t left = deadline_ms - now_ms();
        if (left <= 0)
            return;
        poll(&fd, 1, question->pidfd >= 0 ? (int)left : LOOK_MS);
    }
}

static int say(struct gpu_list *list, int code, const char *backend, const char *how)
{
    memset(list, 0, sizeof(*list));
    snprintf(list->note, sizeof(list->note),
             "the %.32s driver %s when it was asked which devices there are", backend, how);
    return code;
}

/* No answer came and the child is gone. */
static int explain_end(const struct question *question, struct gpu_list *list)
{
    char how[96];
    if (!question->reaped)
        return say(list, -ECHILD, question->backend, "went away");
    if (WIFSIGNALED(question->status))
        snprintf(how, sizeof(how), "crashed (%s)", strsignal(WTERMSIG(question->status)));
    else
        snprintf(how, sizeof(how), "ended the program (exit status %d)",
                 WEXITSTATUS(question->status));
    return say(list, -ECHILD, question->backend, how);
}

static int read_answer(const struct question *question, struct gpu_list *ret_list)
{
    static struct answer copy; /* too large for a stack; the caller has one thread */
    copy = *question->answer;
    if (copy.rc > 0 || copy.rc < -4095 || !list_is_good(&copy.list))
        return say(ret_list, -EBADMSG, question->backend, "gave an answer that cannot be true");
    *ret_list = copy.list;
    return copy.rc;
}

/* Looks at the child before it is killed, so that its own end is told. */
static int finish(struct question *question, bool in_time, int timeout_ms,
                  struct gpu_list *ret_list)
{
    char byte, how[64];
    bool answered = in_time && read(question->done, &byte, 1) == 1;
    if (in_time && !answered)
        question->reaped = waitpid(question->child, &question->status, WNOHANG) > 0;
    kill_group(question);
    if (answered)
        return read_answer(question, ret_list);
    if (in_time)
        return explain_end(question, ret_list);
    snprintf(how, sizeof(how), "did not answer within %g s", timeout_ms / 1000.0);
    return say(ret_list, -ETIMEDOUT, question->backend, how);
}

int gpu_probe(const struct gpu_backend *backend, const char *argument, int timeout_ms,
              struct gpu_list *ret_list)
{
    struct question question = {.backend = backend->name, .pidfd = -1};
    int64_t deadline_ms = now_ms() + timeout_ms;
    int fds[2], rc;

    question.answer = mmap(NULL, sizeof(*question.answer), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (question.answer == MAP_FAILED)
        return say(ret_list, -ENOMEM, backend->name, "could not be started");
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        rc = -errno;
        munmap(question.answer, sizeof(*question.answer));
        return say(ret_list, rc, backend->name, "could not be started");
    }
    question.done = fds[0];
    pid_t parent = getpid();
    question.child = fork();
    if (question.child == 0)
        ask(backend, argument, parent, fds[1], question.answer);
    rc = -errno;
    close(fds[1]);
    if (question.child > 0) {
        setpgid(question.child, question.child); /* whoever comes first */
        question.pidfd = (int)syscall(SYS_pidfd_open, question.child, 0);
        rc = finish(&question, wait_answer(&question, deadline_ms), timeout_ms, ret_list);
    } else {
        say(ret_list, rc, backend->name, "could not be started");
    }
    if (question.pidfd >= 0)
        close(question.pidfd);
    close(fds[0]);
    munmap(question.answer, sizeof(*question.answer));
    return rc;
}
