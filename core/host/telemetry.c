/* SPDX-License-Identifier: Apache-2.0 */
/* Measure usage by partition; see telemetry.h. */
#include "telemetry.h"

#include "core/base/array.h"
#include "core/base/ns.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_NS NS_PER_SECOND

/* Usage of a partition's share by its processes; dropped when it is zero. */
struct tally {
    uint64_t id;        /* share_key */
    uint64_t bytes;     /* as last reported */
    uint64_t now_bytes; /* in the answer being added up */
    uint64_t rest_bytes;
    uint64_t now_busy_ns;
};

/* Total time that a process had kept a device busy at the last answer. */
struct busy {
    int32_t pid;
    uint32_t device;
    uint64_t busy_ns;
};

struct telemetry {
    struct telemetry_start start;
    struct usage_reader *reader;
    struct gpu_usage last;
    bool asked, answered, metered;
    int64_t asked_ns; /* CLOCK_BOOTTIME */
    struct tally *tallies;
    size_t tally_count, tally_capacity;
    struct busy *busy; /* of the last answer, in its order */
    size_t busy_count;
    struct bookings_use *uses; /* room for one answer */
    size_t use_count;
};

int telemetry_new(const struct telemetry_start *start, struct telemetry **ret_telemetry)
{
    struct telemetry *telemetry = calloc(1, sizeof(*telemetry));
    if (!telemetry)
        return -ENOMEM;
    telemetry->start = *start;
    telemetry->metered = true; /* until the first answer */
    telemetry->busy = calloc(GPU_USAGE_PROCESS_MAX, sizeof(*telemetry->busy));
    telemetry->uses = calloc(GPU_USAGE_PROCESS_MAX, sizeof(*telemetry->uses));
    int r = telemetry->busy && telemetry->uses
                ? usage_reader_new(start->devices, start->device_count, NULL, &telemetry->reader)
                : -ENOMEM;
    if (r) {
        free(telemetry->busy);
        free(telemetry->uses);
        free(telemetry);
        return r;
    }
    *ret_telemetry = telemetry;
    return 0;
}

int telemetry_fd(const struct telemetry *telemetry)
{
    return usage_reader_fd(telemetry->reader);
}

void telemetry_ask(struct telemetry *telemetry, int64_t now_ns)
{
    if (telemetry->asked)
        return;
    telemetry->asked_ns = now_ns;
    telemetry->asked = true;
    bookings_look(telemetry->start.bookings);
    usage_reader_ask(telemetry->reader);
}

const struct gpu_usage *telemetry_last(const struct telemetry *telemetry)
{
    return telemetry->answered ? &telemetry->last : NULL;
}

bool telemetry_is_metered(const struct telemetry *telemetry)
{
    return telemetry->metered;
}

bool telemetry_is_asking(const struct telemetry *telemetry)
{
    return telemetry->asked;
}

int64_t telemetry_next_ns(const struct telemetry *telemetry, bool occupied)
{
    if (!occupied || telemetry->asked || !telemetry->metered)
        return INT64_MAX;
    return telemetry->asked_ns + PERIOD_NS;
}

/* -- adding up ------------------------------------------------------------------- */

static struct tally *tally_of(struct telemetry *telemetry, uint64_t id)
{
    for (size_t i = 0; i < telemetry->tally_count; i++)
        if (telemetry->tallies[i].id == id)
            return &telemetry->tallies[i];
    if (array_reserve(telemetry->tallies, telemetry->tally_capacity, telemetry->tally_count + 1))
        return NULL;
    struct tally *tally = &telemetry->tallies[telemetry->tally_count++];
    *tally = (struct tally){.id = id};
    return tally;
}

