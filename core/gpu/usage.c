/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asker; see meter.h. A question goes to all backends that may be asked, answers
 * come one for each, in order; usage_usage.c puts them together.
 * A backend whose turn it is when the process hangs, dies or talks nonsense is at
 * fault: it is left alone for a while, and the others are asked in a new process. It
 * must not call a driver.
 */
#include "usage.h"

#include "usage_state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

/* -- making and ending ---------------------------------------------------------- */

static bool copy_text(char *into, size_t size, const char *text, const char *otherwise)
{
    int length = snprintf(into, size, "%s", text != NULL ? text : otherwise);
    return length >= 0 && (size_t)length < size;
}

static int take_options(struct usage_reader *reader, const struct usage_options *options)
{
    struct usage_hello *hello = &reader->hello;
    reader->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 2000;
    reader->first_ms = options->first_ms > 0 ? options->first_ms : 10000;
    hello->idle_ms = options->idle_ms > 0 ? options->idle_ms : 60000;
    hello->retry_ms = options->retry_ms > 0 ? options->retry_ms : 60000;
    bool fits =
        copy_text(reader->program, sizeof(reader->program), options->program, "/proc/self/exe") &&
        copy_text(hello->proc, sizeof(hello->proc), options->proc, "/proc") &&
        copy_text(hello->sys, sizeof(hello->sys), options->sys, "/sys") &&
        copy_text(hello->nvml, sizeof(hello->nvml), options->nvml, "libnvidia-ml.so.1");
    return fits ? 0 : -EINVAL;
}

