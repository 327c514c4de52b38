/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition engine decides who gets how much of which device, and when. Pure: no I/O, threads,
 * logging, environment or clock. The caller passes in the time; changes come out as events.
 *
 * Return codes, everywhere: 0 on success; a negative -errno from the environment (-ENOMEM), to be
 * forwarded; a positive enum refusal_code that the caller handles, with a message in *why. A
 * non-zero return means that nothing changed. The convention is that of dbus-broker
 * (bus1/dbus-broker, src/util/error.c).
 */
#ifndef CHRONOS_ENGINE_ENGINE_H
#define CHRONOS_ENGINE_ENGINE_H

#include "ending.h"
#include "event.h"
#include "guests.h"
#include "partition.h"
#include "request.h"
#include "sharing_mode.h"
#include "usage_record.h"
#include "waiting.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_FOREVER     INT64_MAX
#define ENGINE_TIME_MAX    (INT64_C(1) << 62) /* no partition ends later: the store keeps it */
#define ENGINE_MESSAGE_MAX 256
#define ENGINE_WORD_MAX    32 /* word of a note, including NUL */
#define ENGINE_DEVICE_ANY  UINT32_MAX
#define ENGINE_SERIES_NEW  UINT64_MAX /* it is the first */
#define ENGINE_UID_NONE    UINT32_MAX /* in a note: about no user */
/* Value of caller.ns if it could not be determined. Treated as different from every namespace,
 * itself included. */
#define ENGINE_NS_UNKNOWN UINT64_MAX

enum refusal_code {
    REFUSED_INVALID = 1, /* malformed, or out of range: EINVAL */
    REFUSED_NO_SPACE,    /* not enough free memory: ENOSPC */
    REFUSED_QUOTA,       /* exceeds the caller's quota: EDQUOT */
    REFUSED_PERMISSION,  /* caller is not allowed to: EPERM */
    REFUSED_OWNER,       /* belongs to another user: EPERM */
    REFUSED_BUSY,        /* not possible in the device's present state: EBUSY */
    REFUSED_GONE,        /* partition has ended or never existed: ENODEV */
};

/* Reason for a refusal: one line that names the request, the limit and what would work. */
struct refusal {
    char message[ENGINE_MESSAGE_MAX];
};

/* Caller of an operation. The user of the engine fills in all but uid, gid and pid, which the
 * kernel reports. Two ranks: `admin` decides about the device, `root` also about what is others'.
 */
struct caller {
    uint32_t uid, gid;
    int32_t pid;
    bool admin;   /* sets the policy and is not bound by it, requests for others, ends partitions */
    bool root;    /* may do what the kernel lets only root do; always an administrator, too */
    bool by_mode; /* the mode bits of a settable file let the caller write it now */
    /* For each device whether to skip it for ENGINE_DEVICE_ANY; NULL: none. A request that names
     * the device is not affected. */
    const bool *barred;
    uint64_t ns; /* pid namespace of a caller with uid 0 that is not the host's root; else 0 */
};

/* Context of every change: time, caller, and where to store the reason for a refusal. */
struct call {
    int64_t now_ns;  /* engine time */
    int64_t wall_ns; /* CLOCK_REALTIME at now_ns; only recorded */
    const struct caller *caller;
    struct refusal *why;
};
/* A call to pass on. Lives as long as the enclosing block. */
#define ENGINE_CALL(now_ns, wall_ns, caller, why) (&(struct call){now_ns, wall_ns, caller, why})

/* Arguments of engine_create besides the call. */
struct creation {
    const struct request *request;
    uint32_t device; /* or ENGINE_DEVICE_ANY: of the present devices where the request fits, one
                      * that it prefers, else any; which of several, config/placement says */
    uint32_t owner_uid, owner_gid; /* the caller, or the user that an administrator named */
    uint64_t hold;                 /* open file to tie it to if the request says `hold`; 0 none */
};

/* What a request asks for beside, for engine_enqueue. */
struct creation_terms {
    bool waits;              /* if it does not fit now */
    bool fixed;              /* start at exactly start_ns, or not at all */
    int64_t start_ns;        /* with `fixed` */
    int64_t give_up_ns;      /* end it if it has not started until then; ENGINE_FOREVER: never */
    uint32_t priority;       /* enum priority */
    uint32_t gpus;           /* on this many devices at once, the same amount on each; 0 is 1 */
    const uint32_t *devices; /* on these; NULL: on the device of the creation, or on any */
    uint64_t series;         /* id of the first of its series, or ENGINE_SERIES_NEW; 0 none */
};

