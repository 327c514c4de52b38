/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that outlives a worker: memory that the supervisor holds and every worker maps. It
 * contains the choices of main (the state directory, the devices), the kernel's FUSE_INIT, the
 * requests that are not answered, the state of open files, and the last message to each user. It
 * lives as long as the mount. One worker at a time writes it, so there are no locks. A worker can
 * die between any two stores, so what must be consistent is published last by one aligned store.
 */
#ifndef CHRONOS_TREE_SHARED_H
#define CHRONOS_TREE_SHARED_H

#include "core/gpu/survey.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHARED_VERSION      10u
#define SHARED_INIT_MAX     256
#define SHARED_STATUS_COUNT 1024
#define SHARED_RINGS        64u
#define SHARED_SENTENCES    1024u
#define SHARED_MESSAGE_MAX  256
#define SHARED_WRITERS      1024u
#define SHARED_LINE_SETS    32u /* accounts share them by number */
#define SHARED_LINE_WAYS    16u
#define SHARED_LINE_MAX     512u
#define SHARED_REQUESTS     65536u
#define SHARED_REQUEST_MAX  1016u

/* The outcome of one user's last write. */
struct shared_status {
    uint32_t account; /* of the user, + 1; 0: the slot is free */
    uint32_t uid;
    uint64_t when; /* rises with each message */
    char message[SHARED_MESSAGE_MAX];
};

/* The outcomes of the last writes of an account's threads. Slots are valid if `number` is not 0; it
 * rises with each, and its low bits are the slot. */
struct shared_ring {
    uint32_t account; /* + 1; 0: the ring is free */
    uint64_t when;    /* the number of its last sentence */
    uint64_t number[SHARED_SENTENCES];
    int32_t tid[SHARED_SENTENCES];
    uint32_t uid[SHARED_SENTENCES];
    uint64_t fh[SHARED_SENTENCES];   /* the open file that it can be read back from; 0: none */
    int64_t at_ns[SHARED_SENTENCES]; /* CLOCK_BOOTTIME */
    char text[SHARED_SENTENCES][SHARED_MESSAGE_MAX];
};

/* What a file `charge` has charged, and the request that led to it. */
struct shared_charge {
    uint64_t unique; /* the kernel's number of the last write; 0: none */
    uint64_t bytes;  /* the total of this open file */
};

/* How far a reader of a log has come; fs/tree/follow.h. */
struct shared_mark {
    uint64_t read;   /* offset in the file up to which it was read */
    uint64_t at;     /* offset at which the last line that was read begins */
    uint64_t seq;    /* the number of that line */
    uint64_t known;  /* the number of the log's last line then */
    uint32_t ahead;  /* lines that the log had between the two */
    uint16_t length; /* of the line; it may have been read in part only */
    uint16_t gone;   /* the line is not in the log (any more) */
};

struct shared_place {
    struct shared_mark begin, end; /* of the last read */
};

/* A line of a log that was read in part. */
struct shared_line {
    uint64_t fh; /* of the reader; 0: the slot is free */
    uint64_t at; /* offset in the file at which it begins */
    uint32_t length;
    char text[SHARED_LINE_MAX];
    uint32_t account; /* of the reader */
};

/* A user whose open of a file for writing has to go to a node of their own; fs/tree/own.h. */
struct shared_writer {
    uint64_t node; /* the one that everyone finds */
    uint32_t uid;
    int64_t at_ns; /* CLOCK_BOOTTIME; 0: none */
};

