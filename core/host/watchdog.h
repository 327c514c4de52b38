/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: who uses a device without a partition, or more of it than the
 * partition has, as the driver tells; and what is done about it, when. Pure: samples
 * and the time go in, actions come out; the caller does them. It must not know where
 * samples come from, nor how a signal is sent.
 *
 * Two kinds of trouble:
 * - an unmanaged is a process that uses a device outside of any live partition on that
 *   device: it is in none, or its partition is on another device or has ended;
 * - an over_limit is a partition whose members use more of its device than its limit.
 *
 * The steps, each once, each only as far as the policy says:
 *   report   at once                         unmanaged          over_limit
 *   warn     grace after the report          warned-unmanaged   warned-over-limit
 *   SIGTERM  grace after the warning         ended-unmanaged    ended-over-limit
 *   SIGKILL  10 s after SIGTERM              ended-unmanaged    ended-over-limit
 * An unmanaged is told once for each process (the device is that of which it uses
 * most). With an over_limit everybody in the partition who uses the device is warned; the
 * one who uses most at the time is ended, and grace after it is gone the next one if
 * the partition is still over. Processes of uid 0 are reported and nothing else.
 * There is at most one step for each trouble in a look, so time between two steps is
 * never shorter than said, only longer when looks are rare. A trouble that is over is
 * forgotten after grace: one that comes back earlier goes on where it was, so who lets
 * go just before each look gains nothing. A process is known by pid and start time, so
 * one that got the pid of another begins anew.
 */
#ifndef CHRONOS_HOST_WATCHDOG_H
#define CHRONOS_HOST_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCHDOG_KILL_NS     INT64_C(10000000000) /* from SIGTERM to SIGKILL */
#define WATCHDOG_FOREVER     INT64_MAX
#define WATCHDOG_ACTIONS_MAX 256 /* in one look; what is left comes in the next ones */
#define WATCHDOG_DETAILS_MAX 128 /* what a note can have */
#define WATCHDOG_MESSAGE_MAX 256
/* It uses the device, and the driver does not say how much. */
#define WATCHDOG_BYTES_UNKNOWN UINT64_MAX

enum watchdog_mode { WATCHDOG_OFF, WATCHDOG_REPORT, WATCHDOG_WARN, WATCHDOG_END };

struct watchdog_policy {
    enum watchdog_mode mode;
    int64_t grace_ns; /* between the steps */
};

/* A process that uses a device, one row for each device. Rows with 0 bytes (it only
 * has the node open) or start 0 (it was gone when it was looked at) are passed over. */
struct watchdog_process {
    int32_t pid;
    uint32_t uid;
    uint64_t start;        /* field 22 of /proc/PID/stat: ticks after boot */
    uint32_t device;       /* index */
    uint64_t bytes;        /* or WATCHDOG_BYTES_UNKNOWN */
    uint64_t partition_id; /* which it is a member of; 0: none */
    /* What of it the driver takes for itself in each process (a context): so much is
     * not held against the partition's limit. */
    uint64_t slack_bytes;
};

/* A partition that is there now, or whose members are just being ended. */
struct watchdog_partition {
    uint64_t id;
    uint32_t uid; /* its owner */
    uint32_t device;
    uint64_t limit_bytes;
    bool ending; /* its time is up and on_expiry is at work: its members are left alone */
};

/* What was seen in one look. Arrays in any order, borrowed during the call. */
struct watchdog_sample {
    const struct watchdog_process *processes;
    size_t process_count;
    const struct watchdog_partition *partitions; /* an id that is not here has ended */
    size_t partition_count;
    /* For each device whether the driver answered; NULL: all did. What is known of a
     * device that did not answer is kept, and no step is taken there. */
    const bool *device_known;
    uint32_t device_count; /* of device_known */
};

enum watchdog_step { WATCHDOG_DO_REPORT, WATCHDOG_DO_WARN, WATCHDOG_DO_SIGNAL };

/* One thing to do. In every case: engine_note(partition or 0, word, details), and
 * `message` into the status of `uid`. Then, by step: nothing more; a line with
 * `message` on the terminal of `pid`; `signo` to `pid`, if it still began at `start`. */
struct watchdog_action {
    enum watchdog_step step;
    int signo; /* SIGTERM or SIGKILL; else 0 */
    int32_t pid;
    uint64_t start;
    uint32_t uid; /* of the process */
    uint32_t device;
    uint64_t partition_id; /* the over_limit is in; 0: an unmanaged */
    /* Of an over_limit only the first action of a step is to be noted: the others warn
     * further members. True for all others. */
    bool note;
    const char *word;                   /* of the log line; static */
    char details[WATCHDOG_DETAILS_MAX]; /* "pid=4242 uid=6101 device=gpu0 bytes=..." */
    char message[WATCHDOG_MESSAGE_MAX]; /* to the user, without a newline */
};
typedef void watchdog_action_fn(void *context, const struct watchdog_action *action);

struct watchdog_counts {
    uint64_t unmanaged;  /* processes, now */
    uint64_t over_limit; /* partitions, now */
    uint64_t reported;   /* the others: since the watchdog was made */
    uint64_t warned;
    uint64_t ended;  /* SIGTERM */
    uint64_t killed; /* SIGKILL */
};

struct watchdog;

/* The caller frees it with watchdog_free. 0 or -ENOMEM. */
int watchdog_new(struct watchdog **ret_watchdog);
/* NULL is fine; returns NULL. */
struct watchdog *watchdog_free(struct watchdog *watchdog);

/* Takes a look at `sample`, made at `now_ns` (any clock that does not go back), and
 * calls fn for what is to be done, oldest troubles first. With mode WATCHDOG_OFF
 * everything is forgotten. O(n log n); some 100 bytes are kept for each trouble.
 * 0; -ENOMEM: nothing was done, nothing forgotten. */
int watchdog_look(struct watchdog *watchdog, int64_t now_ns, const struct watchdog_policy *policy,
                  const struct watchdog_sample *sample, watchdog_action_fn *fn, void *context);
/* When the next step is due with the policy of the last look, so that a look then is
 * not late; WATCHDOG_FOREVER when only new troubles could need one. May be in the
 * past: then as soon as possible. */
int64_t watchdog_next_ns(const struct watchdog *watchdog);
/* How it stands with the troubles of a user (his processes, his partitions), at
 * now_ns: one message about that which is furthest. False: there is none. */
bool watchdog_message(const struct watchdog *watchdog, uint32_t uid, int64_t now_ns, char *message,
                      size_t size);
void watchdog_count(const struct watchdog *watchdog, struct watchdog_counts *ret_counts);

#endif
