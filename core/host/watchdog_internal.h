/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the watchdog share: a trouble, a look, the words for them. */
#ifndef CHRONOS_HOST_WATCHDOG_INTERNAL_H
#define CHRONOS_HOST_WATCHDOG_INTERNAL_H

#include "watchdog.h"

/* How far it has come; the order counts. */
enum violation_stage {
    VIOLATION_NEW,
    VIOLATION_REPORTED,
    VIOLATION_WARNED,
    VIOLATION_TERM,
    VIOLATION_KILL
};

/* An unmanaged (partition_id 0) or an over_limit. */
struct violation {
    uint64_t partition_id;
    /* The process: the unmanaged, or who uses most of the partition in over_limit. From
     * SIGTERM on who got it. */
    int32_t pid;
    uint64_t start;
    uint32_t pid_uid;
    uint32_t uid; /* whose trouble it is: the process's user, the partition's owner */
    uint32_t device;
    uint64_t bytes, limit_bytes;
    bool may_act; /* false: only uid 0 is in it */
    bool seen;    /* in the last look, or before its device stopped answering */
    bool blind;   /* its device did not answer in the last look */
    enum violation_stage stage;
    int64_t since_ns, seen_ns;
    int64_t step_ns; /* when it came to its stage */
};

/* Sorted by key: partition, then (for an unmanaged) pid and start. */
struct list {
    struct violation *items;
    size_t count;
};

struct watchdog {
    struct list violations;
    struct watchdog_policy policy; /* of the last look */
    struct watchdog_counts counts; /* only those that add up */
};

/* What is used of a partition. */
struct account {
    const struct watchdog_partition *partition;
    uint64_t used_bytes;
    const struct watchdog_process *most; /* of uid > 0; NULL: there is none */
    const struct watchdog_process *any;
};

/* One look. `rows` are sorted by pid and start, `accounts` by the partition's id. */
struct view {
    struct watchdog *watchdog;
    const struct watchdog_sample *sample;
    int64_t now_ns;
    const struct watchdog_process **rows;
    size_t row_count;
    struct account *accounts;
    struct list found, joined;
    struct violation **order; /* joined, oldest first */
    watchdog_action_fn *fn;
    void *context;
    size_t actions;
};

/* -- watchdog-find.c -- */

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))
int watchdog_compare_keys(const void *a, const void *b);
/* Takes the memory for a look, and the rows that count; 0 or -ENOMEM. */
int watchdog_view_begin(struct view *view);
void watchdog_view_end(struct view *view);
/* Puts the troubles of the sample into view->found, sorted. */
void watchdog_view_find(struct view *view);
bool watchdog_view_knows_device(const struct view *view, uint32_t device);

/* -- watchdog-words.c -- */

/* When the next step is due; WATCHDOG_FOREVER: none. */
int64_t watchdog_due_ns(const struct violation *violation, const struct watchdog_policy *policy);
/* How it stands at now_ns, to its user. */
void watchdog_violation_message(const struct violation *violation,
                                const struct watchdog_policy *policy, int64_t now_ns, char *message,
                                size_t size);
/* What the log says of the step to its stage. */
const char *watchdog_word(const struct violation *violation);
void watchdog_details(const struct violation *violation, char *details, size_t size);

#endif
