/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition engine: who may have how much of which device, from when until
 * when. Pure: no I/O, no threads, no logging, no environment, no clock. The
 * caller passes the time; what changed leaves as events.
 *
 * Return codes, everywhere: 0 done; negative a -errno of the environment
 * (-ENOMEM), to be forwarded; positive an enum refusal_code that the caller
 * handles, with a message in *why. After any non-zero return nothing changed.
 * The convention is that of dbus-broker (bus1/dbus-broker, src/util/error.c).
 */
#ifndef CHRONOS_ENGINE_ENGINE_H
#define CHRONOS_ENGINE_ENGINE_H

#include "ending.h"
#include "partition.h"
#include "request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_FOREVER      INT64_MAX
#define ENGINE_MESSAGE_MAX  256
#define ENGINE_KEY_MAX      192 /* a setting's key, with its NUL */
#define ENGINE_VALUE_MAX    128 /* a setting's value, with its NUL */
#define ENGINE_WORD_MAX     32  /* a note's word, with its NUL */
#define ENGINE_DEVICE_ANY   UINT32_MAX
#define ENGINE_BARRED_WORDS 2
/* A caller's `ns` that cannot be told: it is nobody's, not even its own. */
#define ENGINE_NS_UNKNOWN UINT64_MAX

enum refusal_code {
    REFUSED_INVALID = 1, /* not understood, or out of the allowed range: EINVAL */
    REFUSED_NO_SPACE,    /* not that much is free: ENOSPC */
    REFUSED_QUOTA,       /* over the caller's quota: EDQUOT */
    REFUSED_PERMISSION,  /* not for this caller: EPERM */
    REFUSED_BUSY,        /* the device cannot do it as it is now: EBUSY */
    REFUSED_GONE,        /* there is no such partition (any more): ENODEV */
};

/* Why something was refused: one message without a newline that says what was
 * asked, what the limit is and what would work. */
struct refusal {
    char message[ENGINE_MESSAGE_MAX];
};

/* Who asks. `admin` and `ns` come from whoever knows about namespaces. */
struct caller {
    uint32_t uid, gid;
    int32_t pid;
    bool admin;   /* administrator: may act for and on others, above the policy */
    bool by_mode; /* the kernel let the caller past the mode bits of a settable file */
    /* Devices (bit i % 64 of word i / 64) this caller may not be given when it asks
     * for ENGINE_DEVICE_ANY; asking by name is not the engine's to forbid. */
    uint64_t barred[ENGINE_BARRED_WORDS];
    uint64_t ns; /* pid namespace of a uid 0 that is not the machine's root; else 0 */
};

/* What every change is made with: when it happens, who asks, and where a refusal says why. */
struct call {
    int64_t now_ns;  /* engine time */
    int64_t wall_ns; /* CLOCK_REALTIME at that moment; only recorded */
    const struct caller *caller;
    struct refusal *why;
};
/* A call to pass on; it lives as long as the block around it. */
#define ENGINE_CALL(now_ns, wall_ns, caller, why) (&(struct call){now_ns, wall_ns, caller, why})

/* What engine_create needs to know beside the call. */
struct creation {
    const struct request *request;
    uint32_t device; /* or ENGINE_DEVICE_ANY: the present device with the greatest free
                        share on which it fits */
    uint32_t owner_uid, owner_gid; /* the caller, or the user that an administrator named */
    uint64_t hold; /* the open file it is tied to when the request says so; 0 none */
};

/* A device as the engine needs to know it. */
struct engine_device {
    uint64_t memory_bytes;
    bool present; /* false: known from old partitions only, gives out nothing new */
};

enum event_kind {
    EVENT_CREATED,
    EVENT_RESIZED,   /* memory_bytes */
    EVENT_EXTENDED,  /* end_ns grew */
    EVENT_SHORTENED, /* end_ns shrank */
    EVENT_RENAMED,   /* name */
    EVENT_HANDED,    /* uid, gid or mode */
    EVENT_EXPIRED,   /* its time is up; at_ns is end_ns, not the moment it was noticed */
    EVENT_RELEASED,  /* by its owner */
    EVENT_REVOKED,   /* by an administrator who is not its owner */
    EVENT_CLOSED,    /* the open file that held it was closed */
    EVENT_SETTING,   /* key, value */
    EVENT_ENDING,    /* on_expiry, grace_ns or warn; maybe warned is 0 again */
    EVENT_WARNED,    /* the end is near: warned is 1; at_ns is the moment it was due */
    EVENT_NOTE,      /* something happened that the log shall tell: key, value */
};