/* What would fit in place of a request, as the devices say; the policy has not been asked. */
struct suggestions {
    uint32_t largest_ppm; /* of each device, for the time asked for; 0: nothing */
    int64_t longest_ns;   /* for the amount asked for, at most the time; 0: not for a second */
};

/* What the engine knows of a device. */
struct engine_device {
    uint64_t memory_bytes;
    bool present; /* false: known only from old partitions; grants nothing new */
};

struct engine;

/* Format a moment of engine time for people ("14:32:10", with the date if it is not today) into
 * `text`; never ENGINE_FOREVER. Injected, because the engine has no clock. */
typedef void engine_time_text_fn(void *context, int64_t at_ns, char *text, size_t size);

/* Create an empty engine. The caller frees it with engine_free. */
int engine_new(engine_time_text_fn *time_text, void *context, struct engine **ret_engine);
/* Map a uid to its account: the uid whose quota it counts against. Injected, because the engine
 * does not know which uids are one person's. */
typedef uint32_t engine_account_fn(void *context, uint32_t uid);
/* Count partitions by account from now on; NULL (the default): each uid is its own. Call it again
 * when the answers of `account` have changed. O(n). */
void engine_set_accounts(struct engine *engine, engine_account_fn *account, void *context);
/* Free the engine, even if only partly loaded, and all events not yet taken. Returns NULL. */
struct engine *engine_free(struct engine *engine);

/* -- devices ------------------------------------------------------------ */

/* Add a device. *ret_index counts up from 0. */
int engine_add_device(struct engine *engine, const struct engine_device *device,
                      uint32_t *ret_index);
/* Settings sharing/KEY are about this device from now on. The key is borrowed. 0 or -ENOMEM. */
int engine_name_device(struct engine *engine, uint32_t index, const char *key);
/* The device with this index, or NULL. */
const struct engine_device *engine_device(const struct engine *engine, uint32_t index);
/* Bytes that can be requested at `now_ns`; 0 if more is promised than a device that shrank has. */
uint64_t engine_available(const struct engine *engine, uint32_t device, int64_t now_ns);
/* Bytes promised to partitions at `now_ns`. */
uint64_t engine_promised(const struct engine *engine, uint32_t device, int64_t now_ns);
/* Number of live partitions on a device. */
uint64_t engine_device_partitions(const struct engine *engine, uint32_t device);
/* Find the first step of the promised memory strictly after `after_ns`: when it happens and how
 * much is promised from then on. False if there is no further step. O(log n). */
bool engine_next_step(const struct engine *engine, uint32_t device, int64_t after_ns,
                      int64_t *ret_at_ns, uint64_t *ret_promised_bytes);
/* The first moment >= `now_ns` from which `bytes` fit for `duration_ns`; ENGINE_FOREVER if they
 * exceed the device. */
int64_t engine_earliest(const struct engine *engine, uint32_t device, int64_t now_ns,
                        uint64_t bytes, int64_t duration_ns);

/* -- restoring (before the first change; makes no events) ---------------- */

/* Restore a partition that was durable. No admission: grants are kept. A partition past its end
 * expires at the next engine_advance. -EINVAL for an invalid record (unknown device, id 0 or in
 * use, end <= start). */
int engine_restore(struct engine *engine, const struct partition *partition);
/* Restore a partition that waits, in its place, or one for which waiting_is_kept. */
int engine_restore_waiting(struct engine *engine, const struct partition *partition,
                           const struct waiting *waiting);
/* Restore a guest of a restored partition. -EINVAL: there is no such partition, or no room. */
int engine_restore_guest(struct engine *engine, uint64_t id, uint32_t uid);
/* Restore a setting. */
int engine_restore_setting(struct engine *engine, const char *key, const char *value);
/* Set lower bounds for the next id and event number. */
void engine_restore_counters(struct engine *engine, uint64_t next_id, uint64_t next_seq);

/* -- changing ------------------------------------------------------------ */

/* A change that has no effect succeeds without an event. A partition past its end is REFUSED_GONE
 * here, even before engine_advance has ended it. */

/* Grant a request, starting now. The new id goes to *ret_id. */
int engine_create(struct engine *engine, const struct call *call, const struct creation *creation,
                  uint64_t *ret_id);
/* Accept a request that can wait, asks for a start, or takes several devices: at the earliest start
 * that hurts no promise, on the devices where it fits best. If that lies in the future, its state
 * is PARTITION_PENDING until then. */
int engine_enqueue(struct engine *engine, const struct call *call, const struct creation *creation,
                   const struct creation_terms *terms, uint64_t *ret_id);
