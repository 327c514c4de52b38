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

#include "core/base/mailbox.h"
#include "core/proctrack/proctrack.h"

enum work_kind { WORK_JOIN, WORK_LOOK, WORK_EVENT, WORK_POLICY };

struct work_item {
    struct mail mail;
    enum work_kind kind;
    union {
        struct {
            struct host_join asked;
            struct host_result *answer; /* the writer waits: it always gets one */
        } join;
        struct {
            uint64_t id;
            int64_t asked_ns;
        } look;
        struct {
            enum event_kind kind;
            struct partition partition;
        } event;
        struct host_policy policy;
    };
};

#define HOST_LOOKED 256u

/* When a partition's members were last looked at. */
struct looked {
    uint64_t id;
    int64_t at_ns;
};

/* Only the host thread touches it, but for `thread`. */
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
    struct mailbox_thread thread; /* work items in, results out */
};

/* A result to be filled and reported, all zero, with room for a message; or NULL (said on
 * the log). */
struct host_result *host_result_new(enum host_result_kind kind, size_t message_bytes);
/* Hands a result to the loop; NULL is dropped. */
void host_report(struct host *host, struct host_result *result);
/* Has the log tell of something that happened to a partition's programs; `context` is
 * the host. */
void host_note(void *context, const struct partition *partition, const char *word,
               const char *details);
/* begin.c: opens everything. 0 or -errno. */
int host_begin(struct host *host);
/* warn.c: sends the signal that comes with a warning, and tells. */
void host_warn(struct host *host, const struct partition *partition);
/* join.c: does what was asked, and reports the outcome with `answer`. */
void host_do_join(struct host *host, const struct host_join *join, struct host_result *answer);

#endif
