/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition is: the plain record that the engine decides about, the
 * store keeps, and the filesystem shows. It knows nothing of any of them.
 */
#ifndef CHRONOS_ENGINE_PARTITION_H
#define CHRONOS_ENGINE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#define PARTITION_NAME_MAX 64

/* What happens to a partition's processes at its end, however it ends. The numbers
 * are kept in state files. */
enum on_expiry {
    ON_EXPIRY_NONE = 0, /* they run on and can allocate nothing more */
    ON_EXPIRY_TERM = 1, /* SIGTERM, and SIGKILL to those that are there `grace_ns` later */
    ON_EXPIRY_KILL = 2, /* SIGKILL */
};

/* The warning before the end of a partition. */
struct warning {
    int64_t ns;      /* so long before the end; 0: none */
    uint32_t signal; /* sent to its processes then, SIGUSR1 ...; 0: none */
};

/* Times are engine time: nanoseconds of whatever steady clock the caller of
 * the engine uses. A partition is alive in [start_ns, end_ns). */
struct partition {
    uint64_t id;             /* 1, 2, ...; never used again */
    uint32_t device;         /* engine index of its device */
    uint32_t uid, gid, mode; /* owner, group, permission bits (07777) */
    uint32_t on_expiry;      /* enum on_expiry */
    int64_t grace_ns;        /* from SIGTERM to SIGKILL, whole seconds; may be 0 */
    struct warning warn;
    uint32_t warned;                   /* 1: the warning of this end came, it is expiring */
    uint64_t memory_bytes;             /* what it holds */
    int64_t start_ns;                  /* first moment of its life */
    int64_t end_ns;                    /* first moment after its life */
    int64_t created_wall_ns;           /* when it was asked for, CLOCK_REALTIME */
    uint64_t hold;                     /* open file it lives no longer than; 0 none */
    uint64_t creator_ns;               /* pid namespace of a foreign root that asked; else 0 */
    uint32_t creator_uid;              /* who asked */
    int32_t creator_pid;               /* process that asked; 0 when outside our namespace */
    uint64_t change_seq;               /* number of the last event about it */
    char name[PARTITION_NAME_MAX + 1]; /* label, "" when it has none */
};

#endif
