/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that calls the drivers: reads who is meant and then questions from its
 * socket, and sends one answer for each backend as soon as it has it, so that one that
 * hangs does not hold back what others said. It has no thread of its own and no timer:
 * between questions it sleeps, and after a while it ends, because a driver that is open
 * keeps memory and devices.
 */
#include "nodes.h"
#include "usage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_USAGE    2
#define FIRST_WAIT_MS 60000 /* for who starts us to say what it wants */

/* What the process has. Zeroed and never freed: it ends when its caller does. */
struct process {
    int fd;
    struct usage_hello hello;
    void *state[USAGE_BACKEND_MAX];
    struct usage_answer answer;
};

/* 1, or 0 when nobody asked in time or the other end is closed. */
static int receive(int fd, void *wire, size_t size, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return n > 0 && recv(fd, wire, size, MSG_WAITALL) == (ssize_t)size;
}

static bool send_all(int fd, const void *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        data = (const char *)data + sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool answer_one(struct process *process, uint32_t backend, uint32_t number)
{
    struct usage_answer *answer = &process->answer;
    struct usage_rows rows = {0};

    memset(answer, 0, sizeof(*answer));
    answer->magic = USAGE_MAGIC;
    answer->number = number;
    answer->backend = backend;
    usage_backends[backend]->sample(process->state[backend], &process->hello, answer, &rows);
    answer->process_lost += (uint32_t)usage_rows_cut(&rows, GPU_USAGE_PROCESS_MAX);
    answer->process_count = (uint32_t)rows.count;
    bool sent = send_all(process->fd, answer, sizeof(*answer)) &&
                send_all(process->fd, rows.row, rows.count * sizeof(*rows.row));
    usage_rows_free(&rows);
    return sent;
}

static int serve(struct process *process)
{
    struct usage_question question;
    int patience_ms = FIRST_WAIT_MS; /* the first question is on its way */

    while (receive(process->fd, &question, sizeof(question), patience_ms)) {
        patience_ms = process->hello.idle_ms;
        if (question.magic != USAGE_MAGIC)
            return EXIT_USAGE;
        for (uint32_t i = 0; usage_backends[i] != NULL; i++) {
            if ((question.backends & 1u << i) != 0 && !answer_one(process, i, question.number))
                return 0;
        }
    }
    return 0;
}

static int open_backends(struct process *process)
{
    for (size_t i = 0; usage_backends[i] != NULL; i++) {
        int rc = usage_backends[i]->open(&process->hello, &process->state[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Whatever happens to a driver, it must not keep files of the daemon open, outlive it,
 * or write the memory of a daemon's child to disk. */
static void prepare(int fd)
{
    const struct rlimit none = {0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "chronosfs-meter");
    setrlimit(RLIMIT_CORE, &none);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fd > 3)
        syscall(SYS_close_range, 3u, (unsigned)fd - 1, 0);
    syscall(SYS_close_range, (unsigned)fd + 1, ~0u, 0);
    gpu_nodes_shield(NULL);
}

static bool take_fd(const char *text, int *ret_fd)
{
    char *end;
    int type = 0;
    socklen_t size = sizeof(type);
    long fd = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || fd < 3 || fd > 4096 ||
        getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
        return false;
    *ret_fd = (int)fd;
    return true;
}

int usage_process(const char *fd_text)
{
    static struct process process; /* too large for a stack */

    if (!take_fd(fd_text, &process.fd))
        return EXIT_USAGE;
    prepare(process.fd);
    if (!receive(process.fd, &process.hello, sizeof(process.hello), FIRST_WAIT_MS) ||
        process.hello.magic != USAGE_MAGIC || process.hello.device_count > GPU_DEVICE_MAX)
        return EXIT_USAGE;
    if (open_backends(&process) < 0)
        return 1;
    return serve(&process);
}