/* Compare rows in the order of an answer. */
static int compare_busy(const void *one, const void *other)
{
    const struct busy *a = one, *b = other;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* Return the additional busy time since the last answer. A counter that went back belongs to
 * another process. Count nothing for the first answer: the previous worker counted it. */
static uint64_t busy_more(const struct telemetry *telemetry,
                          const struct gpu_usage_process *process)
{
    const struct busy probe = {.pid = process->pid, .device = process->device};
    if (!telemetry->answered)
        return 0;
    const struct busy *before =
        bsearch(&probe, telemetry->busy, telemetry->busy_count, sizeof(probe), compare_busy);
    if (!before || before->busy_ns > process->busy_ns)
        return process->busy_ns;
    return process->busy_ns - before->busy_ns;
}

/* A driver says what it likes: its figures must not wrap. */
static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Return whether what a process uses counts as rest. One that has closed its charge because it
 * exits uses the device until the driver has taken that apart: nothing of it is left to charge. */
static bool has_rest(const struct telemetry *telemetry, uint64_t id, int32_t pid)
{
    return bookings_has(telemetry->start.bookings, id, pid) || !procfs_is_exiting(pid);
}

static void add(struct telemetry *telemetry, const struct gpu_usage_process *process)
{
    struct proctrack_set set;
    proctrack_find(telemetry->start.proctrack, process->pid, &set);
    const struct allocation *allocation =
        allocations_on(telemetry->start.allocations, &set, process->device);
    if (!allocation)
        return;
    const uint64_t id = allocations_key(allocation, process->device);
    struct tally *tally = tally_of(telemetry, id);
    if (!tally)
        return; /* out of memory: report it with the next answer */
    if (process->memory_bytes != GPU_BYTES_UNKNOWN) {
        tally->now_bytes = plus(tally->now_bytes, process->memory_bytes);
        if (has_rest(telemetry, id, process->pid))
            telemetry->uses[telemetry->use_count++] = (struct bookings_use){
                id, process->pid, process->memory_bytes - process->shared_bytes};
    }
    tally->now_busy_ns = plus(tally->now_busy_ns, busy_more(telemetry, process));
}

static void remember_busy(struct telemetry *telemetry, const struct gpu_usage *usage)
{
    telemetry->busy_count = usage->process_count;
    for (uint32_t i = 0; i < usage->process_count; i++)
        telemetry->busy[i] = (struct busy){usage->process[i].pid, usage->process[i].device,
                                           usage->process[i].busy_ns};
}

static void report(struct telemetry *telemetry)
{
    for (size_t i = 0; i < telemetry->tally_count;) {
        struct tally *tally = &telemetry->tallies[i];
        const uint64_t rest_bytes = bookings_rest(telemetry->start.bookings, tally->id);
        if (tally->now_bytes != tally->bytes || tally->now_busy_ns ||
            rest_bytes != tally->rest_bytes)
            telemetry->start.usage(telemetry->start.context, tally->id, tally->now_bytes,
                                   tally->now_busy_ns);
        tally->bytes = tally->now_bytes;
        tally->rest_bytes = rest_bytes;
        tally->now_bytes = tally->now_busy_ns = 0;
        if (tally->bytes)
            i++;
        else
            *tally = telemetry->tallies[--telemetry->tally_count];
    }
}

bool telemetry_take(struct telemetry *telemetry, int64_t *ret_asked_ns)
{
    const struct gpu_usage *answer;
    struct gpu_usage *usage = &telemetry->last;
    if (usage_reader_take(telemetry->reader, &answer))
        return false;
    bool any = false;
    memcpy(usage, answer,
           offsetof(struct gpu_usage, device) + answer->device_count * sizeof(answer->device[0]));
    owners_sift(telemetry->start.owners, usage);
    telemetry->use_count = 0;
    for (uint32_t i = 0; i < usage->process_count; i++)
        add(telemetry, &usage->process[i]);
    remember_busy(telemetry, usage);
    bookings_compare(telemetry->start.bookings, telemetry->uses, telemetry->use_count);
    report(telemetry);
    for (uint32_t i = 0; i < usage->device_count; i++)
        any |= usage->device[i].known || usage->device[i].note[0];
    telemetry->metered = any;
    telemetry->answered = true;
    telemetry->asked = false;
    *ret_asked_ns = telemetry->asked_ns;
    return true;
}

void telemetry_drop(struct telemetry *telemetry, uint64_t id)
{
    for (size_t i = telemetry->tally_count; i-- > 0;)
        if (share_key_id(telemetry->tallies[i].id) == id)
            telemetry->tallies[i] = telemetry->tallies[--telemetry->tally_count];
}
