/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find processes that use a device without a partition, and partitions above their limit; decide
 * what to do about them and when. Pure: samples and the time go in, actions come out, and the
 * caller carries them out. It must not know where samples come from or how signals are sent.
 *
 * There are three kinds of violations:
 * - unmanaged: a process uses a device outside of any live partition on that device. It is
 *   in no partition, or its partition is on another device or has ended;
 * - over-limit: the members of a partition use more of a device of it than its limit;
 * - unlimited: a member uses a device of its partition and charges nothing there, though programs
 *   are limited when they allocate; or it charges far less than it uses, and its partition is above
 *   its limit: then it is only reported, and the steps are those of its partition. Found in every
 *   check, also with the policy `off`, which then only reports it; the other kinds only in a check
 *   that is `complete`.
 *
 * The steps, each taken once, and only as far as the policy `watchdog` allows:
 *   report   at once                         unmanaged          over-limit ...
 *   warn     grace after the report          warned-unmanaged   warned-over-limit
 *   SIGTERM  grace after the warning         ended-unmanaged    ended-over-limit
 *   SIGKILL  10 s after SIGTERM              ended-unmanaged    ended-over-limit
 *
 * Report an unmanaged process once, for the device that it uses most. For a partition above its
 * limit, warn every member that uses the device and end the largest; after that one is gone, end
 * the next after the grace if the partition is still above. Only report processes of uid 0, and
 * memory that processes of several users have open: it may not be the process's own. With `adopt`
 * also only report an unlimited process, because that lets programs in that were started plainly.
 *
 * A check takes at most one step per violation, so rare checks lengthen the time between two steps
 * and never shorten it. Keep a violation for one grace period after it was last seen: a brief
 * release before each check does not reset its steps. Pid and start time identify a process, so a
 * reused pid is another process.
 */
#ifndef CHRONOS_HOST_WATCHDOG_H
#define CHRONOS_HOST_WATCHDOG_H

#include "core/engine/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCHDOG_KILL_NS     INT64_C(10000000000) /* from SIGTERM to SIGKILL */
#define WATCHDOG_ACTIONS_MAX 256                  /* per check; later checks take the rest */

/* A process that uses a device, one row per device. Rows with 0 bytes (the process only has the
 * node open) or start 0 (it ended before the lookup) do not count. */
struct watchdog_process {
    int32_t pid;
    uint32_t uid;
    uint64_t start;        /* field 22 of /proc/PID/stat: ticks since boot */
    uint32_t device;       /* index */
    uint64_t bytes;        /* or GPU_BYTES_UNKNOWN */
    uint64_t partition_id; /* 0: none */
    uint64_t shared_bytes; /* of these: processes of other users have them open, too */
    /* The driver's own share (a context), which does not count against the limit. */
    uint64_t overhead_bytes;
    bool unlimited; /* charges nothing or too little, though programs on this device are to */
    bool charges;   /* has `charge` open */
};

/* A partition on one of its devices that is live, or whose members are being ended. */
struct watchdog_partition {
    uint64_t id;
    uint32_t uid; /* of its owner */
    uint32_t device;
    uint64_t limit_bytes;
    bool ending; /* its members are being ended: ignore them */
    /* Set by watchdog_check. */
    uint64_t used_bytes, own_bytes; /* own: without what its members share with other users */
    const struct watchdog_process *largest; /* member; prefers one that may be ended */
};

/* Usage at one moment. Arrays in any order; watchdog_check sorts them in place. */
struct watchdog_sample {
    struct watchdog_process *processes;
    size_t process_count;
    /* Partitions with members; duplicates are fine. A missing partition has ended. */
    struct watchdog_partition *partitions;
    size_t partition_count;
    /* Whether the driver of each device answered; NULL: all did. Violations on a device that did
     * not answer are kept, without taking a step. */
    const bool *device_known;
    uint32_t device_count; /* of device_known */
    /* False: find only unlimited processes, the others are not in the sample; violations of other
     * kinds are kept without a step. */
    bool complete;
};

/* An action. Set `message` in the status of `uid`; with `note` also write a log line with `word`
 * and `details`; with `signo` also send it to `pid`, if it still is the process of `start`. */
struct watchdog_action {
    int signo; /* SIGTERM, SIGKILL or 0 */
    int32_t pid;
    uint64_t start;
    uint32_t uid;       /* of the process */
    uint32_t owner_uid; /* of the partition; unmanaged: of the process */
    uint32_t device;
    uint64_t partition_id; /* 0: an unmanaged process */
    bool note;             /* false: warns one more member, without a log line */
    const char *word;      /* static */
    char details[128];     /* "pid=4242 uid=6101 bytes=...": what no field says */
    char message[256];     /* without a newline */
};
typedef void watchdog_action_fn(void *context, const struct watchdog_action *action);

struct watchdog_counts {
    uint64_t unmanaged;  /* processes, now */
    uint64_t over_limit; /* partitions, now */
    uint64_t unlimited;  /* processes, now */
    uint64_t reported;   /* these four: since the start */
    uint64_t warned;
    uint64_t ended;  /* SIGTERM */
    uint64_t killed; /* SIGKILL */
};

/* Set the policy; zero the rest. */
struct watchdog {
    const struct policy *policy; /* borrowed; its watchdog and watchdog_grace_ns */
    struct violation *violations;
    size_t count, capacity;
    struct watchdog_counts counts; /* only those since the start */
};

/* Check `sample`, taken at `now_ns` (any clock that never goes back), and call fn for each action,
 * oldest violations first. O(n log n). 0, or -ENOMEM without changing anything. */
int watchdog_check(struct watchdog *watchdog, int64_t now_ns, struct watchdog_sample *sample,
                   watchdog_action_fn *fn, void *context);
/* Forget all violations and free their memory. */
void watchdog_forget(struct watchdog *watchdog);
/* Return when the next step is due; INT64_MAX if only a new violation can need one. A time in the
 * past means as soon as possible. */
int64_t watchdog_next_ns(const struct watchdog *watchdog);
void watchdog_count(const struct watchdog *watchdog, struct watchdog_counts *ret_counts);

#endif