/* Return whether a request would be accepted now, with the record that it would get (id 0), or why
 * not; `terms` NULL: as engine_create. Begins with finishing the plan, as those do. A high one that
 * would preempt others has the start here that it would have without. */
int engine_check_create(struct engine *engine, const struct call *call,
                        const struct creation *creation, const struct creation_terms *terms,
                        struct partition *ret_partition);
/* Find what would be accepted now in place of a request that does not fit. */
int engine_suggest(const struct engine *engine, const struct call *call,
                   const struct creation *creation, const struct creation_terms *terms,
                   struct suggestions *ret_suggestions);
/* The last moment >= from_ns and < before_ns from which `bytes` fit on a device for `duration_ns`;
 * INT64_MIN if there is none among the first gaps. */
int64_t engine_latest(const struct engine *engine, uint32_t device, int64_t from_ns,
                      int64_t before_ns, uint64_t bytes, int64_t duration_ns);
/* Return whether engine_release would end the partition, or why not. */
int engine_check_release(const struct engine *engine, const struct call *call, uint64_t id);
/* End a partition now. For its owner or an administrator. */
int engine_release(struct engine *engine, const struct call *call, uint64_t id);
/* End the partitions tied to the open file `hold`, also those that wait. */
int engine_close_hold(struct engine *engine, int64_t now_ns, uint64_t hold);
/* Set the size of each share of a partition: an amount of each device, or bytes. Growing needs free
 * memory until the partition's end. What waits keeps its place; if it needs less, it can start
 * earlier. */
int engine_resize_to(struct engine *engine, const struct call *call, uint64_t id,
                     const struct amount *amount);
int engine_resize(struct engine *engine, const struct call *call, uint64_t id, uint64_t bytes);
/* Suspend a partition now, as at the end of its lease: its on_expiry must be `suspend`. Also for
 * one that is being resumed. */
int engine_suspend(struct engine *engine, const struct call *call, uint64_t id);
/* Give a suspended partition a new lease on its device, as a new request; `waits`: later, if there
 * is no room now. Then it is pending until its start. */
int engine_resume(struct engine *engine, const struct call *call, uint64_t id, int64_t duration_ns,
                  bool waits);
/* Move a partition's end to `end_ns`, which must be in the future. Extending needs free memory and
 * is limited by the policy; shortening always works. */
int engine_set_end(struct engine *engine, const struct call *call, uint64_t id, int64_t end_ns);
/* Change the devices of a partition that waits: it takes `count` of `devices`, as many as before,
 * or, with NULL, any. It keeps its start if it has room there, and is refused otherwise. */
int engine_set_devices(struct engine *engine, const struct call *call, uint64_t id,
                       const uint32_t *devices, uint32_t count);
/* Change the class of a partition that waits: lower for its owner, higher for administrators. One
 * that is high now preempts as a new one does, and starts with the next engine_advance. */
int engine_set_priority(struct engine *engine, const struct call *call, uint64_t id,
                        uint32_t priority);
/* Change how a partition ends: those parts that `change` sets. Owners are bound by the policy
 * (allowed_on_expiry, max_grace), but may keep present values. */
int engine_set_ending(struct engine *engine, const struct call *call, uint64_t id,
                      const struct ending_change *change);
/* Set a partition's label; "" removes it. */
int engine_rename(struct engine *engine, const struct call *call, uint64_t id, const char *name);
/* Change owner, group and mode. `uid`: root only; the guests of the previous owner go. `gid` and
 * `mode`: owner or root; the kernel has checked that the owner is a member of the group. */
int engine_hand_over(struct engine *engine, const struct call *call, uint64_t id, uint32_t uid,
                     uint32_t gid, uint32_t mode);
/* Set the guests of a partition, for its owner or root: an event for each who comes or goes. */
int engine_share(struct engine *engine, const struct call *call, uint64_t id,
                 const struct guests *wanted);
/* Set a durable setting; "" removes it, which restores the default. Keys that begin with "config/"
 * are checked against the policy table (policy.h) and take effect; the engine does not interpret
 * others. The caller has checked permissions. */
int engine_set(struct engine *engine, const struct call *call, const char *key, const char *value);
/* The value of a setting, or NULL if it is not set. */
const char *engine_setting(const struct engine *engine, const char *key);

/* How the partitions of a device share its time. Borrowed. Changed by the setting sharing/KEY,
 * while the device has no partitions. */
const struct sharing_mode *engine_sharing(const struct engine *engine, uint32_t device);
/* The share of the device's time that goes with a share, in millionths. */
uint32_t engine_share_ppm(const struct engine *engine, const struct share *share);
/* Set the share of the time of each device of a partition, in millionths; 0: as of the memory.
 * Growing needs as much to be free until the partition's end. */
