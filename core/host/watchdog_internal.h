/* SPDX-License-Identifier: Apache-2.0 */
/* A violation and its texts, shared by the watchdog's two files only. */
#ifndef CHRONOS_HOST_WATCHDOG_INTERNAL_H
#define CHRONOS_HOST_WATCHDOG_INTERNAL_H

#include "watchdog.h"

/* The last step taken, in order. */
enum violation_stage {
    VIOLATION_NEW,
    VIOLATION_REPORTED,
    VIOLATION_WARNED,
    VIOLATION_TERM,
    VIOLATION_KILL
};

enum violation_kind { VIOLATION_UNMANAGED, VIOLATION_OVER_LIMIT, VIOLATION_UNLIMITED };

struct violation {
    enum violation_kind kind;
    uint64_t partition_id; /* 0: unmanaged */
    /* The process, or the largest member; after SIGTERM the member that got it. */
    int32_t pid;
    uint64_t start;
    uint32_t uid;
    uint32_t owner_uid; /* of the partition; unmanaged: of the process */
    uint32_t device;
    uint64_t bytes, limit_bytes;
    bool charges; /* unlimited: it has `charge` open */
    bool shared;  /* processes of other users have some of it open, too */
    bool may_act; /* false: only processes of uid 0, or nothing that is surely their own */
    bool seen;    /* in the last check, or before its device stopped answering */
    bool blind;   /* its device did not answer in the last check */
    enum violation_stage stage;
    int64_t since_ns, seen_ns;
    int64_t step_ns; /* when it entered its stage */
};

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Compare by pid, then by start. */
int watchdog_compare_processes(const void *a, const void *b);
/* Sort processes and partitions; drop duplicate partitions. */
void watchdog_sort(struct watchdog_sample *sample);
/* Return a partition of a sorted sample on a device, or anywhere if it is being ended; or NULL. */
struct watchdog_partition *watchdog_find_partition(const struct watchdog_sample *sample,
                                                   uint64_t id, uint32_t device);
/* Return when the next step is due; INT64_MAX: never. */
int64_t watchdog_due_ns(const struct violation *violation, const struct policy *policy);
/* Write word, details and message of the step that led to its stage. */
void watchdog_describe(const struct violation *violation, const struct policy *policy,
                       int64_t now_ns, struct watchdog_action *action);

#endif
