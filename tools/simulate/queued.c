/* SPDX-License-Identifier: Apache-2.0 */
#include "queued.h"

#include <stdlib.h>
#include <string.h>

#define NEVER INT64_MAX

/* A job that holds devices. */
struct held {
    size_t index;
    int64_t until_s; /* as asked for */
    uint32_t devices[JOBS_GPUS_MAX];
};

struct queued {
    struct jobs *jobs;
    uint32_t device_count;
    bool backfill;
    uint32_t *room;    /* thousandths free on each device */
    struct held *held; /* by until_s */
    size_t held_count;
    size_t *queue; /* by arrival */
    size_t queue_count;
};

static void set_up(struct queued *queued)
{
    queued->room = jobs_allocate(queued->device_count, sizeof(*queued->room));
    queued->held = jobs_allocate((size_t)queued->device_count * JOBS_WHOLE, sizeof(*queued->held));
    queued->queue = jobs_allocate(queued->jobs->count, sizeof(*queued->queue));
}

static void tear_down(struct queued *queued)
{
    free(queued->room);
    free(queued->held);
    free(queued->queue);
}

static void copy(struct queued *to, const struct queued *from)
{
    memcpy(to->room, from->room, from->device_count * sizeof(*to->room));
    memcpy(to->held, from->held, from->held_count * sizeof(*to->held));
    memcpy(to->queue, from->queue, from->queue_count * sizeof(*to->queue));
    to->held_count = from->held_count;
    to->queue_count = from->queue_count;
}

static const struct job *job_of(const struct queued *queued, size_t index)
{
    return &queued->jobs->job[index];
}

/* Find devices for a job by best fit: of those with room, the ones with the least, the lowest
 * first. False: there are too few. */
static bool find_devices(const struct queued *queued, const struct job *job, uint32_t *ret_devices)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < queued->device_count; i++) {
        uint32_t at = count;

        if (queued->room[i] < job->milli)
            continue;
        while (at > 0 && queued->room[ret_devices[at - 1]] > queued->room[i])
            at--;
        if (at >= job->gpus)
            continue;
        if (count < job->gpus)
            count++;
        for (uint32_t k = count - 1; k > at; k--)
            ret_devices[k] = ret_devices[k - 1];
        ret_devices[at] = i;
    }
    return count >= job->gpus;
}

static void take(struct queued *queued, size_t index, const uint32_t *devices, int64_t now_s)
{
    const struct job *job = job_of(queued, index);
    struct held held = {.index = index, .until_s = now_s + job->asked_s};
    size_t at = queued->held_count++;

    for (uint32_t i = 0; i < job->gpus; i++) {
        held.devices[i] = devices[i];
        queued->room[devices[i]] -= job->milli;
    }
    for (; at > 0 && queued->held[at - 1].until_s > held.until_s; at--)
        queued->held[at] = queued->held[at - 1];
    queued->held[at] = held;
}

static void give_back(struct queued *queued, size_t at)
{
    const struct held held = queued->held[at];
    const struct job *job = job_of(queued, held.index);

    for (uint32_t i = 0; i < job->gpus; i++)
        queued->room[held.devices[i]] += job->milli;
    queued->held_count--;
    memmove(&queued->held[at], &queued->held[at + 1],
            (queued->held_count - at) * sizeof(*queued->held));
}

/* When the job can start if no others do, and all that hold devices use all of their time. */
static int64_t earliest(const struct queued *queued, const struct job *job, int64_t now_s)
{
    uint32_t room[64];
    uint32_t devices = 0;

    memcpy(room, queued->room, queued->device_count * sizeof(*room));
    for (uint32_t i = 0; i < queued->device_count; i++)
        devices += room[i] >= job->milli;
    if (devices >= job->gpus)
        return now_s;
    for (size_t i = 0; i < queued->held_count; i++) {
        const struct held *held = &queued->held[i];
        const struct job *other = job_of(queued, held->index);

        for (uint32_t k = 0; k < other->gpus; k++) {
            uint32_t *at = &room[held->devices[k]];
            devices += *at < job->milli && *at + other->milli >= job->milli;
            *at += other->milli;
        }
        if (devices >= job->gpus)
            return held->until_s;
    }
    return NEVER;
}