static inline bool event_kind_is_end(enum event_kind kind)
{
    return kind >= EVENT_EXPIRED && kind <= EVENT_CLOSED;
}

/* Something that changed. `before` is all zero for EVENT_CREATED; for the four
 * kinds of end `after` equals `before` except that end_ns is the actual end and
 * change_seq is new. An EVENT_NOTE changes at most the change_seq of the partition it
 * is about: `after` has it when that is alive, and is what the caller knew of it when
 * that has ended, or has id 0. Enough to make it durable, to log it and to take it back. */
struct engine_event {
    struct engine_event *next;
    uint64_t seq; /* 1, 2, ...: strictly rising in the order of change */
    enum event_kind kind;
    int64_t at_ns;
    uint32_t by_uid; /* who did it; for EVENT_EXPIRED and EVENT_WARNED the owner */
    struct partition before, after;
    /* EVENT_SETTING; EVENT_NOTE: the word and the details of its line */
    char key[ENGINE_KEY_MAX];
    char value[ENGINE_VALUE_MAX];
    char old_value[ENGINE_VALUE_MAX]; /* "" when it was not set */
};

struct engine;

/* Writes a moment of engine time as people read it ("14:32:10", with the date
 * when it is not today) into text. Injected, because the engine has no clock. */
typedef void engine_time_text_fn(void *context, int64_t at_ns, char *text, size_t size);

/* A new, empty engine in *ret_engine; the caller frees it with engine_free. */
int engine_new(engine_time_text_fn *time_text, void *context, struct engine **ret_engine);
/* Frees the engine, also half built, and all events not yet taken; returns NULL. */
struct engine *engine_free(struct engine *engine);

/* -- devices ------------------------------------------------------------ */

/* Adds a device; *ret_index is 0 for the first, then 1, ... */
int engine_add_device(struct engine *engine, const struct engine_device *device,
                      uint32_t *ret_index);
uint32_t engine_device_count(const struct engine *engine);
const struct engine_device *engine_device(const struct engine *engine, uint32_t index);
/* Bytes that a request could get at `now_ns` (promised memory may be above the
 * device after it shrank; this is 0 then). */
uint64_t engine_available(const struct engine *engine, uint32_t device, int64_t now_ns);
/* Bytes promised to partitions at `now_ns`. */
uint64_t engine_promised(const struct engine *engine, uint32_t device, int64_t now_ns);
/* How many live partitions a device has. */
uint64_t engine_device_partitions(const struct engine *engine, uint32_t device);
/* The first step of the promised memory strictly after `after_ns`: when, and how
 * much is promised from then on. False when there is none. O(log n). */
bool engine_next_step(const struct engine *engine, uint32_t device, int64_t after_ns,
                      int64_t *ret_at_ns, uint64_t *ret_promised_bytes);
/* The first moment >= `now_ns` from which `bytes` fit for `duration_ns`;
 * ENGINE_FOREVER when never (larger than the device). */
int64_t engine_earliest(const struct engine *engine, uint32_t device, int64_t now_ns,
                        uint64_t bytes, int64_t duration_ns);

/* -- restoring (before the first change; makes no events) ---------------- */

/* Puts back a partition that was durable. No admission: what was promised is
 * kept. One whose end has passed ends at the next engine_advance. -EINVAL when
 * the record cannot be true (unknown device, id 0 or in use, end <= start). */
int engine_restore(struct engine *engine, const struct partition *partition);
/* Puts back a setting. */
int engine_restore_setting(struct engine *engine, const char *key, const char *value);
/* The next id and event number are at least these. */
void engine_restore_counters(struct engine *engine, uint64_t next_id, uint64_t next_seq);

/* -- changing ------------------------------------------------------------ */

/* What is already as it is wanted is done without an event. A partition past its
 * end is REFUSED_GONE here, also before engine_advance has ended it. */

/* Grants a request from now on; the id in *ret_id. */
int engine_create(struct engine *engine, const struct call *call, const struct creation *creation,
                  uint64_t *ret_id);
/* Ends a partition now: owner or administrator. */
int engine_release(struct engine *engine, const struct call *call, uint64_t id);
/* Ends the partitions tied to the open file `hold`. */
int engine_close_hold(struct engine *engine, int64_t now_ns, uint64_t hold);
/* Gives a partition another size; growing needs the room until its end. */
int engine_resize(struct engine *engine, const struct call *call, uint64_t id, uint64_t bytes);
/* Gives a partition another end (> now_ns); extending needs the room and is
 * bounded by the policy, shortening always works. */
