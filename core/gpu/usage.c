/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ask the vendors for usage; see usage.h. A question goes to all available vendors, which answer
 * one after the other, in order; usage_merge.c combines the answers. If the process hangs, dies or
 * sends an invalid answer, the vendor whose turn it is gets the blame: skip it until retry_ms has
 * passed, and ask the others in a new process. This file must not call a driver.
 */
#include "usage.h"

#include "usage_state.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

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

/* -- construction --------------------------------------------------------------- */

static bool copy_text(char *into, size_t size, const char *text, const char *otherwise)
{
    int length = snprintf(into, size, "%s", text ? text : otherwise);
    return length >= 0 && (size_t)length < size;
}

static int take_options(struct usage_reader *reader, const struct usage_options *options)
{
    struct gpu_setup *setup = &reader->setup;
    reader->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 2000;
    reader->first_ms = options->first_ms > 0 ? options->first_ms : 10000;
    reader->now_ns = options->now_ns ? options->now_ns : clock_monotonic_ns;
    setup->idle_ms = options->idle_ms > 0 ? options->idle_ms : 60000;
    setup->retry_ms = options->retry_ms > 0 ? options->retry_ms : 60000;
    bool fits = copy_text(reader->program, sizeof(reader->program), options->program, "") &&
                copy_text(setup->proc, sizeof(setup->proc), options->proc, "/proc") &&
                copy_text(setup->sys, sizeof(setup->sys), options->sys, "/sys");
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

    if (count > GPU_DEVICE_MAX)
        return -EINVAL;
    struct usage_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    reader->epoll = reader->timer = reader->child.socket = reader->child.pidfd = -1;
    reader->setup.magic = DRIVER_MAGIC;
    reader->setup.device_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct gpu_identity *identity = &reader->setup.device[i];
        snprintf(identity->uuid, sizeof(identity->uuid), "%s", devices[i].uuid);
        snprintf(identity->pci, sizeof(identity->pci), "%s", devices[i].pci);
    }
    int r = take_options(reader, options ? options : &defaults);
    if (!r)
        r = open_files(reader);
    if (r < 0) {
        usage_reader_free(reader);
        return r;
    }
    *ret_reader = reader;
    return 0;
}

struct usage_reader *usage_reader_free(struct usage_reader *reader)
{
    if (!reader)
        return NULL;
    driver_child_end(&reader->child, false);
    for (size_t i = 0; i <= NO_VENDOR; i++) {
        if (reader->standing[i].stuck != 0)
            driver_child_gone(reader->standing[i].stuck);
    }
    fd_close(reader->timer);
    fd_close(reader->epoll);
    usage_rows_free(&reader->rows);
    usage_rows_free(&reader->before);
    usage_rows_free(&reader->reported);
    free(reader);
    return NULL;
}

int usage_reader_fd(const struct usage_reader *reader)
{
    return reader->epoll;
}

/* -- the process ------------------------------------------------------------------ */

/* Set an absolute time; 0: disarm, 1: expire now and stay readable until the next call. */
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
    pid_t stuck = driver_child_end(&reader->child, by_itself);
    if (stuck != 0)
        reader->standing[at_fault].stuck = stuck;
    reader->got = 0;
}

static uint32_t next_vendor(const struct usage_reader *reader)
{
    return reader->pending != 0 ? (uint32_t)__builtin_ctz(reader->pending) : NO_VENDOR;
}