/* Start a job of the queue, unless the first of the queue (NULL: none) would have to start after
 * `bound_s` for it. Say so in `started`. */
static bool start(struct queued *queued, size_t index, const struct job *first, int64_t bound_s,
                  int64_t now_s)
{
    const struct job *job = job_of(queued, index);
    uint32_t devices[JOBS_GPUS_MAX];

    if (!find_devices(queued, job, devices))
        return false;
    take(queued, index, devices, now_s);
    if (!first || now_s + job->asked_s <= bound_s || earliest(queued, first, now_s) <= bound_s)
        return true;
    for (size_t i = 0; i < queued->held_count; i++) {
        if (queued->held[i].index == index)
            give_back(queued, i);
    }
    return false;
}

/* Start what can start now. Those that did leave the queue; `started` gets them. */
static size_t serve(struct queued *queued, int64_t now_s, size_t *started)
{
    size_t count = 0, kept = 0, at = 0;

    while (at < queued->queue_count && start(queued, queued->queue[at], NULL, 0, now_s))
        started[count++] = queued->queue[at++];
    const struct job *first = at < queued->queue_count ? job_of(queued, queued->queue[at]) : NULL;
    int64_t bound_s = first && queued->backfill ? earliest(queued, first, now_s) : 0;

    for (; at < queued->queue_count; at++) {
        size_t index = queued->queue[at];

        if (queued->backfill && job_of(queued, index) != first &&
            start(queued, index, first, bound_s, now_s))
            started[count++] = index;
        else
            queued->queue[kept++] = index;
    }
    queued->queue_count = kept;
    return count;
}

/* The start that the queue would give to its last job, `index`. */
static int64_t foresee(struct queued *copied, const struct queued *queued, size_t index,
                       size_t *started, int64_t now_s)
{
    copy(copied, queued);
    for (;;) {
        size_t count = serve(copied, now_s, started);

        for (size_t i = 0; i < count; i++) {
            if (started[i] == index)
                return now_s;
        }
        now_s = copied->held[0].until_s;
        while (copied->held_count > 0 && copied->held[0].until_s == now_s)
            give_back(copied, 0);
    }
}

static int64_t end_of(const struct queued *queued, size_t at)
{
    const struct job *job = job_of(queued, queued->held[at].index);

    return job->start_s + job->run_s;
}

static int64_t next_moment(const struct queued *queued, size_t next)
{
    int64_t next_s = next < queued->jobs->count ? job_of(queued, next)->submit_s : NEVER;

    for (size_t i = 0; i < queued->held_count; i++)
        next_s = end_of(queued, i) < next_s ? end_of(queued, i) : next_s;
    return next_s;
}

static void note_starts(struct queued *queued, const size_t *started, size_t count, int64_t now_s)
{
    for (size_t i = 0; i < count; i++) {
        struct job *job = &queued->jobs->job[started[i]];

        job->start_s = now_s;
        job->end_s = now_s + job->run_s;
        for (size_t k = 0; k < queued->held_count; k++) {
            if (queued->held[k].index == started[i])
                memcpy(job->devices, queued->held[k].devices, sizeof(job->devices));
        }
    }
}

void queued_run(struct jobs *jobs, uint32_t device_count, bool backfill)
{
    struct queued queued = {.jobs = jobs, .device_count = device_count, .backfill = backfill};
    struct queued copied = queued;
    size_t *started = jobs_allocate(jobs->count, sizeof(*started));
    size_t next = 0;
    int64_t now_s;

    set_up(&queued);
    set_up(&copied);
    for (uint32_t i = 0; i < device_count; i++)
        queued.room[i] = JOBS_WHOLE;
    while ((now_s = next_moment(&queued, next)) != NEVER) {
        for (size_t i = queued.held_count; i > 0; i--) {
            if (end_of(&queued, i - 1) == now_s)
                give_back(&queued, i - 1);
        }
        note_starts(&queued, started, serve(&queued, now_s, started), now_s);
        for (; next < jobs->count && jobs->job[next].submit_s == now_s; next++) {
            queued.queue[queued.queue_count++] = next;
            jobs->job[next].promised_s = foresee(&copied, &queued, next, started, now_s);
            note_starts(&queued, started, serve(&queued, now_s, started), now_s);
        }
    }
    tear_down(&queued);
    tear_down(&copied);
    free(started);
}
