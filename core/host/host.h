/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread does what touches processes and drivers, because that can block and the
 * loop must not. It owns the process tracker (which processes are in a partition), the usage
 * reader (what drivers report), the end of processes (on_expiry), access to device nodes and
 * the watchdog. The loop and the committer give it work items; the results come back when
 * host_fd is readable. It must not know the tree, FUSE or the store. Of the engine it uses
 * records and tables only.
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
    const char *instance;             /* tells this state directory's cgroups from others */
    const char *state_dir;            /* borrowed */
    const char *proctrack;            /* "auto", "cgroup" or "process-tree"; borrowed */
    const struct gpu_device *devices; /* borrowed; those that are present */
    uint32_t device_count;
    struct partition *live; /* all live partitions; malloc, ownership passes */
    size_t live_count;
    struct partition *ended; /* those that ended lately; likewise */
    size_t ended_count;
    struct policy policy;
    uint64_t own_pid_ns; /* inode number of the daemon's pid namespace */
};

/* Starts the thread. 0 or -errno. */
int host_new(const struct host_start *start, struct host **ret_host);
/* Readable (an eventfd) when there are results. */
int host_fd(const struct host *host);

/* -- work items; from any thread ------------------------------------------------ */

/* Joins a process, which was written to `procs`, to partition `id`. The answer comes as
 * RESULT_JOINED with the same `tag`. 0 or -ENOMEM. */
struct host_join {
    uint64_t tag;
    uint64_t id;
    int32_t pid;        /* in the writer's pid namespace; 0: the writer itself */
    int32_t writer_pid; /* in ours */
    uint32_t uid;       /* of the writer */
    bool admin;
};
int host_join(struct host *host, const struct host_join *join);
/* Reads the members of partition `id`: RESULT_MEMBERS comes; or with HOST_USAGE what drivers
 * report: RESULT_SAMPLED comes after a sample that is not much older than asked_ns. 0; -ENOMEM
 * or -EAGAIN (too many work items wait): no result comes. */
#define HOST_USAGE UINT64_MAX
int host_read(struct host *host, uint64_t id, int64_t asked_ns);
/* This policy is in force from now on. 0 or -ENOMEM. */
int host_set_policy(struct host *host, const struct policy *policy);
/* Passes events on. `certain`: those of them that hold even if they do not become durable (the
 * time was up, the file that held the partition was closed); else all others, which are passed
 * once they are durable. A change that may still be reverted must not affect programs. */
void host_events(struct host *host, const struct engine_event *events, bool certain);

/* -- results; the loop ------------------------------------------------------------ */

/* The means of enforcement, for the file `enforcement`. */
struct host_state {
    char processes[16]; /* "cgroup", "process-tree" */
    char why[160];      /* why not "cgroup"; or "" */
    bool metered;       /* some driver reports; true until the first answer */
    struct {
        char backend[16];            /* "nvml", "drm"; "": none reports */
        char note[192];              /* why none reports although one could; or "" */
    } reader[GPU_DEVICE_MAX];        /* by device */
    bool restricted[GPU_DEVICE_MAX]; /* only holders can open its nodes */
    char devacl_why[256];            /* why nodes are not as they should be; or "" */
    struct watchdog_counts watchdog;
};

enum host_result_kind {
    RESULT_JOINED,  /* the answer to a host_join */
    RESULT_MEMBERS, /* of a partition */
    RESULT_USAGE,   /* of a partition, as the driver reports it */
    RESULT_SAMPLED, /* a sample asked for at sampled_ns has been reported completely */
    RESULT_NOTE,    /* a line of the log */
    RESULT_STATUS,  /* a message for the status of a user */
    RESULT_STATE,   /* the means of enforcement have changed */
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
            int64_t asked_ns; /* an answer to all who asked then or earlier */
            char *text;       /* one pid a line; owned */
            size_t length;
        } members;
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