int engine_set_compute(struct engine *engine, const struct call *call, uint64_t id, uint32_t ppm);

/* Add a note to the event log about something that the engine does not do itself: `word` ("killed",
 * "unmanaged": lower-case letters, digits and '-') with `details` ("pid=17 bytes=4096", or "").
 * `about` is the partition concerned, as the caller knows it, possibly ended; with id 0 only its
 * uid (ENGINE_UID_NONE: none) and its share (share_count 0: no device) count. -EINVAL if the word
 * or the details are malformed or too long. */
int engine_note(struct engine *engine, int64_t now_ns, const struct partition *about,
                uint32_t by_uid, const char *word, const char *details);

/* -- suspended partitions: what has become of their processes ------------------------------ */

/* Each does nothing if the partition has gone on to another stage since. 0 or -ENOMEM. */

/* What its processes have on the device that they are to leave. */
int engine_suspend_measured(struct engine *engine, int64_t now_ns, uint64_t id, uint64_t bytes,
                            uint32_t count);
/* They have left it, and are stopped. */
int engine_suspended(struct engine *engine, int64_t now_ns, uint64_t id, int64_t took_ns);
/* They are back, and run. */
int engine_resumed(struct engine *engine, int64_t now_ns, uint64_t id, int64_t took_ns);
/* They could not come back, and are stopped as before: it is suspended for as long as at first. */
int engine_resume_failed(struct engine *engine, int64_t now_ns, uint64_t id, const char *why);
/* It cannot be suspended, or resumed: end it, and its processes like this (ON_EXPIRY_TERM or
 * ON_EXPIRY_KILL). */
int engine_suspend_end(struct engine *engine, int64_t now_ns, uint64_t id, uint32_t on_expiry);

/* -- time ---------------------------------------------------------------- */

/* A partition with warn.ns is warned once before its end: warn.ns ahead, or at once if less is
 * left. If its end then moves away far enough, or warn.ns shrinks, the warning is withdrawn and
 * given again when it is due. */

/* Do what is due at `now_ns`, in order of time: ends, warnings, starts. Then move what waits
 * forward into room that was freed, and start what can start now. Cheap if nothing is due. -ENOMEM:
 * what is left is done by a later call. */
int engine_advance(struct engine *engine, int64_t now_ns);
/* The same in portions: at most `most` events, or a step of the plan for each sixteen of them, as
 * it takes longer; at least one. No query shows a partition whose time is up, whether it has been
 * ended or not; only its event is still missing. Queries pass by those that were over 34 ms ago or
 * more in O(log n); a sum for a user or an account then takes as long as it has partitions. */
int engine_advance_some(struct engine *engine, int64_t now_ns, size_t most);
/* A program uses this partition: if its user was awaited (config/no_show), there is an EVENT_USED.
 * 0 or -ENOMEM. */
int engine_arrive(struct engine *engine, int64_t now_ns, uint64_t id);
/* When a reservation ends if it is not used before; ENGINE_FOREVER: it does not. */
int64_t engine_no_show_ns(const struct engine *engine, uint64_t id);
/* Return whether a partition is live, or its time is up and its event is missing. */
bool engine_is_known(const struct engine *engine, uint64_t id);
/* When to call engine_advance next; ENGINE_FOREVER if never; INT64_MIN while the plan is not
 * finished. O(1). */
int64_t engine_next_wakeup(const struct engine *engine);

/* Plan those requests elsewhere, in fair order, whose devices are gone or have become too small
 * since they were promised: after restoring, before the first engine_advance. If one starts later
 * than promised, there is an EVENT_DELAYED. A promise that has no other place stays on record.
 * -ENOMEM: some are not done. */
int engine_repair_plan(struct engine *engine, int64_t now_ns);
/* The wall clock may have been set: move fixed starts that are more than a second from their time
 * of day with it if there is room (EVENT_MOVED, also to later), but not into the past. Others keep
 * their engine time, with an EVENT_DELAYED. -ENOMEM: some are not done. */
int engine_keep_appointments(struct engine *engine, int64_t now_ns, int64_t wall_ns);

/* -- queries -------------------------------------------------------------- */

/* A live partition, or NULL. Borrowed until the next change. */
const struct partition *engine_find(const struct engine *engine, uint64_t id);
/* The guests of a live partition; NULL: it has none. Borrowed until the next change. */
const struct guests *engine_guests(const struct engine *engine, uint64_t id);
uint64_t engine_count(const struct engine *engine);
/* The live partition with the smallest id > after_id: of all, on one device, of one user, or tied
 * to one open file. NULL at the end. O(log n) each. */
