/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine internals: how partitions, devices, settings and events are kept. Bookkeeping only;
 * admission.c and operations.c decide what is allowed.
 */
#ifndef CHRONOS_ENGINE_INTERNAL_H
#define CHRONOS_ENGINE_INTERNAL_H

#include "arrival.h"
#include "core/base/avl.h"
#include "core/base/message.h"
#include "core/base/pool.h"
#include "engine.h"
#include "holders.h"
#include "placement.h"
#include "policy.h"
#include "queue.h"
#include "sharing_mode.h"
#include "timeline.h"

struct entry;

/* What a device has beside its memory. */
enum beside {
    BESIDE_TIME,  /* in the device's bytes: all of its time is as much as all of its memory */
    BESIDE_SLOTS, /* one for each partition */
    BESIDES
};

/* A share's nodes on these timelines. */
struct beside_points {
    struct timeline_promise of[BESIDES];
};

/* A share's nodes on its device: by id, and on the timeline. */
struct place {
    struct entry *entry;
    struct avl_node by_device; /* by id */
    struct timeline_promise promise;
};

/* What few partitions have: those tied to an open file, in a group's quota, or reserved. */
struct extra {
    struct entry *entry;
    struct avl_node by_hold;    /* hold, id; unused if hold is 0 */
    struct avl_node by_arrival; /* arrival_ns, id; only while its user is awaited */
    int64_t arrival_ns;         /* since when that is so, as this engine noticed it */
    struct charge group_charge; /* unused without a group that has it in its quota */
    struct pending pending;     /* of the group */
};

/* A live partition and its nodes in all indexes. */
struct entry {
    struct partition partition;
    struct guests *guests;        /* owned; NULL: it never had any */
    struct waiter *waiter;        /* owned; NULL: it has not waited */
    struct extra *extra;          /* owned; NULL: it has nothing of that */
    struct avl_node by_id;        /* of all */
    struct avl_node by_user;      /* uid, id */
    struct avl_node by_account;   /* account, uid, id */
    struct avl_node by_end;       /* end_ns, id */
    struct avl_node by_warning;   /* due time, id; only while a warning is pending */
    uint32_t account;             /* the account of its owner */
    bool pooled;                  /* its memory is from the engine's pool */
    struct charge charge;         /* of the account */
    struct beside_points *beside; /* owned, one per share; NULL: nothing beside memory counts */
    /* sums over the subtree below by_account */
    uint32_t held_count, held_guests;
    uint64_t held_bytes;
    struct place places[]; /* one per share */
};

