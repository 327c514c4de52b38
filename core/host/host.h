/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Touch processes and drivers on a thread of its own, because they can block and the loop must not.
 * The host thread owns the process tracker (which processes are in a partition), the usage reader
 * (what drivers report), the ending of processes (on_expiry), access to device nodes, and the
 * watchdog. The loop and the committer give it work items; results are ready when host_fd is
 * readable. It must not know the tree, FUSE or the store. It uses only the records and tables of
 * the engine.
 */
#ifndef CHRONOS_HOST_HOST_H
#define CHRONOS_HOST_HOST_H

#include "bookings.h"
#include "suspend.h"
#include "watchdog.h"

#include "core/base/mailbox.h"
#include "core/engine/engine.h"
#include "core/gpu/gpu.h"
#include "core/sharing/sharing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host;

/* A partition, and the account of its owner: one for all uids of a person. */
struct host_partition {
    struct partition partition;
    uint32_t account;
    struct guests *guests; /* NULL: it has none; malloc, ownership passes */
    bool settles;          /* RESULT_MEMBERS is to say so, as for one from which a user was taken */
};

struct host_start {
    const char *instance;             /* distinguishes this state directory's cgroups from others */
    const char *state_dir;            /* borrowed */
    const char *proctrack;            /* "auto", "cgroup" or "process-tree"; borrowed */
    const struct gpu_device *devices; /* borrowed; the present ones */
    uint32_t device_count;
    struct bookings *bookings;   /* borrowed */
    bool cuda_limited;           /* programs in partitions get the CUDA shim */
    struct host_partition *live; /* all live partitions; malloc, ownership passes */
    size_t live_count;
    struct host_partition *ended; /* all that can still have programs, by id; passes, too */
    size_t ended_count;
    struct policy policy;
    uint64_t own_pid_ns, own_user_ns; /* inode numbers of the daemon's namespaces */
    struct sharing_mode *modes;       /* of the devices; malloc, ownership passes; NULL: all none */
    const char *sharing_root;         /* for directories of sharing modes; borrowed; NULL: none */
};

/* Start the thread. 0 or -errno. */
int host_new(const struct host_start *start, struct host **ret_host);
/* Return an eventfd that is readable when there are results. */
int host_fd(const struct host *host);

/* -- work items; from any thread ------------------------------------------------ */

/* Add a process, whose pid was written to `procs`, to partition `id`, once that is durable; or with
 * `id` 0 take it and its descendants out of its partition; or with `cgroup` let a cgroup that
 * exists belong to the partition. RESULT_JOINED with the same `tag` answers. 0 or -ENOMEM. */
struct host_join {
    uint64_t tag;
    uint64_t id;
    int32_t pid;        /* in the writer's pid namespace; 0: the writer itself */
    int32_t writer_pid; /* in the daemon's */
    uint32_t uid;       /* of the writer */
    uint32_t account;   /* of the writer */
    const char *cgroup; /* its path, copied; NULL: a process */
    bool asks;          /* change nothing: 0 if the writer belongs to the partition, else -EPERM */
    bool root;          /* the writer may add and take out processes of others */
    int64_t until_ns;   /* CLOCK_BOOTTIME; later the writer is gone, and its pid another's */
};
int host_join(struct host *host, const struct host_join *join);
/* Read the members of partition `id`, answered by RESULT_MEMBERS. With HOST_USAGE read what drivers
 * report, answered by RESULT_SAMPLED after a sample that is not much older than asked_ns. 0; or
 * without any answer -ENOMEM, or -EAGAIN if too many work items are queued. */
#define HOST_USAGE UINT64_MAX
int host_read(struct host *host, uint64_t id, int64_t asked_ns);
/* Set the policy. 0 or -ENOMEM. */
int host_set_policy(struct host *host, const struct policy *policy);
/* Pass events to the host thread. `certain`: pass only events that hold even if they never become
 * durable (expiry, closing the file that held the partition). Otherwise pass all others, once they
 * are durable: a change that can still be reverted must not affect programs. */
void host_events(struct host *host, const struct engine_event *events, bool certain);

/* -- results; the loop ------------------------------------------------------------ */

/* Room for the paths of a device's nodes. */
#define HOST_NODES_MAX 256

/* The active enforcement mechanisms, for the file `enforcement`. */
struct host_state {
    char processes[16];   /* "cgroup", "process-tree"; "": none */
    char why[256];        /* why not "cgroup", or what is wrong with it; or "" */
    bool metered;         /* some driver reports usage; true until the first answer */
    bool devacl_full;     /* device nodes cannot be opened to another user */
    char devacl_why[256]; /* why nodes are not restricted as configured; or "" */
    struct watchdog_counts watchdog;
    char suspend_why[128]; /* why nothing can be suspended, as a message; "": it can */
    uint32_t device_count;
    struct host_device {
        char backend[16];           /* "nvml", "drm"; "": no usage reports */
        char note[192];             /* why usage reports are missing although possible; or "" */
        bool restricted;            /* only holders can open its nodes */
        char nodes[HOST_NODES_MAX]; /* their paths, with a blank between */
        uint32_t mode;              /* enum sharing_kind that all of these are about */
        bool shared;                /* the mode is in effect for programs that start now */
        int32_t server;             /* mps: pid of its server; 0: none has started yet */
        uint32_t clients;           /* of the server */
        uint32_t strays;            /* processes on the device that are none */
        int32_t stray;              /* the pid of one */
        char pipe[SHARING_PATH_MAX + 8];     /* where the clients find the server; or "" */
        char sharing_note[SHARING_NOTE_MAX]; /* a trouble of the mode, or "" */
    } device[];
};

enum host_result_kind {
    RESULT_JOINED,  /* the answer to a host_join */
    RESULT_MEMBERS, /* of a partition, and its cgroups */
    RESULT_USAGE,   /* of a partition, as reported by the driver */
    RESULT_SAMPLED, /* the sample requested at sampled_ns is complete */
    RESULT_NOTE,    /* a log line */
    RESULT_STATUS,  /* a message for the status of a user */
    RESULT_SUSPEND, /* what has become of a partition that is suspended or resumed */
    RESULT_STATE,   /* the enforcement mechanisms have changed */
};

struct host_result {
    struct mail mail;
    enum host_result_kind kind;
    uint64_t id; /* the partition concerned; RESULT_USAGE: the share_key of its device */
    union {
        struct {
            uint64_t tag;
            int result; /* 0, -errno or a refusal code */
        } joined;
        struct {
            int64_t asked_ns; /* answers all requests up to this time */
            char *text;       /* one pid per line; owned */
            size_t length;
            char *cgroups; /* one path per line; owned; NULL: none */
            bool settles;  /* a user was taken out: these are all that may still count */
        } members;
        struct {
            uint64_t bytes, busy_more_ns;
        } usage;
        int64_t sampled_ns;
        struct {
            struct partition partition;
            char word[24];
            bool is_violation; /* a step of the watchdog */
        } note;
        struct {
            struct partition partition;
            struct suspend_report report;
        } suspend;
        uint32_t status_uid;
        struct host_state *state; /* owned */
    };
    char message[]; /* RESULT_JOINED, RESULT_NOTE, RESULT_STATUS */
};

/* Take all results, oldest first. Each mail is a struct host_result; the caller frees it. */
struct mail *host_take_results(struct host *host);
struct host_result *host_result_free(struct host_result *result);

#endif