const struct partition *engine_next(const struct engine *engine, uint64_t after_id);
const struct partition *engine_next_on_device(const struct engine *engine, uint32_t device,
                                              uint64_t after_id);
const struct partition *engine_next_of_user(const struct engine *engine, uint32_t uid,
                                            uint64_t after_id);
/* Number of partitions that a user holds, and the bytes of those that have started. O(log n). */
void engine_user_holds(const struct engine *engine, uint32_t uid, uint64_t *ret_count,
                       uint64_t *ret_bytes);
/* Return how many of a user's partitions have this id or a higher one. */
uint64_t engine_user_holds_from(const struct engine *engine, uint32_t uid, uint64_t id);
/* Number of partitions that all uids of the account of `uid` hold. O(log n). */
uint64_t engine_account_holds(const struct engine *engine, uint32_t uid);
/* Find the smallest uid >= from_uid that holds a partition; false if there is none. */
bool engine_next_user(const struct engine *engine, uint64_t from_uid, uint32_t *ret_uid);
/* True if the caller owns the partition or is root. Administrators may end it, and nothing else. */
bool engine_may_act(const struct caller *caller, const struct partition *partition);

/* -- waiting ---------------------------------------------------------------- */

/* What a partition that waits has beside its record; NULL: it does not wait. Borrowed until the
 * next change. */
const struct waiting *engine_waiting(const struct engine *engine, uint64_t id);
/* Number of partitions that wait. */
uint64_t engine_waiting_count(const struct engine *engine);
/* The first that waits after (start_ns, id), in order of starts; NULL at the end. O(log n). */
const struct partition *engine_next_waiting(const struct engine *engine, int64_t start_ns,
                                            uint64_t after_id);
/* The same of those on one device: O(log n) for each promise on it that starts or ends before the
 * one that is found. */
const struct partition *engine_next_waiting_on(const struct engine *engine, uint32_t device,
                                               int64_t start_ns, uint64_t after_id);
/* When the one that has waited longest was asked for; ENGINE_FOREVER if none waits. O(1). */
int64_t engine_oldest_waiting(const struct engine *engine);
/* The latest planned start; INT64_MIN if none waits. O(log n). */
int64_t engine_last_start(const struct engine *engine);
/* The smallest id of those on a device that end at exactly this moment; 0 if none. */
uint64_t engine_ends_at(const struct engine *engine, uint32_t device, int64_t at_ns);
/* Whether the plan is finished: else engine_advance has more to move, and engine_create, resizing
 * and extending begin with that. */
bool engine_plan_is_finished(const struct engine *engine);

/* Order two accounts by usage: negative if `a` comes before `b`. */
typedef int engine_order_fn(void *context, uint32_t a, uint32_t b);
/* A limit on the owner or the group of a partition: the first moment >= from_ns from which it can
 * have its shares for `duration_ns`; ENGINE_FOREVER if that is not before before_ns. What is
 * promised to the partition now does not count. */
typedef int64_t engine_limit_fn(void *context, const struct partition *partition, int64_t from_ns,
                                int64_t before_ns, int64_t duration_ns);
/* How requests that wait are ordered and limited beside what devices have. */
struct engine_rules {
    engine_order_fn *order; /* NULL: accounts are equal */
    engine_limit_fn *limit; /* NULL: none */
    void *context;
    uint32_t forward; /* requests that are tried when memory was freed; 0: as config/forward says */
};
void engine_set_rules(struct engine *engine, const struct engine_rules *rules);
/* Go through all that waits again, because a limit now allows more. */
void engine_replan(struct engine *engine);

/* -- events --------------------------------------------------------------- */

/* Take all events since the last call, oldest first. The caller frees them with engine_events_free.
 * NULL if there are none. */
struct engine_event *engine_take_events(struct engine *engine);
void engine_events_free(struct engine_event *events);
/* Revert changes that could not be made durable. `events` are all events since the last durable
 * change, oldest first, already taken. Restores every partition and setting; ids and event numbers
 * are not reused. Partitions past their end expire again at the next engine_advance. -ENOMEM:
 * nothing was reverted; -EINVAL: the events do not match the engine's state. */
int engine_revert(struct engine *engine, const struct engine_event *events);
/* Revert all changes whose events have not been taken, as if they had not been made. 0 or -ENOMEM:
 * nothing was reverted. */
int engine_undo(struct engine *engine);

#endif