struct device {
    struct engine_device device;
    struct avl partitions;
    struct timeline timeline;
    struct timeline beside[BESIDES]; /* only while counts_beside */
    const char *key; /* borrowed; settings sharing/KEY are about it; NULL: none are */
    struct sharing_mode sharing;
    uint64_t count;       /* partitions */
    uint64_t total_bytes; /* of all its partitions, whenever they run */
    uint64_t total_time;  /* of those with a share of their own; as BESIDE_TIME */
    struct avl low;       /* of low leases that are active; those that began last come first */
    struct avl waiting;   /* shares that wait and can move, in the order of queue.h */
    int64_t freed_ns;     /* memory was freed from then on; ENGINE_FOREVER: none */
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
    uint64_t largest_bytes; /* memory of the largest device */
    /* for searches: as many as there are devices */
    struct placement_site *sites;
    struct share *site_shares;
    size_t site_capacity, site_share_capacity;
    engine_account_fn *account; /* NULL: each uid is its own */
    void *account_context;
    struct avl by_id, by_user, by_account, by_hold, by_end, by_warning, settings;
    struct pool entries; /* of those with one share */
    struct queue queue;
    struct accounts accounts;
    uint64_t count;
    struct arrivals arrivals;
    /* earliest end and earliest warning; ENGINE_FOREVER if none */
    int64_t next_end_ns, next_warning_ns;
    /* Partitions whose end is not later are over. Queries do not show those that
     * engine_advance_some has left in the indexes. */
    int64_t over_ns;
    bool counts_beside; /* some device has slots, or some partition a share of its own */
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
/* Allocate an entry with room for a partition, in no index yet; `waiting` is NULL if it does not
 * wait. NULL if out of memory. */
struct entry *index_new_entry(struct engine *engine, const struct partition *partition,
                              const struct waiting *waiting);
/* Free an entry that is in no index; NULL is allowed. */
void index_free_entry(struct entry *entry);
void index_add(struct engine *engine, struct entry *entry);
void index_remove(struct engine *engine, struct entry *entry);
/* Replace the record of an entry by one with the same id, devices, and number of shares; update all
 * indexes. */
void index_change(struct engine *engine, struct entry *entry, const struct partition *partition);
/* The same for one that waits; its devices can change. */
void index_move(struct engine *engine, struct entry *entry, const struct partition *partition,
                const struct waiting *waiting);
/* What a group is charged for it; NULL: none has it in its quota. */
static inline struct charge *index_group_charge(const struct entry *entry)
{
    return entry->partition.quota_group ? &entry->extra->group_charge : NULL;
}
struct entry *index_find(const struct engine *engine, uint64_t id);
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
/* Find the earliest place for a request that may wait, that needs several devices, or both. Sets
 * the shares, times and state of the record, and *ret_waiting if it is pending. */
int admission_place(struct engine *engine, const struct call *call, const struct creation *creation,
                    const struct creation_terms *terms, struct partition *partition,
                    struct waiting *ret_waiting);
/* Find the shares and the devices that a request takes or can move to. */
int admission_devices(const struct engine *engine, const struct call *call,
                      const struct request *request, const uint32_t *devices,
                      struct partition *partition, struct waiting *waiting);
/* Bar the devices on which the policy rules out what a request that waits has become. */
void admission_bar(const struct engine *engine, const struct call *call, struct waiting *waiting);
/* Check the duration and the number of the caller's partitions. */
int admission_check(const struct engine *engine, const struct call *call, int64_t duration_ns);
/* The bytes that a request amounts to on a device, if the device and the policy allow them. */
int admission_bytes(const struct engine *engine, const struct call *call, uint32_t device,
                    const struct request *request, uint64_t *ret_bytes);
/* The rule by which a request chooses among devices with room. */
enum placement_rule admission_rule(const struct engine *engine, const struct request *request);
/* Check the size or the duration of a share against the policy; `whole`: it is that of a request.
 */
int admission_fraction(const struct engine *engine, const struct call *call, uint32_t device,
                       uint64_t bytes);
int admission_duration(const struct engine *engine, const struct call *call, int64_t duration_ns,
                       bool whole);
/* Bytes free during all of [from_ns, until_ns), not counting `own` bytes of the promises there. */
uint64_t admission_free(const struct engine *engine, uint32_t device, int64_t from_ns,
                        int64_t until_ns, uint64_t own);
static inline uint64_t admission_memory(const struct engine *engine, uint32_t device)
{
    return engine->devices[device].device.memory_bytes;
}
#define ADMISSION_NO_SPACE "Not enough available memory: "

/* -- admission_change.c ---------------------------------------------------- */

/* Check the limits of the owner and the group on what a partition is to be from now on. */
int admission_limit(const struct engine *engine, const struct call *call,
                    const struct partition *wanted);
/* The device to take of those with room, for each answer to whether few are all free. */
struct admission_choice {
    bool any;
    uint32_t free; /* devices that are all free */
    uint32_t device[2];
    struct placement_offer best[2];
};
/* Add a device with room. */
void admission_choose(const struct engine *engine, const struct request *request, uint32_t device,
                      uint64_t free_bytes, uint64_t bytes, struct admission_choice *choice);
int admission_resize(struct engine *engine, const struct call *call,
                     const struct partition *partition, const struct partition *wanted);
int admission_end(struct engine *engine, const struct call *call, const struct partition *partition,
                  int64_t end_ns);

/* -- compute.c: shares of a device's time, and slots ------------------------- */

/* From now on, what devices have beside memory counts. 0 or -ENOMEM. */
int compute_begin(struct engine *engine);
/* Add the shares of an entry to these timelines, as they are in `where`; take them out. */
void compute_put_in(struct engine *engine, struct entry *entry, const struct partition *where);
void compute_take_out(struct engine *engine, struct entry *entry, const struct partition *where);
/* Whether a share can be restored: nothing overflows. */
bool compute_is_sound(const struct engine *engine, const struct share *share);
/* Add what a share needs beside memory to a site; `own`: what is promised to it there, or NULL. */
void compute_add_site(const struct engine *engine, const struct share *share,
                      const struct share *own, struct placement_site *site);
/* Whether it has that all the time; `own`: what it has there already then, or NULL. */
bool compute_fits(const struct engine *engine, const struct share *share, const struct share *own,
                  int64_t from_ns, int64_t until_ns);
/* The same, or a refusal with the reason. */
int compute_check(const struct engine *engine, const struct call *call, const struct share *share,
                  const struct share *own, int64_t from_ns, int64_t until_ns);
/* Check a share of the time against config/max_fraction, which bounds both for one partition. */
int compute_check_policy(const struct engine *engine, const struct call *call, uint32_t ppm);
/* Whether a setting is about how a device is shared. */
bool compute_is_setting(const char *key);
/* Check the value of such a setting, and find the one to store. */
int compute_check_setting(const char *value, char canonical[static ENGINE_VALUE_MAX],
                          struct refusal *why);
/* Refuse to change how a device is shared while it has partitions. */
int compute_check_free(const struct engine *engine, const struct call *call, const char *key);
/* Share a device as a checked setting says, after compute_begin. */
void compute_apply_setting(struct engine *engine, const char *key, const char *value);

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

bool operations_is_owner(const struct caller *caller, const struct partition *partition);
/* Set the record of `entry` to `wanted`, with an event, and a warning if one is due now. `waiting`:
 * what it has beside if it waits or has waited; NULL: the same as before. */
int operations_change(struct engine *engine, struct entry *entry, enum event_kind kind,
                      const struct call *call, const struct partition *wanted,
                      const struct waiting *waiting);

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
/* Refuse on_expiry=suspend where it cannot be. */
int ending_check_suspend(const struct engine *engine, const struct call *call,
                         const struct partition *partition);
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
/* Set the record of an entry as that before and after the event. */
static inline void journal_of(struct engine_event *event, const struct entry *entry)
{
    event->before = event->after = entry->partition;
    if (entry->waiter)
        event->waiting_before = event->waiting_after = entry->waiter->record;
}
/* Number an event and append it to the journal. */
void journal_append(struct engine *engine, struct engine_event *event);

/* -- preempt.c ------------------------------------------------------------- */

struct preemption;
/* If a high request that would wait can start now in the room of others, set it to do so, and find
 * out what to take. *ret_preemption is NULL if not. 0 or -ENOMEM. */
int preempt_prepare(struct engine *engine, const struct call *call, const struct waiting *waiting,
                    struct partition *partition, struct preemption **ret_preemption);
/* Let the others wait, with their events, beside the request, which is in no timeline yet. False:
 * one of them would have no place; nothing has changed. */
bool preempt_apply(struct engine *engine, const struct call *call, struct preemption *preemption,
                   struct entry *high);
/* The same for one that waits, and is of this class from now on; it starts with the next
 * engine_advance. preempt_move leaves it where it is if one of the others would have no place. */
int preempt_prepare_move(struct engine *engine, const struct call *call,
                         const struct waiting *waiting, struct entry *high,
                         struct preemption **ret_preemption);
void preempt_move(struct engine *engine, const struct call *call, struct preemption *preemption,
                  struct entry *high);
struct preemption *preempt_free(struct preemption *preemption);

/* -- suspend_lease.c -------------------------------------------------------- */

/* Whether its device is shared in a way from which programs can be moved away. */
bool suspend_can_be(const struct engine *engine, const struct partition *partition);
/* Whether a partition is suspended at the end of its lease. */
bool suspend_is_due(const struct engine *engine, const struct partition *partition);
/* Refuse a change of what is suspended. */
int suspend_check_changes(const struct call *call, const struct partition *partition,
                          const char *what);
/* Suspend `entry`; `event` is an EVENT_SUSPENDING. */
void suspend_lease(struct engine *engine, struct engine_event *event, struct entry *entry);

/* -- expiry.c -------------------------------------------------------------- */

/* End `entry` as `event` says; `event` is from journal_new. */
void expiry_end(struct engine *engine, struct engine_event *event, struct entry *entry);
/* Set `entry` to active; `event` is an EVENT_STARTED. */
void expiry_start(struct engine *engine, struct engine_event *event, struct entry *entry);
/* Set `entry` to expiring; `event` is an EVENT_WARNED. */
void expiry_warn(struct engine *engine, struct engine_event *event, struct entry *entry);

#endif
