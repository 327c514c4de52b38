/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the host thread, shared by its files only; see host.h. */
#ifndef CHRONOS_HOST_INTERNAL_H
#define CHRONOS_HOST_INTERNAL_H

#include "access.h"
#include "allocations.h"
#include "host.h"
#include "police.h"
#include "telemetry.h"
#include "terminate.h"

#include "core/proctrack/proctrack.h"

#include <pthread.h>

enum work_kind { WORK_JOIN, WORK_LOOK, WORK_EVENT, WORK_POLICY };

struct work_item {
    struct work_item *next;
    enum work_kind kind;
    struct host_join join;
    struct host_result *answer; /* to the join: who waits for it always gets one */
    uint64_t id;
    int64_t at_ns;
    enum event_kind event;
    struct partition partition;
    struct host_policy policy;
};

#define HOST_LOOKED 256u

/* When a partition's members were last looked at. */
struct looked {
    uint64_t id;
    int64_t at_ns;
};

/* Everything below `lock` may be touched by any thread under it, all else by the
 * host thread's own only. */
struct host {
    struct host_start start;
    struct proctrack *proctrack;
    struct termination *termination;
    struct telemetry *telemetry;
    struct access *access;
    struct police *police;
    int64_t usage_wanted_ns;        /* somebody reads and wants a sample asked for then or later */
    struct host_state state;        /* as last told */
    struct allocations allocations; /* who holds what: all live partitions */
    struct allocations occupied;    /* those that programs have joined */
    size_t empty_at;                /* in `occupied`: where to look for empty ones next */
    struct allocations frozen;      /* found so at the start */
    struct allocations stale;       /* traces found at the start that nobody needs */
    bool scans;                     /* members are known by looking now and then */
    int64_t scanned_ns;
    int64_t seen_ns; /* when the last scan for somebody who reads was begun */
    struct looked looked[HOST_LOOKED];
    struct host_policy policy;
    int64_t now_ns;
    pthread_t thread;
    int work_fd, result_fd;
    pthread_mutex_t lock;
    struct work_item *first_item, **last_item;
    size_t item_count;
    bool attentive; /* it wants to know at once what happens to partitions */
    struct host_result *first_result, **last_result;
};

/* News to be filled and told, or NULL (said on the log). */
struct host_result *host_result_new(enum host_result_kind kind);
/* Hands news to the loop; NULL is dropped. */
void host_report(struct host *host, struct host_result *result);
/* All work items, oldest first; the caller frees them. NULL: none. */
struct work_item *host_take_items(struct host *host);
/* Before waiting: whether there is nothing that cannot wait. */
bool host_rest(struct host *host, bool attentive);
/* Has the log tell of something that happened to a partition's programs; `context` is
 * the keeper. */
void host_note(void *context, const struct partition *partition, const char *word,
               const char *details);
/* warning.c: sends the signal that comes with a warning, and tells. */
void host_warn(struct host *host, const struct partition *partition);
/* joining.c: does what was asked, and tells the outcome with `answer`. */
void host_do_join(struct host *host, const struct host_join *join, struct host_result *answer);

#endif
