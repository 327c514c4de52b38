/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a worker: memory that the supervisor holds and every worker maps.
 * It carries what main decided (where the state is, which devices exist), the
 * kernel's FUSE_INIT, what open files need, and the last message for each user.
 * It lives exactly as long as the mount. One worker at a time writes it, so there
 * are no locks; a worker can die between any two stores, so whatever must be
 * consistent is published last by one aligned store.
 */
#ifndef CHRONOS_TREE_SHARED_H
#define CHRONOS_TREE_SHARED_H

#include "core/gpu/gpu.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHARED_VERSION      3u
#define SHARED_INIT_MAX     256
#define SHARED_STATUS_COUNT 1024
#define SHARED_MESSAGE_MAX  256

/* The last outcome told to one user. */
struct shared_status {
    uint32_t used;
    uint32_t uid;
    uint64_t when; /* rises with each message: the least is replaced first */
    char message[SHARED_MESSAGE_MAX];
};

/* What a descriptor of `charge` has booked, and by which request. */
struct shared_booking {
    uint64_t unique; /* the kernel's number of the write that led here; 0 none yet */
    uint64_t bytes;  /* booked, all in all */
};

/* What one open file needs. In its own memory, which grows. */
struct shared_handle {
    uint64_t node;       /* node id + 1; 0: the slot is free */
    uint32_t generation; /* rises each time the slot is given out */
    uint32_t uid;        /* who opened it */
    uint64_t ns;         /* root's: the pid namespace it was opened in to write; `charge`: the
                            opener's struct caller `ns` */
    uint64_t answer;     /* `new`: the id to read back + 1; 0 none */
    uint64_t seen;       /* poll: the change last read */
    uint64_t poll;       /* poll: the kernel's handle + 1; 0 none */
    uint32_t holds;      /* `new`: partitions may be tied to this file */
    uint32_t next_free;  /* free slots: index of the next + 1 */
    /* `charge`: what its opener was, and what is booked: one of the two is true, the
     * other is being made */
    uint32_t opener_admin, opener_gid; /* gid + 1 of the partition, for a member of it; 0 not */
    struct shared_booking booking[2];
    atomic_uint booking_at;
};

struct shared {
    uint32_t version, size, handle_size;
    /* set by main, then constant */
    uint64_t mount_id; /* random, not 0: which mount this is */
    char state_dir[PATH_MAX];
    char mount_point[PATH_MAX];
    char layer[PATH_MAX]; /* the OpenCL layer that `env` names; "" there is none */
    char store[16];       /* name of the store_kind */
    char proctrack[16];   /* "auto", "cgroup" or "process-tree" */
    uint32_t allow_other;
    uint32_t admin_uid, admin_gid; /* who runs the daemon: an administrator beside root */
    int64_t started_wall_ns;       /* when it was mounted: what directories show as mtime */
    struct gpu_list devices;
    /* the conversation with the kernel */
    uint32_t init_length; /* bytes of the recorded FUSE_INIT request */
    char init[SHARED_INIT_MAX];
    atomic_uint init_answered; /* a worker has answered it */
    atomic_ullong worker_starts;
    uint64_t in_hand; /* the request being served: what a dead worker died of, maybe */
    uint64_t suspect; /* the request that workers died over, and how often in a row */
    uint32_t suspect_deaths;
    uint64_t next_id;   /* above every partition that a process ever was to join */
    uint32_t group_gid; /* last known gid of config/admin_group + 1; 0 none */
    /* what users were told last */
    uint64_t status_clock;
    struct shared_status status[SHARED_STATUS_COUNT];
};

#endif
