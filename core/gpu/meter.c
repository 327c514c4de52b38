/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asker; see meter.h. A question goes to all backends that may be asked, answers
 * come one for each, in order; meter_usage.c puts them together.
 * A backend whose turn it is when the process hangs, dies or talks nonsense is at
 * fault: it is left alone for a while, and the others are asked in a new process. It
 * must not call a driver.
 */
#include "meter.h"

#include "meter_state.h"

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

static int take_options(struct meter *meter, const struct meter_options *options)
{
    struct meter_hello *hello = &meter->hello;
    meter->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 2000;
    meter->first_ms = options->first_ms > 0 ? options->first_ms : 10000;
    hello->idle_ms = options->idle_ms > 0 ? options->idle_ms : 60000;
    hello->retry_ms = options->retry_ms > 0 ? options->retry_ms : 60000;
    bool fits =
        copy_text(meter->program, sizeof(meter->program), options->program, "/proc/self/exe") &&
        copy_text(hello->proc, sizeof(hello->proc), options->proc, "/proc") &&
        copy_text(hello->sys, sizeof(hello->sys), options->sys, "/sys") &&
        copy_text(hello->nvml, sizeof(hello->nvml), options->nvml, "libnvidia-ml.so.1");
    return fits ? 0 : -EINVAL;
}

