/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in memory; see checkpoint_fake.h. */
#include "checkpoint_fake.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define NO_PROCESS 1   /* CUDA_ERROR_INVALID_VALUE */
#define LOST       304 /* CUDA_ERROR_OPERATING_SYSTEM */

struct fake {
    struct checkpoint base;
    struct checkpoint_fake_device *device;
    enum checkpoint_call call;
    bool open;
    int fd;
    int64_t due_ns;
    struct checkpoint_answer answer;
};

struct checkpoint_fake_process *checkpoint_fake_find(struct checkpoint_fake_device *device,
                                                     int32_t pid)
{
    for (uint32_t i = 0; i < device->count; i++)
        if (device->process[i].pid == pid)
            return &device->process[i];
    return NULL;
}

static bool is_there(const struct checkpoint_fake_process *process)
{
    return process->state != CHECKPOINT_SAVED;
}

uint64_t checkpoint_fake_free_bytes(const struct checkpoint_fake_device *device)
{
    uint64_t used = device->others_bytes;
    for (uint32_t i = 0; i < device->count; i++)
        used += is_there(&device->process[i]) ? device->process[i].bytes : 0;
    return used < device->total_bytes ? device->total_bytes - used : 0;
}

static int32_t move(struct checkpoint_fake_process *process, uint32_t from, uint32_t to)
{
    if (process->state != from)
        return CHECKPOINT_ILLEGAL_STATE;
    process->state = to;
    return CHECKPOINT_DONE;
}

static int32_t restore(struct checkpoint_fake_device *device,
                       struct checkpoint_fake_process *process)
{
    if (process->state != CHECKPOINT_SAVED)
        return CHECKPOINT_ILLEGAL_STATE;
    if (!process->lost && process->bytes > checkpoint_fake_free_bytes(device)) {
        device->restored_without_room++;
        process->lost = true;
        return CHECKPOINT_NO_MEMORY;
    }
    return process->lost ? LOST : move(process, CHECKPOINT_SAVED, CHECKPOINT_LOCKED);
}

static void make_call(struct fake *fake, struct checkpoint_process *answer)
{
    struct checkpoint_fake_device *device = fake->device;
    struct checkpoint_fake_process *process = checkpoint_fake_find(device, answer->pid);
    device->calls[fake->call]++;
    if (process && (fake->call == CHECKPOINT_LOOK || fake->call == CHECKPOINT_FIGURES))
        answer->bytes = is_there(process) ? process->bytes : 0;
    if (fake->call == CHECKPOINT_FIGURES)
        return;
    device->asked_frozen += device->is_frozen && device->is_frozen(device->context, answer->pid);
    answer->result = process ? device->fails[fake->call] : NO_PROCESS;
    if (answer->result)
        return;
    if (fake->call == CHECKPOINT_LOOK)
        answer->state = process->state;
    else if (fake->call == CHECKPOINT_LOCK)
        answer->result = move(process, CHECKPOINT_RUNNING, CHECKPOINT_LOCKED);
    else if (fake->call == CHECKPOINT_SAVE)
        answer->result = move(process, CHECKPOINT_LOCKED, CHECKPOINT_SAVED);
    else if (fake->call == CHECKPOINT_RESTORE)
        answer->result = restore(device, process);
    else
        answer->result = move(process, CHECKPOINT_LOCKED, CHECKPOINT_RUNNING);
}

static struct checkpoint *free_fake(struct checkpoint *checkpoint)
{
    struct fake *fake = (struct fake *)checkpoint;
    fd_close(fake->fd);
    free(fake);
    return NULL;
}

static int ask(struct checkpoint *checkpoint, enum checkpoint_call call, const int32_t *pids,
               uint32_t count, int limit_ms)
{
    struct fake *fake = (struct fake *)checkpoint;
    struct checkpoint_answer *answer = &fake->answer;
    if (fake->open || count > CHECKPOINT_PROCESS_MAX)
        return -EINVAL;
    fake->open = true;
    fake->call = call;
    fake->due_ns = clock_monotonic_ns() + limit_ms * NS_PER_MS;
    if (fake->device->hangs[call])
        return 0;
    memset(answer, 0, sizeof(*answer));
    answer->count = count;
    if (fake->device->unsupported && call != CHECKPOINT_FIGURES)
        answer->result = -EOPNOTSUPP;
    for (uint32_t i = 0; i < count; i++) {
        answer->process[i] = (struct checkpoint_process){.pid = pids[i], .state = CHECKPOINT_NONE};
        if (!answer->result)
            make_call(fake, &answer->process[i]);
    }
    if (call == CHECKPOINT_LOOK || call == CHECKPOINT_FIGURES) {
        answer->known = !fake->device->unknown;
        answer->split = fake->device->split;
        answer->free_bytes = checkpoint_fake_free_bytes(fake->device);
        answer->machine_bytes = answer->host_bytes = fake->device->host_bytes;
    }
    return 0;
}

static int fd(const struct checkpoint *checkpoint)
{
    const struct fake *fake = (const struct fake *)checkpoint;
    return fake->open ? fake->fd : -1;
}

static int64_t due_ns(const struct checkpoint *checkpoint)
{
    const struct fake *fake = (const struct fake *)checkpoint;
    return fake->open ? fake->due_ns : INT64_MAX;
}

static int take(struct checkpoint *checkpoint, const struct checkpoint_answer **ret_answer)
{
    struct fake *fake = (struct fake *)checkpoint;
    if (!fake->open)
        return -EAGAIN;
    if (fake->device->hangs[fake->call]) {
        if (clock_monotonic_ns() < fake->due_ns)
            return -EAGAIN;
        fake->open = false;
        return -ETIMEDOUT;
    }
    fake->open = false;
    *ret_answer = &fake->answer;
    return 0;
}

static const struct checkpoint_ops ops = {free_fake, ask, fd, due_ns, take};

int checkpoint_fake_new(struct checkpoint_fake_device *device, struct checkpoint **ret_checkpoint)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    if (!fake)
        return -ENOMEM;
    fake->base.ops = &ops;
    fake->device = device;
    fake->fd = eventfd(1, EFD_CLOEXEC); /* always readable */
    *ret_checkpoint = &fake->base;
    return 0;
}
