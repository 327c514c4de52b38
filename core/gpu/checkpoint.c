/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's side of the checkpoint port: one driver process for each, started with the first
 * question and again after it was killed. See checkpoint.h.
 */
#include "checkpoint_question.h"

#include "core/base/clock.h"
#include "core/base/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 600000 /* longer than any pause between two questions */

/* Processes that were killed and have not ended yet: those that have a driver open take a while.
 * Each is waited for by a later call. All ports are used by one thread. */
#define DROPPED_MAX 64
static pid_t dropped[DROPPED_MAX];

struct process {
    struct checkpoint base;
    struct gpu_setup *setup;
    char *program;
    struct driver_child child;
    bool open; /* a question is */
    uint32_t number, count;
    int64_t due_ns;
    size_t got;
    struct checkpoint_question question;
    struct checkpoint_answer answer;
};

static struct process *process_of(struct checkpoint *checkpoint)
{
    return (struct process *)checkpoint;
}

static void reap(void)
{
    for (size_t i = 0; i < DROPPED_MAX; i++)
        if (dropped[i] && driver_child_gone(dropped[i]))
            dropped[i] = 0;
}

static void drop(pid_t pid)
{
    size_t i = 0;
    while (i < DROPPED_MAX && dropped[i])
        i++;
    if (i < DROPPED_MAX) /* else init reaps it after us */
        dropped[i] = pid;
}

/* One with an open question may be at work still: wait a moment, so that the next one finds what it
 * has done. */
static void end(struct process *process)
{
    reap();
    pid_t pid = process->open ? driver_child_end(&process->child, false)
                              : driver_child_drop(&process->child);
    if (pid)
        drop(pid);
    process->open = false;
}

static struct checkpoint *free_process(struct checkpoint *checkpoint)
{
    struct process *process = process_of(checkpoint);
    end(process);
    free(process->setup);
    free(process->program);
    free(process);
    return NULL;
}

static int ask(struct checkpoint *checkpoint, enum checkpoint_call call, const int32_t *pids,
               uint32_t count, int limit_ms)
{
    struct process *process = process_of(checkpoint);
    struct checkpoint_question *question = &process->question;
    struct driver_question about = {.magic = DRIVER_MAGIC, .kind = DRIVER_CHECKPOINT};
    int r = 0;
    if (process->open || count > CHECKPOINT_PROCESS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; gpu_vendors[i]; i++)
        about.vendors |= gpu_vendors[i]->checkpoint ? 1u << i : 0;
    question->call = call;
    question->count = count;
    question->limit_ms = limit_ms > 1 ? (uint32_t)limit_ms / 2 : 1;
    if (count)
        memcpy(question->pid, pids, count * sizeof(*pids));
    if (process->child.pid == 0)
        r = driver_child_start(&process->child, process->program, process->setup);
    about.number = ++process->number;
    if (!r && (!driver_child_send(&process->child, &about, sizeof(about)) ||
               !driver_child_send(&process->child, question, checkpoint_question_bytes(count))))
        r = -EPIPE;
    if (r) {
        end(process);
        return r;
    }
    process->open = true;
    process->count = count;
    process->got = 0;
    process->due_ns = clock_monotonic_ns() + limit_ms * NS_PER_MS;
    return 0;
}

static int fd(const struct checkpoint *checkpoint)
{
    const struct process *process = (const struct process *)checkpoint;
    return process->open ? process->child.socket : -1;
}

static int64_t due_ns(const struct checkpoint *checkpoint)
{
    const struct process *process = (const struct process *)checkpoint;
    return process->open ? process->due_ns : INT64_MAX;
}

/* The driver may have corrupted its process: validate all that it sends. */
static bool is_good(const struct process *process)
{
    const struct checkpoint_answer *answer = &process->answer;
    bool good = answer->magic == DRIVER_MAGIC && answer->number == process->number &&
                answer->count == process->count && answer->result <= 0 &&
                answer->free_bytes <= INT64_MAX && answer->host_bytes <= INT64_MAX &&
                answer->machine_bytes <= INT64_MAX &&
                line_fits(answer->note, 0, sizeof(answer->note));
    for (uint32_t i = 0; good && i < answer->count; i++)
        good = answer->process[i].pid == process->question.pid[i] &&
               answer->process[i].state <= CHECKPOINT_NONE && answer->process[i].result >= 0 &&
               answer->process[i].bytes <= INT64_MAX / CHECKPOINT_PROCESS_MAX;
    return good;
}

static int take(struct checkpoint *checkpoint, const struct checkpoint_answer **ret_answer)
{
    struct process *process = process_of(checkpoint);
    if (!process->open)
        return -EAGAIN;
    int r = driver_child_receive(&process->child, &process->answer,
                                 checkpoint_answer_bytes(process->count), &process->got);
    if (!r)
        r = clock_monotonic_ns() < process->due_ns ? -EAGAIN : -ETIMEDOUT;
    else if (r == 1)
        r = is_good(process) ? 0 : -EBADMSG;
    if (r == -EAGAIN)
        return r;
    if (r) {
        end(process);
        return r;
    }
    process->open = false;
    *ret_answer = &process->answer;
    return 0;
}

static const struct checkpoint_ops ops = {free_process, ask, fd, due_ns, take};

int checkpoint_new(const struct checkpoint_options *options, struct checkpoint **ret_checkpoint)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process)
        return -ENOMEM;
    process->base.ops = &ops;
    process->child = (struct driver_child)DRIVER_CHILD_NONE;
    process->setup = calloc(1, sizeof(*process->setup));
    process->program = strdup(options->program ? options->program : "");
    if (!process->setup || !process->program) {
        free_process(&process->base);
        return -ENOMEM;
    }
    struct gpu_setup *setup = process->setup;
    setup->magic = DRIVER_MAGIC;
    setup->device_count = 1;
    setup->idle_ms = IDLE_MS;
    snprintf(setup->proc, sizeof(setup->proc), "%s", options->proc ? options->proc : "/proc");
    strcpy(setup->sys, "/sys");
    memcpy(setup->device[0].uuid, options->device->uuid, sizeof(setup->device[0].uuid));
    memcpy(setup->device[0].pci, options->device->pci, sizeof(setup->device[0].pci));
    *ret_checkpoint = &process->base;
    return 0;
}

/* -- the port --------------------------------------------------------------------------- */

struct checkpoint *checkpoint_free(struct checkpoint *checkpoint)
{
    return checkpoint ? checkpoint->ops->free(checkpoint) : NULL;
}

int checkpoint_ask(struct checkpoint *checkpoint, enum checkpoint_call call, const int32_t *pids,
                   uint32_t count, int limit_ms)
{
    return checkpoint->ops->ask(checkpoint, call, pids, count, limit_ms);
}

int checkpoint_fd(const struct checkpoint *checkpoint)
{
    return checkpoint->ops->fd(checkpoint);
}

int64_t checkpoint_due_ns(const struct checkpoint *checkpoint)
{
    return checkpoint->ops->due_ns(checkpoint);
}

int checkpoint_take(struct checkpoint *checkpoint, const struct checkpoint_answer **ret_answer)
{
    return checkpoint->ops->take(checkpoint, ret_answer);
}

const char *checkpoint_state_text(uint32_t state)
{
    static const char *const words[] = {"running", "locked", "checkpointed", "failed",
                                        "without CUDA"};
    return state <= CHECKPOINT_NONE ? words[state] : "unknown";
}
