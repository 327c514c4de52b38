/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread: the thread that deals with programs in the loop's stead, because
 * whatever touches processes and drivers can block. It owns the process tracker (who
 * belongs to a partition), the usage reader (what drivers tell), the termination of processes
 * at the end, access to device nodes, and the watchdog. The loop and the
 * committer give it work items; what it finds out comes back as results, which the loop takes when
 * host_fd is readable. It must not know the tree, the engine or FUSE.
 */
#ifndef CHRONOS_HOST_HOST_H
#define CHRONOS_HOST_HOST_H

#include "watchdog.h"

#include "core/base/mailbox.h"
#include "core/engine/engine.h"
#include "core/gpu/gpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host;

struct host_start {
    const char *instance;             /* names this state directory's groups of processes */
    const char *state_dir;            /* borrowed */
    const char *proctrack;            /* "auto", "cgroup" or "process-tree"; borrowed */
    const struct gpu_device *devices; /* borrowed; those that are there */
    uint32_t device_count;
    struct partition *live; /* taken over (malloc): all live partitions */
    size_t live_count;
    struct partition *ended; /* taken over: those that ended lately, end_ns as it was */
    size_t ended_count;
    struct policy policy;
    uint64_t own_pid_ns; /* inode number of the daemon's pid namespace */
};

/* Starts the thread. 0 or -errno. */
int host_new(const struct host_start *start, struct host **ret_host);
/* Readable (an eventfd) when there are results. */
int host_fd(const struct host *host);

/* -- work items; any thread ------------------------------------------------------ */

/* A process that was written to `procs` is to belong to partition `id`. The answer
 * comes as RESULT_JOINED with the same `tag`. */
struct host_join {
    uint64_t tag;
    uint64_t id;
    int32_t pid;        /* as the writer counts; 0 the writer itself */
    int32_t writer_pid; /* as we count */
    uint32_t uid;       /* of the writer */
    bool admin;
};
int host_join(struct host *host, const struct host_join *join);
/* For a reader: RESULT_LOOKED for partition `id` is wanted; HOST_USAGE: RESULT_SAMPLED
 * with a sample of the drivers not much older than now_ns. 0, or -ENOMEM or -EAGAIN (too
 * much is asked): there will be none. */
#define HOST_USAGE UINT64_MAX
int host_look(struct host *host, uint64_t id, int64_t now_ns);
/* This policy is in force from now on. 0 or -ENOMEM. */
int host_set_policy(struct host *host, const struct policy *policy);
/* Takes note of what changed: of `events` those that happen whether they are durable
 * or not (`certain`: time was up, the file that held it was closed), or all others, which
 * are given once they are. A partition's programs must not suffer for what may yet be
 * taken back. */
void host_events(struct host *host, const struct engine_event *events, bool certain);

/* -- results; the loop ------------------------------------------------------------ */

/* What keeps what, in words for `enforcement`. */
struct host_state {
    char processes[16]; /* "cgroup", "process-tree" */
    char why[160];      /* why not the better one; "" */
    bool metered;       /* whether any driver tells, as far as is known */
    struct {
        char backend[16];            /* "nvml", "drm"; "" nobody tells */
        char note[192];              /* why nobody does although somebody could; "" */
    } reader[GPU_DEVICE_MAX];        /* by device */
    bool restricted[GPU_DEVICE_MAX]; /* only holders can open its nodes */
    char devacl_why[256];            /* what is wrong with the gate; "" */
    struct watchdog_counts watchdog;
};

enum host_result_kind {
    RESULT_JOINED,  /* what became of a host_join */
    RESULT_LOOKED,  /* the members of a partition */
    RESULT_USAGE,   /* what the driver tells of a partition */
    RESULT_SAMPLED, /* all of a sample that was asked for at sampled_ns has been told */
    RESULT_NOTE,    /* details for the log */
    RESULT_STATUS,  /* for the status of a user */
    RESULT_STATE,   /* what there is to keep limits with */
};

struct host_result {
    struct mail mail;
    enum host_result_kind kind;
    uint64_t id; /* the partition it is about */
    union {
        struct {
            uint64_t tag;
            int result; /* 0, -errno or a refusal code */
        } joined;
        struct {
            int64_t asked_ns; /* for all who asked then or earlier */
            char *text;       /* a pid a line; owned */
            size_t length;
        } looked;
        struct {
            uint64_t bytes, busy_more_ns;
        } usage;
        int64_t sampled_ns;
        struct {
            struct partition partition;
            char word[24];
        } note;
        uint32_t status_uid;
        struct host_state *state; /* owned */
    };
    char message[]; /* RESULT_JOINED, RESULT_NOTE, RESULT_STATUS */
};

/* All results, oldest first: each mail is a struct host_result, which the caller frees. */
struct mail *host_take_results(struct host *host);
struct host_result *host_result_free(struct host_result *result);

#endif