int engine_set_end(struct engine *engine, const struct call *call, uint64_t id, int64_t end_ns);
/* Gives a partition another way to end: those parts that `change` sets. Owners are
 * bound by the policy (allowed_on_expiry, max_grace), except that what is already so
 * may stay. */
int engine_set_ending(struct engine *engine, const struct call *call, uint64_t id,
                      const struct ending_change *change);
/* Gives a partition another label; "" takes it away. */
int engine_rename(struct engine *engine, const struct call *call, uint64_t id, const char *name);
/* Hands over. uid: administrators only. gid and mode: the owner or an
 * administrator (whether the owner is in that group the kernel has checked). */
int engine_hand_over(struct engine *engine, const struct call *call, uint64_t id, uint32_t uid,
                     uint32_t gid, uint32_t mode);
/* Sets a durable setting. Keys that begin with "config/" are checked against the
 * policy table (policy.h) and take effect; others are the caller's business.
 * The caller has checked who asks. "" removes it (back to the default). */
int engine_set(struct engine *engine, const struct call *call, const char *key, const char *value);
/* The value of a setting, or NULL when it was never set. */
const char *engine_setting(const struct engine *engine, const char *key);

/* Has the log tell of something that the engine does not do itself: `word` ("killed",
 * "unmanaged": small letters, digits and '-') with `details` ("pid=17 bytes=4096", may be "").
 * `about` is the partition it happened to, as the caller knows it, maybe ended; with
 * id 0 only its uid and its device (ENGINE_DEVICE_ANY: none) are told. -EINVAL when
 * the word or the details are no such text, or too long. */
int engine_note(struct engine *engine, int64_t now_ns, const struct partition *about,
                uint32_t by_uid, const char *word, const char *details);

/* -- time ---------------------------------------------------------------- */

/* A partition with warn.ns has its warning once for an end: warn.ns before it, or at
 * once when less than that is left. When its end is moved away so that there is more
 * left again, or warn.ns is made smaller, it is not warned any more, and the warning
 * comes in its time. */

/* Ends everything whose time is up at now_ns and gives the warnings that are due, in
 * the order of their times. Cheap when there is nothing. */
int engine_advance(struct engine *engine, int64_t now_ns);
/* When engine_advance must be called next; ENGINE_FOREVER when never. O(1). */
int64_t engine_next_wakeup(const struct engine *engine);

/* -- asking --------------------------------------------------------------- */

/* A live partition, or NULL. Borrowed until the next change. */
const struct partition *engine_find(const struct engine *engine, uint64_t id);
uint64_t engine_count(const struct engine *engine);
/* The live partition with the smallest id > after_id: all, of one device, of one
 * user, or tied to one open file. NULL at the end. O(log n) each. */
const struct partition *engine_next(const struct engine *engine, uint64_t after_id);
const struct partition *engine_next_on_device(const struct engine *engine, uint32_t device,
                                              uint64_t after_id);
const struct partition *engine_next_of_user(const struct engine *engine, uint32_t uid,
                                            uint64_t after_id);
/* How many partitions a user holds, and how many bytes in all. O(log n). */
void engine_user_holds(const struct engine *engine, uint32_t uid, uint64_t *ret_count,
                       uint64_t *ret_bytes);
/* The smallest uid >= from_uid that holds a partition; false when there is none. */
bool engine_next_user(const struct engine *engine, uint64_t from_uid, uint32_t *ret_uid);
/* True when the caller owns the partition or is an administrator. */
bool engine_may_act(const struct caller *caller, const struct partition *partition);

/* -- events --------------------------------------------------------------- */

/* Takes all events since the last call, oldest first; the caller frees them with
 * engine_events_free. NULL when there are none. */
struct engine_event *engine_take_events(struct engine *engine);
void engine_events_free(struct engine_event *events);
/* Takes back what could not be made durable: `events` must be everything that
 * happened after the last durable change, oldest first, already taken. Every
 * partition and setting is again as before; numbers are not used again. What is
 * past its end by now expires again at the next engine_advance. -ENOMEM: nothing
 * was taken back; -EINVAL: these are not the events that led here. */
int engine_revert(struct engine *engine, const struct engine_event *events);

#endif