/* The state of an open file; an array in memory of its own, which grows. */
struct shared_handle {
    uint64_t node;       /* node id + 1; 0: the slot is free */
    uint32_t generation; /* rises each time the slot is taken */
    uint32_t uid;        /* the opener */
    uint64_t ns;         /* opened by root for writing: its pid namespace; `charge`: the opener's
                          * struct caller `ns` */
    uint64_t answer;   /* `new`: the id to read back + 1; 0: none; `charge`: pid of the process that
                        * opened it or charged last, unless the owner opened it */
    uint64_t sentence; /* `new`: number of the refusal to read back; 0: none */
    uint64_t seen;     /* poll: the change last read */
    uint64_t poll;     /* poll: the kernel's handle + 1; 0: none */
    uint32_t holds;    /* `new`: partitions may be tied to this file */
    uint32_t next_free; /* free slots: index of the next + 1 */
    /* `charge`: the opener's rights, and two records of the charge: one is current, the other is
     * for the next update */
    uint32_t opener_root, opener_gid; /* gid: the partition's gid + 1 if the opener is a member;
                                       * 0: it is not */
    uint32_t opener_member; /* `charge`: opened by a process that belonged; its writers must, too */
    int32_t process; /* `charge`: pid of the process that opened it, whose bookings these are;
                      * 0: none */
    uint32_t share;  /* `charge`: index of the partition's share that it charges + 1; 0: the only
                      * one, or none yet */
    uint32_t marks;  /* `charge`: BOOKINGS_IPC and so on */
    struct shared_charge charges[2];
    atomic_uint charge_at;
    uint32_t read_end; /* length + 1 of the text that was read to its end; 0: none was */
    uint32_t log_age;  /* `events`, `history`: age of the log that is being read */
    uint32_t kept;     /* the worker may keep the rest of the text (texts.h) */
    /* files of lines: one record is current, the other is for the next update */
    atomic_uint place_at;
    struct shared_place places[2];
};

/* A request that was read and is not answered yet; fs/fuse/requests.h. */
struct shared_request {
    atomic_ullong order; /* rises with each request; 0: the slot is free */
    /* As the kernel sent it, without what is beyond the end; a length of 0: nothing was read. */
    char data[SHARED_REQUEST_MAX];
};

struct shared {
    uint32_t version, size, handle_size;
    /* set by main, then constant */
    uint64_t mount_id; /* random, never 0: identifies the mount */
    char state_dir[PATH_MAX];
    char mount_point[PATH_MAX];
    char opencl_layer[PATH_MAX], cuda_shim[PATH_MAX]; /* for `env`; "": none */
    char command[PATH_MAX];                           /* `chronos`, for `cdi` */
    char store[16];                                   /* name of the store_kind */
    char proctrack[16];                               /* "auto", "cgroup" or "process-tree" */
    uint32_t allow_other;
    uint32_t admin_uid, admin_gid; /* the user that runs the daemon: an administrator, like root */
    int64_t started_wall_ns;       /* time of the mount, the mtime of directories */
    struct gpu_list devices;
    struct gpu_survey survey; /* of CUDA's driver; all zero where no device needs it */
    /* the conversation with the kernel */
    uint32_t init_length; /* length of the recorded FUSE_INIT */
    char init[SHARED_INIT_MAX];
    atomic_uint init_answered; /* a worker has answered it */
    atomic_ullong worker_starts;
    uint64_t in_hand; /* number of the request being served, a suspect if the worker dies */
    uint64_t suspect; /* the request over which workers died, and how often in a row */
    uint32_t suspect_deaths;
    uint64_t next_id;   /* above the id of every partition that a process was ever to join */
    uint32_t group_gid; /* last known gid of config/admin_group + 1; 0: none */
    /* users' own nodes: the latest writers, in a ring, and whether `partitions` is each user's own
     */
    uint32_t next_writer;
    uint32_t covered;
    struct shared_writer writers[SHARED_WRITERS];
    /* the last message to each user */
    uint64_t status_clock;
    struct shared_status status[SHARED_STATUS_COUNT];
    /* lines that were read in part, a ring for each set of accounts */
    struct shared_line lines[SHARED_LINE_SETS][SHARED_LINE_WAYS];
    uint32_t next_line[SHARED_LINE_SETS];
    /* and messages to threads; the memory of rings that were not needed yet is not allocated */
    struct shared_ring rings[SHARED_RINGS];
    /* requests; the memory of slots that were not needed yet is not allocated */
    uint64_t request_order;  /* order of the last request */
    uint32_t requests_below; /* all slots at and above this index are free */
    _Alignas(4096) struct shared_request requests[SHARED_REQUESTS];
};

#endif
