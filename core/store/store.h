/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store port: events in, state out. Two kinds: an SQLite file (durable), and the same tables in
 * memory, lost when the store is closed. One contract suite tests both. Only one thread may use a
 * store at a time: it is opened and loaded before the committer starts, which then owns it.
 *
 * Times of partitions are engine time (CLOCK_BOOTTIME). A store also records which boot they belong
 * to, and the time on both clocks of each commit, to convert them to the clock of the next boot.
 */
#ifndef CHRONOS_STORE_STORE_H
#define CHRONOS_STORE_STORE_H

#include "core/base/boot_id.h"
#include "core/base/message.h"
#include "core/engine/engine.h"
#include "core/engine/usage_record.h"

#include <stddef.h>
#include <stdint.h>

#define STORE_LINE_MAX 512

/* A moment on both clocks, to convert times from one boot to another. */
struct store_clock {
    char boot_id[BOOT_ID_MAX];
    int64_t offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
    int64_t now_ns;    /* CLOCK_BOOTTIME */
};
/* The longest time between two boots that the wall clock can prove. It may be wrong by years. */
#define STORE_DOWNTIME_MAX_NS (24 * 3600 * INT64_C(1000000000))
/* Read the clock of this boot. 0 or -errno. */
int store_clock_now(struct store_clock *ret_clock);
/* What to add to times of the clock `from`, last seen at that moment, to continue them at the
 * moment `to`. 0 within the same boot. After a reboot the time between counts as the wall clock
 * says, but never backwards and at most STORE_DOWNTIME_MAX_NS. So whatever the wall clock says, a
 * partition that had begun has begun, and has at most as much time left as when it was last seen.
 * All times move alike, so what fitted on a device still fits. */
int64_t store_clock_shift(const struct store_clock *from, const struct store_clock *to);
/* Apply a shift to a time of a partition, within the range that can be stored. */
int64_t store_clock_move(int64_t ns, int64_t shift_ns);

/* A device as stored. The key identifies it even if its number changes. */
struct store_device {
    char key[160], name[128];
    uint64_t bytes;
};

/* Usage of a partition so far. */
struct store_usage {
    uint64_t peak_bytes; /* peak memory use */
    uint64_t gpu_ns;     /* time that the device worked for it */
};
struct store_partition_usage {
    uint64_t id;
    struct store_usage usage;
};

struct store_device_set {
    const struct store_device *const *devices;
    size_t count;
};

/* A live partition as loaded. Devices of shares are engine indices if store_devices has registered
 * them, else ENGINE_DEVICE_ANY: use the keys. Pointers are valid during the call. */
struct store_partition {
    struct partition partition;
    const struct store_device *devices[SHARE_MAX]; /* of its shares */
    struct store_usage usage;
    /* NULL: it neither waits nor is low (waiting_is_kept). Its sets of devices are these: */
    const struct waiting *waiting;
    struct store_device_set barred, preferred;
};

/* How a partition ended. Wall clock times, because history outlives boots. */
struct store_history {
    /* Ignore hold. end_ns is engine time, never in the future. Devices as in store_partition. */
    struct partition partition;
    const struct store_device *devices[SHARE_MAX]; /* valid until the next load or store_devices */
    int64_t start_wall_ns, end_wall_ns;            /* the actual end, not the planned one */
    enum event_kind how;                           /* one of the ends */
    uint32_t by_uid;
    struct store_usage usage;
};

/* The result of a request that changed something, by the number that the kernel gave the
 * request. If a worker dies before it answers, the next one answers with this result. */
struct store_reply {
    uint64_t unique;
    uint64_t result; /* for `new`: the id */
};

/* Functions that load() calls, kinds in this order; any can be NULL. A non-zero return stops the
 * load with that code. Pointers are valid during the call. Times are converted to the clock passed
 * to load(). */
struct store_sink {
    void *context;
    int (*setting)(void *context, const char *key, const char *value);
    /* What an account or a group has used, and since when the time of usage counts. */
    int (*usage)(void *context, const struct usage_record *record);
    int (*origin)(void *context, int64_t origin_ns);
    int (*partition)(void *context, const struct store_partition *partition);
    /* A guest of a partition, by id and uid. One of a partition that is not there was left by a
     * program that knows no guests: ignore it. */
    int (*guest)(void *context, uint64_t id, uint32_t uid);
    int (*history)(void *context,
                   const struct store_history *entry); /* oldest first; the newest max_history */
    int (*line)(void *context, uint64_t seq, const char *line); /* event log, oldest first */
    int (*reply)(void *context, const struct store_reply *reply);
    size_t max_history;
};