static int watch(struct usage_reader *reader, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(reader->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_files(struct usage_reader *reader)
{
    reader->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (reader->epoll < 0)
        return -errno;
    reader->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return reader->timer < 0 ? -errno : watch(reader, reader->timer);
}

int usage_reader_new(const struct gpu_device *devices, uint32_t count,
                     const struct usage_options *options, struct usage_reader **ret_reader)
{
    const struct usage_options defaults = {0};
    struct usage_reader *reader;

    if (count > GPU_DEVICE_MAX)
        return -EINVAL;
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return -ENOMEM;
    reader->epoll = reader->timer = reader->child.socket = reader->child.pidfd = -1;
    reader->hello.magic = USAGE_MAGIC;
    reader->hello.device_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct usage_identity *identity = &reader->hello.device[i];
        snprintf(identity->uuid, sizeof(identity->uuid), "%s", devices[i].uuid);
        snprintf(identity->pci, sizeof(identity->pci), "%s", devices[i].pci);
    }
    int rc = take_options(reader, options != NULL ? options : &defaults);
    if (rc == 0)
        rc = open_files(reader);
    if (rc < 0) {
        usage_reader_free(reader);
        return rc;
    }
    *ret_reader = reader;
    return 0;
}

struct usage_reader *usage_reader_free(struct usage_reader *reader)
{
    if (reader == NULL)
        return NULL;
    usage_child_end(&reader->child, false);
    for (size_t i = 0; i <= NOBODY; i++) {
        if (reader->standing[i].stuck != 0)
            usage_child_gone(reader->standing[i].stuck);
    }
    if (reader->timer >= 0)
        close(reader->timer);
    if (reader->epoll >= 0)
        close(reader->epoll);
    usage_rows_free(&reader->rows);
    usage_rows_free(&reader->before);
    usage_rows_free(&reader->told);
    free(reader);
    return NULL;
}

int usage_reader_fd(const struct usage_reader *reader)
{
    return reader->epoll;
}

/* -- the process ------------------------------------------------------------------ */

/* Absolute; 0: never, 1: at once, and readable until it is set anew. */
static void set_timer(struct usage_reader *reader, int64_t at_ns)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000}};
    timerfd_settime(reader->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void finish(struct usage_reader *reader)
{
    usage_merge_finish(reader);
    reader->under_way = false;
    reader->ready = true;
    set_timer(reader, 1);
}

static void end_child(struct usage_reader *reader, uint32_t at_fault, bool by_itself)
{
    pid_t stuck = usage_child_end(&reader->child, by_itself);
    if (stuck != 0)
        reader->standing[at_fault].stuck = stuck;
    reader->got = 0;
}

static uint32_t next_backend(const struct usage_reader *reader)
{
    return reader->pending != 0 ? (uint32_t)__builtin_ctz(reader->pending) : NOBODY;
}

/* The backend whose turn it is did not do well: leave it alone for a while. */
static void blame(struct usage_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void blame(struct usage_reader *reader, const char *format, ...)
{
    uint32_t backend = next_backend(reader);
    struct standing *standing = &reader->standing[backend];
    char how[96];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(how, sizeof(how), format, arguments);
    va_end(arguments);
    snprintf(standing->note, sizeof(standing->note),
             "the %s driver %s when it was asked for usage%s", usage_backends[backend]->name, how,
             standing->stuck != 0 ? ", and cannot be stopped" : "");
    standing->retry_ns = usage_now_ns() + reader->hello.retry_ms * NS_PER_MS;
    reader->pending &= ~(1u << backend);
}

static bool say(struct usage_reader *reader, const void *wire, size_t size)
{
    return send(reader->child.socket, wire, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int start(struct usage_reader *reader)
{
    int rc = usage_child_start(&reader->child, reader->program);
    if (rc == 0)
        rc = watch(reader, reader->child.socket);
    if (rc == 0 && reader->child.pidfd >= 0)
        rc = watch(reader, reader->child.pidfd);
    if (rc < 0)
        return rc;
    reader->fresh = true;
    return say(reader, &reader->hello, sizeof(reader->hello)) ? 0 : -EPIPE;
}

/* Puts the question to those that are pending, in a new process if need be. If that
 * cannot be, nobody can be asked. */
static void put_question(struct usage_reader *reader)
{
    const struct usage_question question = {
        .magic = USAGE_MAGIC, .number = reader->number, .backends = reader->pending};
    int rc = 0;

    if (reader->pending == 0) {
        finish(reader);
        return;
    }
    if (reader->child.pid != 0 &&
        (usage_child_has_ended(&reader->child) || !say(reader, &question, sizeof(question))))
        end_child(reader, NOBODY, true); /* it was idle, and is going */
    if (reader->child.pid == 0) {
        rc = start(reader);
        if (rc == 0 && !say(reader, &question, sizeof(question)))
            rc = -EPIPE;
    }
    if (rc < 0) {
        end_child(reader, NOBODY, false);
        while (reader->pending != 0)
            blame(reader, "could not be reached (%s)", strerror(-rc));
        finish(reader);
        return;
    }
    int patience_ms = reader->fresh ? reader->first_ms : reader->timeout_ms;
    reader->deadline_ns = usage_now_ns() + patience_ms * NS_PER_MS;
    set_timer(reader, reader->deadline_ns);
}

/* -- asking and taking ------------------------------------------------------------ */

static bool may_be_asked(struct standing *standing, int64_t now_ns)
{
    if (standing->stuck != 0 && usage_child_gone(standing->stuck))
        standing->stuck = 0;
    return standing->stuck == 0 && now_ns >= standing->retry_ns;
}

void usage_reader_ask(struct usage_reader *reader)
{
    struct gpu_usage *usage = &reader->usage;

    if (reader->under_way || reader->ready)
        return;
    reader->under_way = true;
    reader->number++;
    reader->rows.count = 0;
    usage->asked_ns = usage_now_ns();
    usage->process_count = usage->process_lost = 0;
    usage->device_count = reader->hello.device_count;
    memset(usage->device, 0, sizeof(usage->device));
    for (uint32_t i = 0; i < usage->device_count; i++)
        copy_text(usage->device[i].backend, sizeof(usage->device[i].backend), "none", "");
    reader->pending = 0;
    bool free_to_start = may_be_asked(&reader->standing[NOBODY], usage->asked_ns);
    for (uint32_t b = 0; free_to_start && usage_backends[b] != NULL; b++) {
        if (may_be_asked(&reader->standing[b], usage->asked_ns))
            reader->pending |= 1u << b;
    }
    put_question(reader);
}

/* Bytes that the message has, as far as it is known; 0: it is nonsense. */
static size_t message_size(const struct usage_reader *reader)
{
    const struct usage_answer *answer = &reader->wire.answer;
    if (reader->got < sizeof(*answer))
        return sizeof(*answer);
    if (answer->magic != USAGE_MAGIC || answer->number != reader->number ||
        answer->backend != next_backend(reader) || answer->process_count > GPU_USAGE_PROCESS_MAX)
        return 0;
    return sizeof(*answer) + answer->process_count * sizeof(struct gpu_usage_process);
}

/* 1: a whole message is there; 0: not yet; -EBADMSG: what came is none; -EPIPE: the
 * process is gone. */
static int receive(struct usage_reader *reader)
{
    for (;;) {
        size_t size = message_size(reader);
        if (size == 0)
            return -EBADMSG;
        if (reader->got >= sizeof(reader->wire.answer) && reader->got == size)
            return 1;
        /* In this order: what it said before it ended counts. */
        bool ended = usage_child_has_ended(&reader->child);
        ssize_t n = recv(reader->child.socket, (char *)&reader->wire + reader->got,
                         size - reader->got, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !ended)
            return 0;
        if (n <= 0)
            return -EPIPE;
        if (!reader->under_way)
            return -EBADMSG; /* nobody asked */
        reader->got += (size_t)n;
    }
}

/* The process has ended. That is nobody's fault if it was idle, or went as it was asked
 * for the first time after a while. */
static void handle_end(struct usage_reader *reader)
{
    bool fresh = reader->fresh;
    end_child(reader, next_backend(reader), true);
    int status = reader->child.status;
    if (!reader->under_way)
        return;
    bool was_idle = !fresh && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!was_idle) {
        if (status != -1 && WIFSIGNALED(status))
            blame(reader, "crashed (%s)", strsignal(WTERMSIG(status)));
        else
            blame(reader, "ended the program");
    }
    put_question(reader);
}

static void handle_nonsense(struct usage_reader *reader)
{
    end_child(reader, next_backend(reader), false);
    if (!reader->under_way)
        return;
    blame(reader, "gave an answer that cannot be true");
    put_question(reader);
}

static void handle_message(struct usage_reader *reader)
{
    const struct usage_wire *wire = &reader->wire;
    uint32_t backend = next_backend(reader);

    if (!usage_answer_is_good(&wire->answer, wire->process, reader->hello.device_count)) {
        handle_nonsense(reader);
        return;
    }
    usage_merge_take(reader, backend);
    reader->got = 0;
    reader->pending &= ~(1u << backend);
    if (reader->pending == 0) {
        reader->fresh = false;
        finish(reader);
    }
}

static void handle_socket(struct usage_reader *reader)
{
    int rc = 1;
    while (rc == 1 && reader->child.pid != 0) {
        rc = receive(reader);
        if (rc == 1)
            handle_message(reader);
        else if (rc == -EPIPE)
            handle_end(reader);
        else if (rc < 0)
            handle_nonsense(reader);
    }
}

int usage_reader_take(struct usage_reader *reader, const struct gpu_usage **ret_usage)
{
    if (!reader->ready)
        handle_socket(reader);
    if (reader->under_way && usage_now_ns() >= reader->deadline_ns) {
        int patience_ms = reader->fresh ? reader->first_ms : reader->timeout_ms;
        end_child(reader, next_backend(reader), false);
        blame(reader, "did not answer within %g s", patience_ms / 1000.0);
        put_question(reader);
    }
    if (!reader->ready)
        return -EAGAIN;
    reader->ready = false;
    set_timer(reader, 0);
    *ret_usage = &reader->usage;
    return 0;
}