/* Blame the vendor whose turn it is: skip it until retry_ms has passed. */
static void blame(struct usage_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void blame(struct usage_reader *reader, const char *format, ...)
{
    uint32_t vendor = next_vendor(reader);
    struct standing *standing = &reader->standing[vendor];
    char how[96];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(how, sizeof(how), format, arguments);
    va_end(arguments);
    snprintf(standing->note, sizeof(standing->note), "The %s driver %s while reading usage%s.",
             gpu_vendors[vendor]->name, how, standing->stuck != 0 ? ", and cannot be killed" : "");
    standing->retry_ns = reader->now_ns() + reader->setup.retry_ms * NS_PER_MS;
    reader->pending &= ~(1u << vendor);
}

static int start(struct usage_reader *reader)
{
    int r = driver_child_start(&reader->child, reader->program, &reader->setup);
    if (r)
        return r;
    reader->fresh = true;
    r = watch(reader, reader->child.socket);
    return r || reader->child.pidfd < 0 ? r : watch(reader, reader->child.pidfd);
}

/* Restart the timeout for the vendor whose turn it is. */
static void set_deadline(struct usage_reader *reader)
{
    int patience_ms = reader->fresh ? reader->first_ms : reader->timeout_ms;
    reader->deadline_ns = reader->now_ns() + patience_ms * NS_PER_MS;
    set_timer(reader, reader->deadline_ns);
}

/* Send the question to the pending vendors, in a new process if necessary. If that fails, no vendor
 * can be asked. */
static void put_question(struct usage_reader *reader)
{
    const struct driver_question question = {.magic = DRIVER_MAGIC,
                                             .number = reader->number,
                                             .kind = DRIVER_USAGE,
                                             .vendors = reader->pending};
    int r = 0;

    if (reader->pending == 0) {
        finish(reader);
        return;
    }
    if (reader->child.pid != 0 && (driver_child_has_ended(&reader->child) ||
                                   !driver_child_send(&reader->child, &question, sizeof(question))))
        end_child(reader, NO_VENDOR, true); /* it was idle and is exiting */
    if (reader->child.pid == 0) {
        r = start(reader);
        if (!r && !driver_child_send(&reader->child, &question, sizeof(question)))
            r = -EPIPE;
    }
    if (r < 0) {
        end_child(reader, NO_VENDOR, false);
        while (reader->pending != 0)
            blame(reader, "could not be reached (%s)", strerror(-r));
        finish(reader);
        return;
    }
    set_deadline(reader);
}

/* -- questions and answers -------------------------------------------------------- */

static bool may_be_asked(struct standing *standing, int64_t now_ns)
{
    if (standing->stuck != 0 && driver_child_gone(standing->stuck))
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
    usage->asked_ns = reader->now_ns();
    usage->process_count = usage->process_lost = 0;
    usage->device_count = reader->setup.device_count;
    memset(usage->device, 0, usage->device_count * sizeof(usage->device[0]));
    for (uint32_t i = 0; i < usage->device_count; i++)
        copy_text(usage->device[i].backend, sizeof(usage->device[i].backend), "none", "");
    reader->pending = 0;
    bool free_to_start = may_be_asked(&reader->standing[NO_VENDOR], usage->asked_ns);
    for (uint32_t b = 0; free_to_start && gpu_vendors[b]; b++) {
        if (gpu_vendors[b]->sample && may_be_asked(&reader->standing[b], usage->asked_ns))
            reader->pending |= 1u << b;
    }
    put_question(reader);
}

/* Size of the message as far as it is known, in bytes; 0 if it is invalid. */
static size_t message_size(const struct usage_reader *reader)
{
    const struct usage_answer *answer = &reader->answer;
    const size_t head = driver_usage_bytes(reader->setup.device_count);
    if (reader->got < head)
        return head;
    if (answer->magic != DRIVER_MAGIC || answer->number != reader->number ||
        answer->vendor != next_vendor(reader) || answer->process_count > GPU_USAGE_PROCESS_MAX)
        return 0;
    return head + answer->process_count * sizeof(struct gpu_usage_process);
}

/* Receive the rest of the message: the answer, or the rows that follow it. */
static int receive_part(struct usage_reader *reader, size_t size)
{
    const size_t head = driver_usage_bytes(reader->setup.device_count);
    if (reader->got < head)
        return driver_child_receive(&reader->child, &reader->answer, head, &reader->got);
    size_t got = reader->got - head;
    int r = driver_child_receive(&reader->child, reader->rows_sent, size - head, &got);
    reader->got = head + got;
    return r;
}

/* Return 1 when a whole message has arrived, 0 when not yet, -EBADMSG if it is invalid, -EPIPE if
 * the process is gone. */
static int receive(struct usage_reader *reader)
{
    for (;;) {
        size_t size = message_size(reader), before = reader->got;
        if (size == 0)
            return -EBADMSG;
        int r = receive_part(reader, size);
        if (reader->got > before && !reader->under_way)
            return -EBADMSG; /* no question is open */
        if (r != 1 || size == message_size(reader))
            return r;
    }
}

/* The process has ended. Blame no vendor if it was idle, or exited when the first question after a
 * pause arrived. */
static void handle_end(struct usage_reader *reader)
{
    bool fresh = reader->fresh;
    end_child(reader, next_vendor(reader), true);
    int status = reader->child.status;
    if (!reader->under_way)
        return;
    bool was_idle = !fresh && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!was_idle) {
        char how[96];
        driver_child_describe_end(&reader->child, how, sizeof(how));
        blame(reader, "%s", how);
    }
    put_question(reader);
}

static void handle_nonsense(struct usage_reader *reader)
{
    end_child(reader, next_vendor(reader), false);
    if (!reader->under_way)
        return;
    blame(reader, "sent an invalid answer");
    put_question(reader);
}

static void handle_message(struct usage_reader *reader)
{
    uint32_t vendor = next_vendor(reader);

    if (!usage_answer_is_good(&reader->answer, reader->rows_sent, reader->setup.device_count)) {
        handle_nonsense(reader);
        return;
    }
    usage_merge_take(reader, vendor);
    reader->got = 0;
    reader->pending &= ~(1u << vendor);
    if (reader->pending != 0) {
        set_deadline(reader);
        return;
    }
    reader->fresh = false;
    finish(reader);
}

static void handle_socket(struct usage_reader *reader)
{
    int r = 1;
    while (r == 1 && reader->child.pid != 0) {
        r = receive(reader);
        if (r == 1)
            handle_message(reader);
        else if (r == -EPIPE)
            handle_end(reader);
        else if (r < 0)
            handle_nonsense(reader);
    }
}

int usage_reader_take(struct usage_reader *reader, const struct gpu_usage **ret_usage)
{
    if (!reader->ready)
        handle_socket(reader);
    if (reader->under_way && reader->now_ns() >= reader->deadline_ns) {
        int patience_ms = reader->fresh ? reader->first_ms : reader->timeout_ms;
        end_child(reader, next_vendor(reader), false);
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