struct store_counters {
    uint64_t next_id, next_seq; /* above the greatest ever made durable */
    uint64_t mount_id;          /* as last committed; 0 none */
};

/* An event with its line in the event log ("" none; no newline). Of an EVENT_NOTE, only the line is
 * stored, and the change_seq of its partition if the event changed it; other fields are not
 * checked. */
struct store_item {
    const struct engine_event *event;
    const char *line;
    struct store_usage usage; /* of an ended partition, for the history */
    uint32_t account;         /* that its history counts for: one uid for all uids of a person */
};

/* The most entries of the history for an account and in all; the oldest go first. */
#define STORE_HISTORY_ACCOUNT_MAX 10000
#define STORE_HISTORY_MAX         100000

struct store_batch {
    const struct store_item *items;
    size_t item_count;
    const struct store_reply *replies; /* these replace all stored replies */
    size_t reply_count;
    /* of live partitions, allowed without items; others are ignored */
    const struct store_partition_usage *usages;
    size_t usage_count;
    /* The moment of the commit. Partitions continue from here after a reboot, so commit an empty
     * batch now and then while there are any. */
    struct store_clock clock;
    uint64_t mount_id;       /* written if it differs */
    int64_t retention_ns;    /* partitions that ended longer ago are dropped, in intervals */
    uint64_t first_line_seq; /* older log lines are dropped */
};

struct store;
struct store_kind {
    const char *name;
    /* Open or create a store. 0 and *ret_store, or -errno and a message: a file of another format
     * (-EPROTONOSUPPORT), damaged (-EBADMSG), locked (-EBUSY), a directory that cannot be written,
     * ... Never changes a file that it refuses. `check`: also run the slow check for damage. */
    int (*open)(const char *directory, bool check, struct store **ret_store,
                struct message *message);
};
extern const struct store_kind store_sqlite, store_memory;

/* Read everything. `clock` is the present one. */
int store_load(struct store *store, const struct store_clock *clock, const struct store_sink *sink,
               struct store_counters *ret_counters, struct message *message);
/* Register the devices that indices in later events refer to. Durable. Can be called again with
 * devices added at the end. */
int store_devices(struct store *store, const struct store_device *devices, uint32_t count,
                  struct message *message);
/* Make a batch durable: all of it or, on a negative return, nothing. -EINVAL for a batch that does
 * not follow from the stored state (an event of an unknown partition, a number already used) or
 * that load would reject. */
int store_commit(struct store *store, const struct store_batch *batch, struct message *message);
/* Do what commits leave for a little later, after their answers. Closing does it, too. */
void store_settle(struct store *store);
/* Copy what is durable to memory, for a backup. 0 and the caller frees *ret_copy, or -errno and a
 * message. */
struct store_copy;
int store_copy(struct store *store, struct store_copy **ret_copy, struct message *message);
/* Write the copy to a file, from its offset on: all that store_restore needs, for this or another
 * machine. Any thread may do it. 0, or -errno and a message. */
int store_copy_write(const struct store_copy *copy, int fd, struct message *message);
/* Free it. NULL is allowed. Return NULL. */
struct store_copy *store_copy_free(struct store_copy *copy);
/* Close the store; NULL is allowed. Return NULL. */
struct store *store_close(struct store *store);

/* What store_restore found. */
struct store_restored {
    int64_t made_wall_ns; /* when the backup was made */
    size_t partitions;    /* that were active then */
    char replaced[4096];  /* where the state is that was there before; "": there was none */
};
/* Make a backup the state of `directory`, which the caller has locked. Ids go on after the last one
 * that is known or can have been given since; after a reboot the time since the backup counts as
 * the wall clock says. -EXDEV: of another machine, unless `any_machine`. 0, or -errno and a
 * message, with nothing changed. */
int store_restore(const char *file, const char *directory, bool any_machine,
                  struct store_restored *ret_restored, struct message *message);

#endif
