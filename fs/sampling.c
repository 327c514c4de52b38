/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers tell, by partition; see sampling.h. */
#include "sampling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_NS INT64_C(1000000000)

/* What a partition's processes use; kept while it is not nothing. */
struct tally {
    uint64_t id;
    uint64_t bytes;     /* as last told */
    uint64_t now_bytes; /* in the answer being added up */
    uint64_t now_busy_ns;
};

/* How long a process had kept a device busy at the last answer. */
struct busy {
    int32_t pid;
    uint32_t device;
    uint64_t busy_ns;
};

struct sampling {
    struct sampling_start start;
    struct meter *meter;
    struct gpu_usage last;
    bool asked, answered, metered;
    int64_t asked_ns; /* CLOCK_BOOTTIME */
    struct tally *tallies;
    size_t tally_count, tally_capacity;
    struct busy *busy; /* of the last answer, in its order */
    size_t busy_count;
};

int sampling_new(const struct sampling_start *start, struct sampling **ret_sampling)
{
    struct sampling *sampling = calloc(1, sizeof(*sampling));
    if (!sampling)
        return -ENOMEM;
    sampling->start = *start;
    sampling->metered = true; /* until it is known better */
    sampling->busy = calloc(GPU_USAGE_PROCESS_MAX, sizeof(*sampling->busy));
    int r = sampling->busy ? meter_new(start->devices, start->device_count, NULL, &sampling->meter)
                           : -ENOMEM;
    if (r) {
        sampling_free(sampling);
        return r;
    }
    *ret_sampling = sampling;
    return 0;
}

struct sampling *sampling_free(struct sampling *sampling)
{
    if (sampling) {
        meter_free(sampling->meter);
        free(sampling->tallies);
        free(sampling->busy);
        free(sampling);
    }
    return NULL;
}

int sampling_fd(const struct sampling *sampling)
{
    return meter_fd(sampling->meter);
}

void sampling_ask(struct sampling *sampling, int64_t now_ns)
{
    if (sampling->asked)
        return;
    sampling->asked_ns = now_ns;
    sampling->asked = true;
    meter_ask(sampling->meter);
}

const struct gpu_usage *sampling_last(const struct sampling *sampling)
{
    return sampling->answered ? &sampling->last : NULL;
}

bool sampling_is_metered(const struct sampling *sampling)
{
    return sampling->metered;
}

bool sampling_is_asking(const struct sampling *sampling)
{
    return sampling->asked;
}

int64_t sampling_next_ns(const struct sampling *sampling, bool occupied)
{
    if (!occupied || sampling->asked || !sampling->metered)
        return INT64_MAX;
    return sampling->asked_ns + PERIOD_NS;
}

/* -- adding up ------------------------------------------------------------------- */

static struct tally *tally_of(struct sampling *sampling, uint64_t id)
{
    for (size_t i = 0; i < sampling->tally_count; i++)
        if (sampling->tallies[i].id == id)
            return &sampling->tallies[i];
    if (sampling->tally_count == sampling->tally_capacity) {
        size_t capacity = sampling->tally_capacity ? sampling->tally_capacity * 2 : 16;
        struct tally *tallies = realloc(sampling->tallies, capacity * sizeof(*tallies));
        if (!tallies)
            return NULL;
        sampling->tallies = tallies;
        sampling->tally_capacity = capacity;
    }
    struct tally *tally = &sampling->tallies[sampling->tally_count++];
    *tally = (struct tally){.id = id};
    return tally;
}

/* The order in which an answer has them. */
static int compare_busy(const void *one, const void *other)
{
    const struct busy *a = one, *b = other;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* How much longer than at the last answer. A counter that went back is another
 * process's. The first answer of all says nothing: it was counted before, by the worker
 * before this one. */
static uint64_t busy_more(const struct sampling *sampling, const struct gpu_usage_process *process)
{
    const struct busy probe = {.pid = process->pid, .device = process->device};
    if (!sampling->answered)
        return 0;
    const struct busy *before =
        bsearch(&probe, sampling->busy, sampling->busy_count, sizeof(probe), compare_busy);
    if (!before || before->busy_ns > process->busy_ns)
        return process->busy_ns;
    return process->busy_ns - before->busy_ns;
}

static void add(struct sampling *sampling, const struct gpu_usage_process *process)
{
    uint64_t id = enforcer_partition_of(sampling->start.enforcer, process->pid);
    const struct holding *holding = id ? holdings_find(sampling->start.holdings, id) : NULL;
    if (!holding || holding->device != process->device)
        return;
    struct tally *tally = tally_of(sampling, id);
    if (!tally)
        return; /* without memory it is told less, and more at the next time */
    if (process->memory_bytes != GPU_BYTES_UNKNOWN)
        tally->now_bytes += process->memory_bytes;
    tally->now_busy_ns += busy_more(sampling, process);
}

static void remember_busy(struct sampling *sampling, const struct gpu_usage *usage)
{
    sampling->busy_count = usage->process_count;
    for (uint32_t i = 0; i < usage->process_count; i++)
        sampling->busy[i] = (struct busy){usage->process[i].pid, usage->process[i].device,
                                          usage->process[i].busy_ns};
}

static void tell(struct sampling *sampling)
{
    for (size_t i = 0; i < sampling->tally_count;) {
        struct tally *tally = &sampling->tallies[i];
        if (tally->now_bytes != tally->bytes || tally->now_busy_ns)
            sampling->start.usage(sampling->start.context, tally->id, tally->now_bytes,
                                  tally->now_busy_ns);
        tally->bytes = tally->now_bytes;
        tally->now_bytes = tally->now_busy_ns = 0;
        if (tally->bytes)
            i++;
        else
            *tally = sampling->tallies[--sampling->tally_count];
    }
}

bool sampling_take(struct sampling *sampling, int64_t *ret_asked_ns)
{
    const struct gpu_usage *usage;
    if (meter_take(sampling->meter, &usage))
        return false;
    bool any = false;
    for (uint32_t i = 0; i < usage->process_count; i++)
        add(sampling, &usage->process[i]);
    remember_busy(sampling, usage);
    tell(sampling);
    for (uint32_t i = 0; i < usage->device_count; i++)
        any |= usage->device[i].known || usage->device[i].note[0];
    sampling->last = *usage;
    sampling->metered = any;
    sampling->answered = true;
    sampling->asked = false;
    *ret_asked_ns = sampling->asked_ns;
    return true;
}

void sampling_drop(struct sampling *sampling, uint64_t id)
{
    for (size_t i = 0; i < sampling->tally_count; i++)
        if (sampling->tallies[i].id == id) {
            sampling->tallies[i] = sampling->tallies[--sampling->tally_count];
            return;
        }
}
