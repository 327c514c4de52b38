/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: events in, state out. Kinds: an SQLite file (durable) and the same
 * tables in memory, gone when the store is closed. One contract suite runs against
 * both. A store is used by one thread at a time (the committer), except that opening
 * and loading happen before it starts.
 *
 * Times of partitions are engine time (CLOCK_BOOTTIME). A store also keeps which
 * boot they belong to and how far the wall clock was from that clock, so that
 * after a reboot they are moved onto the new boot's clock.
 */
#ifndef CHRONOS_STORE_STORE_H
#define CHRONOS_STORE_STORE_H

#include "core/base/boot_id.h"
#include "core/base/message.h"
#include "core/engine/engine.h"

#include <stddef.h>
#include <stdint.h>

#define STORE_LINE_MAX 512

/* A clock that times belong to. */
struct store_clock {
    char boot_id[BOOT_ID_MAX];
    int64_t offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};
/* The clock of this boot, now. */
int store_clock_now(struct store_clock *ret_clock);
/* Converts a time from one clock to another; within one boot it stays the same. */
int64_t store_clock_rebase(int64_t ns, const struct store_clock *from,
                           const struct store_clock *to);

/* A device as it is kept. The key identifies it when its number changes. */
struct store_device {
    char key[160], name[128];
    uint64_t bytes;
};

/* Usage of a partition until now. */
struct store_usage {
    uint64_t peak_bytes; /* the most memory at once */
    uint64_t gpu_ns;     /* how long the device worked for it */
};
struct store_partition_usage {
    uint64_t id;
    struct store_usage usage;
};

/* How a partition ended. Wall clock times, because history outlives boots. */
struct store_history {
    struct partition partition; /* device and hold are meaningless here */
    struct store_device device;
    int64_t start_wall_ns, end_wall_ns; /* as it was, not as it was promised */
    enum event_kind how;                /* one of the four ends */
    uint32_t by_uid;
    struct store_usage usage;
};

/* The answer to a request that changed something, by the number the kernel gave
 * it: asked again after a crash (FUSE_NOTIFY_RESEND), it is answered from here. */
struct store_reply {
    uint64_t unique; /* without the resend bit */
    uint64_t result; /* of `new`: the id */
};

/* What load() calls, in this order of kinds; any may be NULL. A non-zero return
 * stops the load with that code. Pointers are borrowed for the call. Times are
 * already moved onto the clock given to load(). */
struct store_sink {
    void *context;
    int (*setting)(void *context, const char *key, const char *value);
    /* partition->device is the engine index if store_devices has named this device,
     * else ENGINE_DEVICE_ANY: go by the key. */
    int (*partition)(void *context, const struct partition *partition,
                     const struct store_device *device, const struct store_usage *usage);
    int (*history)(void *context,
                   const struct store_history *entry); /* oldest first, the newest max_history */
    int (*line)(void *context, uint64_t seq, const char *line); /* event log, oldest first */
    int (*reply)(void *context, const struct store_reply *reply);
    size_t max_history;
};

struct store_counters {
    uint64_t next_id, next_seq; /* one above the greatest ever made durable */
    uint64_t mount_id;          /* as last committed; 0 none */
};

/* One event, with the line it makes in the event log ("" none, no newline). Of an
 * EVENT_NOTE the line is kept, and the change_seq of the partition it is about when
 * the event moved it: nothing else has to be there, or to be true. */
struct store_item {
    const struct engine_event *event;
    const char *line;
    struct store_usage usage; /* of an end: goes into history */
};

struct store_batch {
    const struct store_item *items;
    size_t item_count;
    const struct store_reply *replies; /* these replace all replies kept so far */
    size_t reply_count;
    /* Of partitions that live, also without any item. Those not there are left out. */
    const struct store_partition_usage *usages;
    size_t usage_count;
    struct store_clock clock; /* written when it differs by more than a millisecond */
    uint64_t mount_id;        /* written when it differs */
    int64_t retention_ns;     /* ended longer ago than this: dropped (now and then) */
    uint64_t first_line_seq;  /* log lines numbered below this are dropped */
};

struct store;
struct store_kind {
    const char *name;
    /* Opens or creates. 0 and *ret_store; or -errno and a message: a file of a
     * newer version (-EPROTONOSUPPORT), damaged (-EBADMSG), locked (-EBUSY), a
     * directory that cannot be written ... Never changes a file it refuses.
     * `check` asks for the slow look for damage. */
    int (*open)(const char *directory, bool check, struct store **ret_store,
                struct message *message);
};
extern const struct store_kind store_sqlite, store_memory;

/* Reads everything. `clock` is the present one. */
int store_load(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
               struct store_counters *ret_counters, struct message *message);
/* Says what the device indices of coming events mean. Durable. May be called
 * again when a device was added at the end. */
int store_devices(struct store *store, const struct store_device *devices, uint32_t count,
                  struct message *message);
/* Makes a batch durable: all of it or, on a negative return, nothing. -EINVAL for
 * what does not follow from what is kept (an event of a partition that is not
 * there, a number used already) or what no load would believe. */
int store_commit(struct store *store, const struct store_batch *batch, struct message *message);
/* Closes; NULL is fine; returns NULL. */
struct store *store_close(struct store *store);

#endif
