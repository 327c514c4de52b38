/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition: the plain record that the engine decides on, the store keeps and the filesystem
 * shows. It must not know any of them.
 */
#ifndef CHRONOS_ENGINE_PARTITION_H
#define CHRONOS_ENGINE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#define PARTITION_NAME_MAX 64

/* What happens to a partition's processes when it ends, for any reason. Numbers are stored in state
 * files. */
enum on_expiry {
    ON_EXPIRY_NONE = 0,    /* they keep running, but cannot allocate more */
    ON_EXPIRY_TERM = 1,    /* SIGTERM; SIGKILL after grace_ns */
    ON_EXPIRY_KILL = 2,    /* SIGKILL */
    ON_EXPIRY_SUSPEND = 3, /* they leave the device and stop, until the partition is resumed; where
                            * that is not possible, as ON_EXPIRY_TERM */
};

/* Stage of a partition's life. Numbers are stored in state files. */
enum partition_state {
    PARTITION_PENDING = 0, /* waiting to start */
    PARTITION_ACTIVE = 1,
    PARTITION_EXPIRING = 2,  /* warned of its end */
    PARTITION_SUSPENDED = 3, /* its lease is over, and its processes wait for another one */
};

/* How far a partition is on the way from its device to the machine's memory, and back. Numbers are
 * stored in state files. */
enum suspend_stage {
    SUSPEND_NONE = 0,
    SUSPEND_LEAVING = 1,   /* its processes are leaving the device, which is promised to others */
    SUSPEND_AWAY = 2,      /* they have left it, and are stopped; a pending one is to be resumed */
    SUSPEND_RETURNING = 3, /* its new lease has begun, and they are coming back */
};

/* Whether the user of a reservation is awaited, by config/no_show. Numbers are stored in state
 * files. */
enum partition_arrival {
    ARRIVAL_NONE = 0,    /* no: it is used, was not reserved, or waits for its start */
    ARRIVAL_AWAITED = 1, /* it has started, and was not used yet */
    ARRIVAL_MISSED = 2,  /* likewise, and the warning was given; its state is expiring */
};

#define SHARE_MAX 8

/* A partition's share of one device. */
struct share {
    uint32_t device;      /* engine index */
    uint32_t compute_ppm; /* computing time, in millionths; 0: the same share as of the memory */
    uint64_t memory_bytes;
};

/* The warning before the end of a partition. */
struct warning {
    int64_t ns;      /* how long before the end; 0: no warning */
    uint32_t signal; /* signal to send then, such as SIGUSR1; 0: none */
};

/* Times are engine time: nanoseconds of the steady clock that the engine's caller uses. A partition
 * is alive in [start_ns, end_ns). */
struct partition {
    uint64_t id;             /* 1, 2, ...; never reused */
    uint32_t uid, gid, mode; /* owner, group, permission bits (07777) */
    uint32_t on_expiry;      /* enum on_expiry */
    int64_t grace_ns;        /* from SIGTERM to SIGKILL, whole seconds; 0 allowed */
    struct warning warn;
    uint32_t state;                    /* enum partition_state */
    uint32_t arrival;                  /* enum partition_arrival */
    uint32_t share_count;              /* requests create one; notes can have none */
    uint32_t quota_group;              /* gid whose quota it counts for, too; 0: none */
    struct share shares[SHARE_MAX];    /* on distinct devices; listed under the first */
    int64_t start_ns;                  /* first moment of its life */
    int64_t end_ns;                    /* first moment after its life */
    int64_t created_wall_ns;           /* CLOCK_REALTIME when it was requested */
    uint64_t series;                   /* id of the first of its series; 0: it does not repeat */
    uint64_t hold;                     /* open file whose close ends it; 0 none */
    uint64_t creator_ns;               /* pid namespace of a foreign root that created it; else 0 */
    uint32_t creator_uid;              /* requesting user */
    int32_t creator_pid;               /* requesting process; 0 if outside our pid namespace */
    uint64_t change_seq;               /* number of the last event about it */
    uint64_t suspended_bytes;          /* what its processes had on the device; 0: not known yet */
    uint32_t suspended_count;          /* processes that had something there */
    uint32_t suspend_stage;            /* enum suspend_stage */
    char name[PARTITION_NAME_MAX + 1]; /* label, or "" */
};

/* The number under which figures of one share are kept: that of a partition's only share is its id,
 * of which 56 bits are used. */
#define SHARE_KEY_BITS 56
static inline uint64_t share_key(uint64_t id, uint32_t share_count, uint32_t index)
{
    return share_count > 1 ? id | (uint64_t)(index + 1) << SHARE_KEY_BITS : id;
}
/* The partition of such a number, and the index of its share. */
static inline uint64_t share_key_id(uint64_t key)
{
    return key & ((UINT64_C(1) << SHARE_KEY_BITS) - 1);
}
static inline uint32_t share_key_index(uint64_t key)
{
    return key >> SHARE_KEY_BITS ? (uint32_t)(key >> SHARE_KEY_BITS) - 1 : 0;
}
/* The sum of a partition's shares, in bytes. */
static inline uint64_t partition_bytes(const struct partition *partition)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < partition->share_count; i++)
        bytes += partition->shares[i].memory_bytes;
    return bytes;
}

/* Whether memory of its devices is promised to it. */
static inline bool partition_holds(const struct partition *partition)
{
    return partition->state != PARTITION_SUSPENDED || partition->suspend_stage == SUSPEND_RETURNING;
}

/* The sum of what it has now: nothing while it waits or is suspended. */
static inline uint64_t partition_held_bytes(const struct partition *partition)
{
    return partition->state == PARTITION_PENDING || !partition_holds(partition)
               ? 0
               : partition_bytes(partition);
}

/* The word for an enum partition_state, such as "active", or "unknown". */
const char *partition_state_text(uint32_t state);

#endif
