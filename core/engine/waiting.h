/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition that waits for its start has beside its record: the promise, and how it was
 * asked for. A low lease has it also while it is active. It must not know the queue.
 */
#ifndef CHRONOS_ENGINE_WAITING_H
#define CHRONOS_ENGINE_WAITING_H

#include "partition.h"
#include "units.h"

#include <stdbool.h>
#include <stdint.h>

/* Class of a request; higher ones come first. Numbers are stored in state files. */
enum priority { PRIORITY_LOW = 0, PRIORITY_NORMAL = 1, PRIORITY_HIGH = 2, PRIORITIES };

/* The word for an enum priority, such as "normal", or "unknown". */
static inline const char *waiting_priority_text(uint32_t priority)
{
    static const char *const words[] = {
        [PRIORITY_LOW] = "low", [PRIORITY_NORMAL] = "normal", [PRIORITY_HIGH] = "high"};

    return priority < PRIORITIES ? words[priority] : "unknown";
}

/* Words of a set of devices: those that are ruled out for a request, or preferred. */
#define WAITING_BARRED_WORDS 2

struct waiting {
    int64_t promised_ns;   /* it starts then at the latest; never grows */
    int64_t asked_ns;      /* when it arrived */
    int64_t give_up_ns;    /* ends if it has not started until then; INT64_MAX: it does not */
    int64_t spared_ns;     /* once active, it is not preempted before that */
    int64_t fixed_wall_ns; /* with `fixed`: the start on the wall clock, an appointment */
    struct amount amount;  /* of each device, as asked for */
    uint32_t priority;     /* enum priority */
    bool fixed;            /* the start was asked for: it never moves */
    bool anywhere;         /* can move to any device that is not barred */
    /* with `anywhere`: devices that it must not move to, bit i % 64 of word i / 64; devices beyond
     * are ruled out together */
    uint64_t barred[WAITING_BARRED_WORDS];
    bool barred_beyond;
    bool spread; /* takes the least loaded device, not the one where it fits best */
    uint64_t preferred[WAITING_BARRED_WORDS]; /* devices that it takes before others */
};

/* Whether it is the record of something that waits or has waited, and not all zero. */
static inline bool waiting_is_set(const struct waiting *waiting)
{
    return waiting->amount.digits > 0 || waiting->amount.bytes > 0;
}

/* Whether it counts in this state: of what waits, and of low leases, which can wait again. The
 * store keeps it as long. */
static inline bool waiting_is_kept(const struct waiting *waiting, uint32_t state)
{
    return waiting_is_set(waiting) &&
           (state == PARTITION_PENDING || waiting->priority == PRIORITY_LOW);
}

static inline bool waiting_is_barred(const struct waiting *waiting, uint32_t device)
{
    if (device >= 64 * WAITING_BARRED_WORDS)
        return waiting->barred_beyond;
    return waiting->barred[device / 64] >> device % 64 & 1;
}

static inline bool waiting_prefers(const struct waiting *waiting, uint32_t device)
{
    return device < 64 * WAITING_BARRED_WORDS && waiting->preferred[device / 64] >> device % 64 & 1;
}

/* Whether two requests can move to the same devices. */
static inline bool waiting_same_devices(const struct waiting *a, const struct waiting *b)
{
    return a->anywhere == b->anywhere && a->barred[0] == b->barred[0] &&
           a->barred[1] == b->barred[1] && a->barred_beyond == b->barred_beyond;
}

static inline void waiting_bar(struct waiting *waiting, uint32_t device)
{
    if (device < 64 * WAITING_BARRED_WORDS)
        waiting->barred[device / 64] |= UINT64_C(1) << device % 64;
    else
        waiting->barred_beyond = true;
}

static inline void waiting_prefer(struct waiting *waiting, uint32_t device)
{
    if (device < 64 * WAITING_BARRED_WORDS)
        waiting->preferred[device / 64] |= UINT64_C(1) << device % 64;
}

/* Whether a record from the store makes sense. */
static inline bool waiting_is_sound(const struct waiting *waiting)
{
    return waiting_is_set(waiting) && waiting->priority < PRIORITIES &&
           (!waiting->amount.is_share || waiting->amount.scale > 0);
}

#endif
