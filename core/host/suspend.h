/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspend the processes of partitions, and resume them: they leave the device
 * (core/gpu/checkpoint.h) and are frozen, or come back, one step after the other. Nothing here
 * waits: a step asks, and a later call goes on. It reports what has become of a partition; the
 * engine decides what that means.
 *
 * The order is what keeps programs alive. A process that is frozen is never asked, because that
 * hangs; so freezing comes last, and thawing first. One is never restored without room, because
 * then it is lost; so the device is asked for its room right before. What cannot be suspended is
 * refused before anything is locked, and whatever fails later is undone before it is reported.
 */
#ifndef CHRONOS_HOST_SUSPEND_H
#define CHRONOS_HOST_SUSPEND_H

#include "bookings.h"

#include "core/base/avl.h"
#include "core/engine/partition.h"
#include "core/engine/policy.h"
#include "core/gpu/checkpoint.h"
#include "core/proctrack/proctrack.h"

#include <poll.h>

#define SUSPEND_RUNNING_MAX 16  /* partitions that are on their way at a time */
#define SUSPEND_ACCOUNT_MAX 2   /* of these, of one account */
#define SUSPEND_WHY_MAX     120 /* with NUL */

enum suspend_outcome {
    SUSPEND_MEASURED, /* they have bytes and count; go on once that is durable: suspend_noted */
    SUSPEND_DONE,     /* they are away, and frozen */
    SUSPEND_FAILED,   /* they run as before: end them in good order; `why`, or "" */
    SUSPEND_LOST,     /* they cannot go on: kill them */
    SUSPEND_BACK,     /* they are back, and run */
    SUSPEND_NO_ROOM,  /* they could not come back, and are away as before */
    SUSPEND_EMPTY,    /* none of them is left */
};

struct suspend_report {
    enum suspend_outcome outcome;
    uint64_t bytes; /* on the device */
    uint32_t count; /* processes that have something there */
    int64_t took_ns;
    char why[SUSPEND_WHY_MAX]; /* one message */
};

typedef void suspend_report_fn(void *context, const struct partition *partition,
                               const struct suspend_report *report);
/* Open the checkpoint port for a device. 0 or -errno. */
typedef int suspend_open_fn(void *context, uint32_t device, struct checkpoint **ret_checkpoint);

struct suspend_start {
    struct proctrack *proctrack; /* borrowed, as all pointers */
    struct bookings *bookings;   /* NULL: nothing is booked */
    const struct policy *policy;
    suspend_open_fn *open;
    suspend_report_fn *report;
    void *context;
    const char *impossible; /* why nothing can be suspended here, as a message; NULL: it can */
    uint64_t machine_bytes; /* memory of the machine */
};

/* Set `start`; zero the rest. */
struct suspensions {
    struct suspend_start start;
    struct avl by_id;
    uint32_t running;
};

/* The lease of a partition is over: let its processes leave. If they are coming back, they leave
 * then. 0 or -ENOMEM. */
int suspend_leave(struct suspensions *suspensions, int64_t now_ns,
                  const struct partition *partition, uint32_t account);
/* What was reported with SUSPEND_MEASURED is durable. */
void suspend_noted(struct suspensions *suspensions, uint64_t id, int64_t now_ns);
/* It has a new lease: let them come back. 0 or -ENOMEM. */
int suspend_return(struct suspensions *suspensions, int64_t now_ns,
                   const struct partition *partition, uint32_t account);
/* It has ended: forget it. Return whether it was suspended. */
bool suspend_drop(struct suspensions *suspensions, uint64_t id);
/* Whether its processes are away, or on their way: no other can join. */
bool suspend_has(const struct suspensions *suspensions, uint64_t id);
/* Forget all. */
void suspend_clear(struct suspensions *suspensions);

/* After a restart: take up a partition that is not SUSPEND_NONE where it was. Call suspend_found
 * for each with processes, whether they are frozen, and then suspend_begin. 0 or -ENOMEM. */
int suspend_restore(struct suspensions *suspensions, const struct partition *partition,
                    uint32_t account);
void suspend_found(struct suspensions *suspensions, uint64_t id, bool frozen);
void suspend_begin(struct suspensions *suspensions, int64_t now_ns);

/* Take the steps that are due or answered. */
void suspend_step(struct suspensions *suspensions, int64_t now_ns);
/* When to call it next; INT64_MAX: never. */
int64_t suspend_next_ns(const struct suspensions *suspensions, int64_t now_ns);
/* Add what to poll for. Return how many; at most SUSPEND_RUNNING_MAX. */
nfds_t suspend_poll(const struct suspensions *suspensions, struct pollfd *fds);

#endif
