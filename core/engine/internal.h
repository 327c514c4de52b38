/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine internals: how partitions, devices, settings and events are kept. Bookkeeping only;
 * admission.c and operations.c decide what is allowed.
 */
#ifndef CHRONOS_ENGINE_INTERNAL_H
#define CHRONOS_ENGINE_INTERNAL_H

#include "core/base/avl.h"
#include "core/base/message.h"
#include "engine.h"
#include "policy.h"
#include "timeline.h"

struct entry;

/* A share's nodes on its device: by id, and on the timeline. */
struct place {
    struct entry *entry;
    struct avl_node by_device; /* by id */
    struct timeline_point start, end;
};

/* A live partition and its nodes in all indexes. */
struct entry {
    struct partition partition;
    struct guests *guests;      /* owned; NULL: it never had any */
    struct avl_node by_id;      /* of all */
    struct avl_node by_user;    /* uid, id */
    struct avl_node by_account; /* account, uid, id */
    struct avl_node by_hold;    /* hold, id; unused if hold is 0 */
    struct avl_node by_end;     /* end_ns, id */
    struct avl_node by_warning; /* due time, id; only while a warning is pending */
    uint32_t account;           /* the account of its owner */
    /* sums over the subtree below by_account */
    uint32_t held_count, held_guests;
    uint64_t held_bytes;
    struct place places[]; /* one per share */
};

struct device {
    struct engine_device device;
    struct avl partitions;
    struct timeline timeline;
    uint64_t count;       /* partitions */
    uint64_t total_bytes; /* of all its partitions, whenever they run */
};

struct setting_entry {
    struct avl_node node;
    char key[ENGINE_KEY_MAX];
    char value[ENGINE_VALUE_MAX];
};

struct engine {
    engine_time_text_fn *time_text;
    void *context;
    struct device *devices;
    uint32_t device_count;
    size_t device_capacity;
    engine_account_fn *account; /* NULL: each uid is its own */
    void *account_context;
    struct avl by_id, by_user, by_account, by_hold, by_end, by_warning, settings;
    uint64_t count;
    /* earliest end and earliest warning; ENGINE_FOREVER if none */
    int64_t next_end_ns, next_warning_ns;
    /* Partitions whose end is not later are over. Queries do not show those that
     * engine_advance_some has left in the indexes. */
    int64_t over_ns;
    struct policy policy;
    uint64_t next_id, next_seq;
    struct engine_event *first_event, *last_event;
};

/* Sums over the partitions of a user or an account. */
struct held {
    uint64_t count, bytes, guests;
};

/* Store a message in *why and return `code`. */
#define refuse(code, why, ...)                                                                     \
    message_refuse((code), (why)->message, sizeof(why)->message, __VA_ARGS__)

/* The partition or place of a node in an index. */
#define RECORD(node, m) (&avl_entry_const(node, struct entry, m)->partition)
#define PLACE(node)     avl_entry_const(node, struct place, by_device)

/* -- index.c: partitions in their orders ---------------------------------- */

void index_init(struct engine *engine);
void index_init_device(struct device *device);
/* Allocate an entry with room for this many shares, in no index yet; NULL if out of memory. */
struct entry *index_new_entry(uint32_t share_count);
/* Free an entry that is in no index; NULL is allowed. */
void index_free_entry(struct entry *entry);
void index_add(struct engine *engine, struct entry *entry);
void index_remove(struct engine *engine, struct entry *entry);
/* Replace the record of an entry by one with the same id and number of shares; update all
 * indexes. */
void index_change(struct engine *engine, struct entry *entry, const struct partition *partition);
struct entry *index_find(const struct engine *engine, uint64_t id);
/* The account that a user belongs to now. */
uint32_t index_account_of(const struct engine *engine, uint32_t uid);
/* The first entry after (hold, id) tied to the same open file. */
struct entry *index_next_held(const struct engine *engine, uint64_t hold, uint64_t after_id);
/* The first entry after (end_ns, id) in order of ends. */
struct entry *index_next_end(const struct engine *engine, int64_t end_ns, uint64_t after_id);
/* The number of entries whose end is not later. */
uint32_t index_count_ends(const struct engine *engine, int64_t end_ns);
/* A moment, rounded down to what avl_node.summary holds. In the orders by id, user, account and
 * device that is the latest end in the subtree, so that queries pass by partitions that are over.
 */