static int watch(struct meter *meter, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(meter->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_files(struct meter *meter)
{
    meter->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (meter->epoll < 0)
        return -errno;
    meter->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return meter->timer < 0 ? -errno : watch(meter, meter->timer);
}

int meter_new(const struct gpu_device *devices, uint32_t count, const struct meter_options *options,
              struct meter **ret_meter)
{
    const struct meter_options defaults = {0};
    struct meter *meter;

    if (count > GPU_DEVICE_MAX)
        return -EINVAL;
    meter = calloc(1, sizeof(*meter));
    if (meter == NULL)
        return -ENOMEM;
    meter->epoll = meter->timer = meter->child.socket = meter->child.pidfd = -1;
    meter->hello.magic = METER_MAGIC;
    meter->hello.device_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct meter_identity *identity = &meter->hello.device[i];
        snprintf(identity->uuid, sizeof(identity->uuid), "%s", devices[i].uuid);
        snprintf(identity->pci, sizeof(identity->pci), "%s", devices[i].pci);
    }
    int rc = take_options(meter, options != NULL ? options : &defaults);
    if (rc == 0)
        rc = open_files(meter);
    if (rc < 0) {
        meter_free(meter);
        return rc;
    }
    *ret_meter = meter;
    return 0;
}

struct meter *meter_free(struct meter *meter)
{
    if (meter == NULL)
        return NULL;
    meter_child_end(&meter->child, false);
    for (size_t i = 0; i <= NOBODY; i++) {
        if (meter->standing[i].stuck != 0)
            meter_child_gone(meter->standing[i].stuck);
    }
    if (meter->timer >= 0)
        close(meter->timer);
    if (meter->epoll >= 0)
        close(meter->epoll);
    meter_rows_free(&meter->rows);
    meter_rows_free(&meter->before);
    meter_rows_free(&meter->told);
    free(meter);
    return NULL;
}

int meter_fd(const struct meter *meter)
{
    return meter->epoll;
}

/* -- the process ------------------------------------------------------------------ */

/* Absolute; 0: never, 1: at once, and readable until it is set anew. */
static void set_timer(struct meter *meter, int64_t at_ns)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000}};
    timerfd_settime(meter->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void finish(struct meter *meter)
{
    meter_usage_finish(meter);
    meter->under_way = false;
    meter->ready = true;
    set_timer(meter, 1);
}

static void end_child(struct meter *meter, uint32_t at_fault, bool by_itself)
{
    pid_t stuck = meter_child_end(&meter->child, by_itself);
    if (stuck != 0)
        meter->standing[at_fault].stuck = stuck;
    meter->got = 0;
}

static uint32_t next_backend(const struct meter *meter)
{
    return meter->pending != 0 ? (uint32_t)__builtin_ctz(meter->pending) : NOBODY;
}

/* The backend whose turn it is did not do well: leave it alone for a while. */
static void blame(struct meter *meter, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void blame(struct meter *meter, const char *format, ...)
{
    uint32_t backend = next_backend(meter);
    struct standing *standing = &meter->standing[backend];
    char how[96];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(how, sizeof(how), format, arguments);
    va_end(arguments);
    snprintf(standing->note, sizeof(standing->note),
             "the %s driver %s when it was asked for usage%s", meter_backends[backend]->name, how,
             standing->stuck != 0 ? ", and cannot be stopped" : "");
    standing->retry_ns = meter_now_ns() + meter->hello.retry_ms * NS_PER_MS;
    meter->pending &= ~(1u << backend);
}

static bool say(struct meter *meter, const void *message, size_t size)
{
    return send(meter->child.socket, message, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int start(struct meter *meter)
{
    int rc = meter_child_start(&meter->child, meter->program);
    if (rc == 0)
        rc = watch(meter, meter->child.socket);
    if (rc == 0 && meter->child.pidfd >= 0)
        rc = watch(meter, meter->child.pidfd);
    if (rc < 0)
        return rc;
    meter->fresh = true;
    return say(meter, &meter->hello, sizeof(meter->hello)) ? 0 : -EPIPE;
}

/* Puts the question to those that are pending, in a new process if need be. If that
 * cannot be, nobody can be asked. */
static void put_question(struct meter *meter)
{
    const struct meter_question question = {
        .magic = METER_MAGIC, .number = meter->number, .backends = meter->pending};
    int rc = 0;

    if (meter->pending == 0) {
        finish(meter);
        return;
    }
    if (meter->child.pid != 0 &&
        (meter_child_has_ended(&meter->child) || !say(meter, &question, sizeof(question))))
        end_child(meter, NOBODY, true); /* it was idle, and is going */
    if (meter->child.pid == 0) {
        rc = start(meter);
        if (rc == 0 && !say(meter, &question, sizeof(question)))
            rc = -EPIPE;
    }
    if (rc < 0) {
        end_child(meter, NOBODY, false);
        while (meter->pending != 0)
            blame(meter, "could not be reached (%s)", strerror(-rc));
        finish(meter);
        return;
    }
    int patience_ms = meter->fresh ? meter->first_ms : meter->timeout_ms;
    meter->deadline_ns = meter_now_ns() + patience_ms * NS_PER_MS;
    set_timer(meter, meter->deadline_ns);
}

/* -- asking and taking ------------------------------------------------------------ */

static bool may_be_asked(struct standing *standing, int64_t now_ns)
{
    if (standing->stuck != 0 && meter_child_gone(standing->stuck))
        standing->stuck = 0;
    return standing->stuck == 0 && now_ns >= standing->retry_ns;
}

void meter_ask(struct meter *meter)
{
    struct gpu_usage *usage = &meter->usage;

    if (meter->under_way || meter->ready)
        return;
    meter->under_way = true;
    meter->number++;
    meter->rows.count = 0;
    usage->asked_ns = meter_now_ns();
    usage->process_count = usage->process_lost = 0;
    usage->device_count = meter->hello.device_count;
    memset(usage->device, 0, sizeof(usage->device));
    for (uint32_t i = 0; i < usage->device_count; i++)
        copy_text(usage->device[i].backend, sizeof(usage->device[i].backend), "none", "");
    meter->pending = 0;
    bool free_to_start = may_be_asked(&meter->standing[NOBODY], usage->asked_ns);
    for (uint32_t b = 0; free_to_start && meter_backends[b] != NULL; b++) {
        if (may_be_asked(&meter->standing[b], usage->asked_ns))
            meter->pending |= 1u << b;
    }
    put_question(meter);
}

/* Bytes that the message has, as far as it is known; 0: it is nonsense. */
static size_t message_size(const struct meter *meter)
{
    const struct meter_answer *answer = &meter->message.answer;
    if (meter->got < sizeof(*answer))
        return sizeof(*answer);
    if (answer->magic != METER_MAGIC || answer->number != meter->number ||
        answer->backend != next_backend(meter) || answer->process_count > GPU_USAGE_PROCESS_MAX)
        return 0;
    return sizeof(*answer) + answer->process_count * sizeof(struct gpu_usage_process);
}

/* 1: a whole message is there; 0: not yet; -EBADMSG: what came is none; -EPIPE: the
 * process is gone. */
static int receive(struct meter *meter)
{
    for (;;) {
        size_t size = message_size(meter);
        if (size == 0)
            return -EBADMSG;
        if (meter->got >= sizeof(meter->message.answer) && meter->got == size)
            return 1;
        /* In this order: what it said before it ended counts. */
        bool ended = meter_child_has_ended(&meter->child);
        ssize_t n = recv(meter->child.socket, (char *)&meter->message + meter->got,
                         size - meter->got, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !ended)
            return 0;
        if (n <= 0)
            return -EPIPE;
        if (!meter->under_way)
            return -EBADMSG; /* nobody asked */
        meter->got += (size_t)n;
    }
}

/* The process has ended. That is nobody's fault if it was idle, or went as it was asked
 * for the first time after a while. */
static void handle_end(struct meter *meter)
{
    bool fresh = meter->fresh;
    end_child(meter, next_backend(meter), true);
    int status = meter->child.status;
    if (!meter->under_way)
        return;
    bool was_idle = !fresh && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!was_idle) {
        if (status != -1 && WIFSIGNALED(status))
            blame(meter, "crashed (%s)", strsignal(WTERMSIG(status)));
        else
            blame(meter, "ended the program");
    }
    put_question(meter);
}

static void handle_nonsense(struct meter *meter)
{
    end_child(meter, next_backend(meter), false);
    if (!meter->under_way)
        return;
    blame(meter, "gave an answer that cannot be true");
    put_question(meter);
}

static void handle_message(struct meter *meter)
{
    const struct message *message = &meter->message;
    uint32_t backend = next_backend(meter);

    if (!meter_answer_is_good(&message->answer, message->process, meter->hello.device_count)) {
        handle_nonsense(meter);
        return;
    }
    meter_usage_take(meter, backend);
    meter->got = 0;
    meter->pending &= ~(1u << backend);
    if (meter->pending == 0) {
        meter->fresh = false;
        finish(meter);
    }
}

static void handle_socket(struct meter *meter)
{
    int rc = 1;
    while (rc == 1 && meter->child.pid != 0) {
        rc = receive(meter);
        if (rc == 1)
            handle_message(meter);
        else if (rc == -EPIPE)
            handle_end(meter);
        else if (rc < 0)
            handle_nonsense(meter);
    }
}

int meter_take(struct meter *meter, const struct gpu_usage **ret_usage)
{
    if (!meter->ready)
        handle_socket(meter);
    if (meter->under_way && meter_now_ns() >= meter->deadline_ns) {
        int patience_ms = meter->fresh ? meter->first_ms : meter->timeout_ms;
        end_child(meter, next_backend(meter), false);
        blame(meter, "did not answer within %g s", patience_ms / 1000.0);
        put_question(meter);
    }
    if (!meter->ready)
        return -EAGAIN;
    meter->ready = false;
    set_timer(meter, 0);
    *ret_usage = &meter->usage;
    return 0;
}
