/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the host thread, shared by the files of this room only; see host.h. */
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

enum work_kind { WORK_JOIN, WORK_READ, WORK_EVENT, WORK_POLICY };

struct work_item {
    struct mail mail;
    enum work_kind kind;
    union {
        struct {
            struct host_join asked;
            struct host_result *answer; /* allocated early: the writer waits for it */
        } join;
        struct {
            uint64_t id;
            int64_t asked_ns;
        } read;
        struct {
            enum event_kind kind;
            struct partition partition;
        } event;
        struct policy policy;
    };
};

/* Only the host thread uses it, but for `thread`. */
struct host {
    struct host_start start;
    struct proctrack *proctrack;
    struct termination termination;
    struct telemetry *telemetry;
    struct access *access;
    struct police *police;
    int64_t usage_wanted_ns;        /* a reader waits for a sample asked for then or later */
    struct host_state state;        /* as last reported */
    struct allocations allocations; /* of all live partitions */
    struct allocations occupied;    /* partitions that programs have joined; ids only */
    uint64_t checked_id;            /* the last one in `occupied` checked for being empty */
    bool scans;                     /* members are found by scanning now and then */
    int64_t scanned_ns;
    int64_t seen_ns; /* when the last scan for a reader began */
    struct {
        uint64_t id;
        int64_t at_ns;
    } members_read[256]; /* when the members of partitions were last read; by id */
    struct policy policy;
    int64_t now_ns;
    struct mailbox_thread thread; /* work items in, results out */
};

/* -- work.c: results -- */

/* A result to be filled in and reported, all zero, with room for a message; or NULL, which
 * is logged. */
struct host_result *host_result_new(enum host_result_kind kind, size_t message_bytes);
/* Hands a result to the loop; NULL is dropped. */
void host_report(struct host *host, struct host_result *result);
/* In all of these `context` is the host. A line of the log about the programs of a
 * partition. */
void host_note(void *context, const struct partition *partition, const char *word,
               const char *details);
/* A line of the log about a device (or ENGINE_DEVICE_ANY) and partition `id` (0: none). */
void host_note_device(void *context, uint64_t id, uint32_t device, const char *word,
                      const char *details);
/* A message for the status of a user. */
void host_report_status(void *context, uint32_t uid, const char *message);
/* What a partition uses now, and how much longer it kept its device busy. */
void host_report_usage(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns);
/* Reports the means of enforcement if they differ from the last report. */
void host_report_state(struct host *host);

/* -- begin.c -- */

/* Opens all parts and finds the programs of partitions that are there. 0 or -errno. */
int host_begin(struct host *host);

/* -- join.c -- */

/* Does what was asked, and reports the outcome with `answer`. */
void host_do_join(struct host *host, const struct host_join *join, struct host_result *answer);

/* -- warn.c -- */

/* Sends the signal that comes with a warning, and notes it. */
void host_warn(struct host *host, const struct partition *partition);

#endif
