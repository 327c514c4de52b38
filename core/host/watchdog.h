/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog finds processes that use a device without a partition and partitions that
 * use more than their limit, and decides what is done about them and when. Pure: samples
 * and the time go in, actions come out, and the caller carries them out. It must not know
 * where samples come from or how a signal is sent.
 *
 * There are two kinds of violations:
 * - unmanaged: a process uses a device outside of any live partition on that device. It is
 *   in no partition, or its partition is on another device or has ended;
 * - over-limit: the members of a partition use more of its device than its limit.
 *
 * The steps, each taken once, and only as far as the policy `watchdog` allows:
 *   report   at once                         unmanaged          over-limit
 *   warn     grace after the report          warned-unmanaged   warned-over-limit
 *   SIGTERM  grace after the warning         ended-unmanaged    ended-over-limit
 *   SIGKILL  10 s after SIGTERM              ended-unmanaged    ended-over-limit
 *
 * An unmanaged process is reported once, for the device that it uses most. For a partition
 * over its limit, every member that uses the device is warned and the largest one is ended;
 * once that one is gone, the next follows after the grace if the partition is still over.
 * Processes of uid 0 are only reported.
 *
 * A check takes at most one step for each violation, so rare checks make the time between
 * two steps longer, never shorter. A violation is kept for one grace period after it was
 * last seen: a brief release before each check does not reset its steps. A process is
 * identified by pid and start time, so a reused pid is another process.
 */
#ifndef CHRONOS_HOST_WATCHDOG_H
#define CHRONOS_HOST_WATCHDOG_H

#include "core/engine/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCHDOG_KILL_NS     INT64_C(10000000000) /* from SIGTERM to SIGKILL */
#define WATCHDOG_ACTIONS_MAX 256                  /* in one check; the next ones take the rest */

/* A process that uses a device, one row for each device. Rows with 0 bytes (the process
 * only has the node open) or start 0 (it ended before it was looked up) do not count. */
struct watchdog_process {
    int32_t pid;
    uint32_t uid;
    uint64_t start;        /* field 22 of /proc/PID/stat: ticks after boot */
    uint32_t device;       /* index */
    uint64_t bytes;        /* or GPU_BYTES_UNKNOWN */
    uint64_t partition_id; /* 0: none */
    /* The driver's own share of it (a context), which does not count against the limit. */
    uint64_t overhead_bytes;
};

/* A partition that is live, or whose members are being ended. */
struct watchdog_partition {
    uint64_t id;
    uint32_t uid; /* of its owner */
    uint32_t device;
    uint64_t limit_bytes;
    bool ending; /* on_expiry is at work: its members are left alone */
    /* Filled in by watchdog_check. */
    uint64_t used_bytes;
    const struct watchdog_process *largest; /* of its members; one that may be ended, if any */
};

/* The usage at one moment. Arrays in any order; watchdog_check sorts them in place. */
struct watchdog_sample {
    struct watchdog_process *processes;
    size_t process_count;
    /* Those that have members; the same one may be there again. One that is not has ended. */
    struct watchdog_partition *partitions;
    size_t partition_count;
    /* For each device whether the driver answered; NULL: all did. Violations on a device that
     * did not answer are kept, and no step is taken there. */
    const bool *device_known;
    uint32_t device_count; /* of device_known */
};

enum watchdog_step { WATCHDOG_DO_REPORT, WATCHDOG_DO_WARN, WATCHDOG_DO_SIGNAL };

/* One thing to do. Always: a line of the log with `word` and `details`, and `message` in the
 * status of `uid`. WATCHDOG_DO_WARN: also a line with `message` on the terminal of `pid`.
 * WATCHDOG_DO_SIGNAL: also `signo` to `pid`, if it still is the process of `start`. */
struct watchdog_action {
    enum watchdog_step step;
    int signo; /* SIGTERM or SIGKILL; else 0 */
    int32_t pid;
    uint64_t start;
    uint32_t uid; /* of the process */
    uint32_t device;
    uint64_t partition_id; /* that is over its limit; 0: an unmanaged process */
    bool note;             /* false: only a further member is warned, without a line of the log */
    const char *word;      /* static */
    char details[128];     /* "pid=4242 uid=6101 device=gpu0 bytes=..." */
    char message[256];     /* without a newline */
};
typedef void watchdog_action_fn(void *context, const struct watchdog_action *action);

struct watchdog_counts {
    uint64_t unmanaged;  /* processes, now */
    uint64_t over_limit; /* partitions, now */
    uint64_t reported;   /* these four: since the start */
    uint64_t warned;
    uint64_t ended;  /* SIGTERM */
    uint64_t killed; /* SIGKILL */
};

/* All zero at the start, but for the policy. */
struct watchdog {
    const struct policy *policy; /* borrowed; its watchdog and watchdog_grace_ns */
    struct violation *violations;
    size_t count, capacity;
    struct watchdog_counts counts; /* only those since the start */
};

/* Checks `sample`, taken at `now_ns` (any clock that does not go back), and calls fn for
 * each action, oldest violations first. O(n log n). 0, or -ENOMEM with nothing done. */
int watchdog_check(struct watchdog *watchdog, int64_t now_ns, struct watchdog_sample *sample,
                   watchdog_action_fn *fn, void *context);
/* Forgets all violations and frees their memory, because the policy switched it off. */
void watchdog_forget(struct watchdog *watchdog);
/* When the next step is due; INT64_MAX when only a new violation can need one. May be in the
 * past: then as soon as possible. */
int64_t watchdog_next_ns(const struct watchdog *watchdog);
void watchdog_count(const struct watchdog *watchdog, struct watchdog_counts *ret_counts);

#endif
