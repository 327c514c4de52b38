/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the tests of the stores: a sink that records everything from a load, and short ways to
 * make events and batches.
 */
#ifndef CHRONOS_TESTS_STORE_HELP_H
#define CHRONOS_TESTS_STORE_HELP_H

#include "core/store/store.h"

#include <limits.h>

#define S_NS    INT64_C(1000000000)
#define HOUR_NS (3600 * S_NS)
#define DAY_NS  (24 * HOUR_NS)

struct kept_partition {
    struct partition p;
    struct store_device device; /* the first of its devices */
    char keys[SHARE_MAX][160];  /* of all of them */
    struct waiting waiting;     /* all zero: it does not wait */
    char barred[8][160];        /* keys of devices that are ruled out for it */
    char preferred[8][160];     /* likewise: those that it prefers */
    size_t barred_count, preferred_count;
    struct store_usage usage;
};
struct kept_history {
    struct store_history entry; /* its pointers are not valid */
    char keys[SHARE_MAX][160];
    struct store_device device;
};
struct kept_setting {
    char key[ENGINE_KEY_MAX], value[ENGINE_VALUE_MAX];
};
struct kept_guest {
    uint64_t id;
    uint32_t uid;
};
struct kept_line {
    uint64_t seq;
    char text[STORE_LINE_MAX];
};

/* The content of one load. */
struct kept {
    struct kept_setting *settings;
    struct kept_partition *partitions;
    struct kept_guest *guests;
    struct kept_history *history;
    struct kept_line *lines;
    struct store_reply *replies;
    size_t setting_count, partition_count, guest_count, history_count, line_count, reply_count;
    struct store_counters counters;
    size_t calls, stop_after; /* stop_after: the call that returns 42; 0: never */
};
void kept_clear(struct kept *kept);
/* Load with the newest `max_history` of history. Returns the result of the store. */
int kept_load(struct kept *kept, struct store *store, const struct store_clock *clock,
              size_t max_history, struct message *why);
/* The loaded partition, or NULL. */
const struct kept_partition *kept_find(const struct kept *kept, uint64_t id);

/* A batch being put together, events included. */
#define TRY_MAX 64
struct attempt {
    struct engine_event events[TRY_MAX];
    char lines[TRY_MAX][STORE_LINE_MAX];
    struct store_item items[TRY_MAX];
    struct store_reply replies[TRY_MAX];
    struct store_partition_usage usages[TRY_MAX];
    struct store_batch batch;
};
/* Empty it: times on `clock`, history kept forever. */
void attempt_begin(struct attempt *attempt, const struct store_clock *clock);
/* Add an event about a partition (`after`), with a line unless it is NULL. */
struct engine_event *attempt_add(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                 const struct partition *after, const char *line);
/* The same of one that waits. */
struct engine_event *attempt_wait(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                  const struct partition *after, const struct waiting *waiting);
/* Add a note about a partition; `moves`: it is alive, so its change_seq changes. */
struct engine_event *attempt_note(struct attempt *attempt, uint64_t seq,
                                  const struct partition *about, bool moves, const char *line);
/* A guest of a partition comes, or goes. */
struct engine_event *attempt_share(struct attempt *attempt, uint64_t seq, enum event_kind kind,
                                   const struct partition *p, uint32_t uid);
void attempt_set(struct attempt *attempt, uint64_t seq, const char *key, const char *value);
/* The usage of a living partition; that of an ended one is items[i].usage. */
void attempt_usage(struct attempt *attempt, uint64_t id, uint64_t peak_bytes, uint64_t gpu_ns);
void attempt_reply(struct attempt *attempt, uint64_t unique, uint64_t result);

/* A plausible partition on device 0. */
struct partition partition_make(uint64_t id, int64_t start_ns, int64_t end_ns);
/* One that waits for the devices 0 to `shares` - 1, and what it has as such. */
struct partition partition_waits(uint64_t id, int64_t start_ns, int64_t end_ns, uint32_t shares);
struct waiting waiting_make(int64_t promised_ns);
/* `count` devices named dev0, dev1, ... of 80 GiB each. */
void devices_make(struct store_device *devices, uint32_t count);
/* Remove a directory with the plain files in it. */
void directory_remove(const char *path);

#endif