static inline uint32_t index_rounded(int64_t ns)
{
    int64_t units = ns >> 25; /* of 34 ms: it holds 4 years */
    return units < 0 ? 0 : units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
}
/* The first entry with a pending warning; the one after `entry`. */
struct entry *index_first_warning(const struct engine *engine);
struct entry *index_next_warning(const struct engine *engine, const struct entry *entry);

/* -- admission.c: checks for free memory and policy --------------------------- */

/* Find the device and bytes for `request`, starting now. */
int admission_create(const struct engine *engine, const struct call *call, uint32_t device,
                     const struct request *request, struct share *ret_share);
int admission_resize(const struct engine *engine, const struct call *call,
                     const struct partition *partition, uint64_t bytes);
int admission_end(const struct engine *engine, const struct call *call,
                  const struct partition *partition, int64_t end_ns);

/* -- drain.c: config/drain --------------------------------------------------- */

/* Refuse a new partition while the machine is drained, but not an administrator's own. */
int drain_check_new(const struct engine *engine, const struct call *call, uint32_t owner_uid);
/* Refuse more time or memory for a partition while the machine is drained, but to administrators.
 * `what` is the word for it. */
int drain_check_more(const struct engine *engine, const struct call *call,
                     const struct partition *partition, const char *what);

/* -- operations.c: changes ------------------------------------------------- */

/* Find the live partition `id` and check that the caller may act on it; `also`: some other right of
 * the caller is enough. */
int operations_find(const struct engine *engine, const struct call *call, uint64_t id, bool also,
                    struct entry **ret_entry);

/* -- queries.c -------------------------------------------------------------- */

/* What all uids of the account of `uid` hold. O(log n). */
struct held queries_account(const struct engine *engine, uint32_t uid);

/* -- ending.c: how partitions end ------------------------------------------ */

/* When the warning is due. The partition must have one. */
static inline int64_t ending_warning_ns(const struct partition *partition)
{
    if (partition->end_ns < INT64_MIN + partition->warn.ns)
        return INT64_MIN;
    return partition->end_ns - partition->warn.ns;
}
/* Whether a warning is still pending. */
static inline bool ending_warning_is_due(const struct partition *partition)
{
    return partition->warn.ns > 0 && partition->state == PARTITION_ACTIVE;
}
/* Apply `change` to the record, if the caller may. */
int ending_apply(const struct engine *engine, const struct call *call,
                 const struct ending_change *change, struct partition *partition);
/* Settle the state after end_ns or warn.ns changed: withdraw the warning if it is no longer due.
 * True if a warning is due now. */
bool ending_settle(struct partition *partition, int64_t now_ns);

/* -- settings.c ------------------------------------------------------------ */

void settings_init(struct engine *engine);
void settings_free(struct engine *engine);
struct setting_entry *settings_find(const struct engine *engine, const char *key);
/* Set `key` to `value` and apply it; "" removes the key. Takes `spare`: used if the key is new,
 * freed otherwise. */
void settings_put(struct engine *engine, struct setting_entry *spare, const char *key,
                  const char *value);

/* -- journal.c ------------------------------------------------------------- */

struct engine_event *journal_new(enum event_kind kind, int64_t at_ns, uint32_t by_uid);
/* Number an event and append it to the journal. */
void journal_append(struct engine *engine, struct engine_event *event);

/* -- expiry.c -------------------------------------------------------------- */

/* End `entry` as `event` says; `event` is from journal_new. */
void expiry_end(struct engine *engine, struct engine_event *event, struct entry *entry);
/* Set `entry` to expiring; `event` is an EVENT_WARNED. */
void expiry_warn(struct engine *engine, struct engine_event *event, struct entry *entry);

#endif
