/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the engine, as events. It must not know how they come about. */
#ifndef CHRONOS_ENGINE_EVENT_H
#define CHRONOS_ENGINE_EVENT_H

#include "guests.h"
#include "partition.h"
#include "usage_record.h"
#include "waiting.h"

#include <stdbool.h>
#include <stdint.h>

#define ENGINE_KEY_MAX   192 /* setting key, including NUL */
#define ENGINE_VALUE_MAX 128 /* setting value, including NUL */

enum event_kind {
    EVENT_CREATED,
    EVENT_RESIZED,   /* memory_bytes of its shares */
    EVENT_EXTENDED,  /* end_ns grew */
    EVENT_SHORTENED, /* end_ns shrank */
    EVENT_RENAMED,   /* name */
    EVENT_HANDED,    /* uid, gid or mode */
    EVENT_EXPIRED,   /* at_ns is end_ns, not the time it was noticed */
    EVENT_RELEASED,  /* by its owner */
    EVENT_REVOKED,   /* by an administrator who is not its owner */
    EVENT_CLOSED,    /* its holding file was closed */
    EVENT_GAVE_UP,   /* it has waited as long as it was to wait */
    EVENT_NO_SHOW,   /* it was reserved, and not used in time after its start */
    EVENT_SETTING,   /* key, value */
    EVENT_ENDING,    /* on_expiry, grace_ns or warn; can return it to active */
    EVENT_WARNED,    /* expiring: its warning is due; at_ns is when it became due */
    EVENT_NOTE,      /* something for the event log: key, value */
    EVENT_SHARED,    /* guest came */
    EVENT_UNSHARED,  /* guest went */
    EVENT_MOVED,     /* one that waits: start_ns, end_ns, shares; later only by promise_slack. No
                      * change_seq: thousands can move at once, and the log has no line of them */
    EVENT_STARTED,   /* one that waited is active; at_ns is start_ns, not the time it was noticed */
    EVENT_DEVICES,   /* one that waits: shares, and the devices that it can move to */
    EVENT_PRIORITY,  /* one that waits: its class */
    EVENT_PREEMPTED, /* a low lease makes room for a high request: its programs end as on_expiry
                      * says, and what is left of its time waits again; start_ns, end_ns, state,
                      * shares. by_uid asked for the high one */
    EVENT_DELAYED,   /* one that waits: its promise could not be kept; as EVENT_MOVED, but later */
    EVENT_COMPUTE,   /* compute_ppm of its shares */
    EVENT_MISSED,    /* the warning before EVENT_NO_SHOW: state, arrival */
    EVENT_USED,      /* first use of one that was awaited: arrival; can return it to active */
    /* suspend_stage, state and, where they change, start_ns and end_ns */
    EVENT_SUSPENDING,    /* its lease is over, and its processes leave the device; at_ns is end_ns,
                          * unless its owner asked for it earlier */
    EVENT_MEASURED,      /* suspended_bytes, suspended_count: what they have there */
    EVENT_SUSPENDED,     /* they have left it */
    EVENT_RESUMING,      /* it has a new lease, which has begun, or is pending */
    EVENT_RESUMED,       /* its processes are back */
    EVENT_RESUME_FAILED, /* they could not come back: it is suspended as before */
};

static inline bool event_kind_is_end(enum event_kind kind)
{
    return kind >= EVENT_EXPIRED && kind <= EVENT_NO_SHOW;
}

/* A change. `before` is all zero for EVENT_CREATED. For the kinds of end, `after` equals `before`
 * except for end_ns (the actual end), change_seq, and start_ns if it had not started (the same).
 * For EVENT_NOTE, `after` is the partition the note is about: if it is alive, only its change_seq
 * differs from `before`; if it has ended, it is the record that the caller passed; id 0 means no
 * partition. An event carries enough to persist, log and revert the change. */
struct engine_event {
    struct engine_event *next;
    uint64_t seq; /* 1, 2, ...: strictly increasing in order of change */
    enum event_kind kind;
    int64_t at_ns;
    uint32_t by_uid;  /* the acting user; for EVENT_EXPIRED and EVENT_WARNED the owner */
    uint32_t account; /* of the owner of `after`; 0 without a partition */
    struct partition before, after;
    uint32_t guest;             /* EVENT_SHARED, EVENT_UNSHARED: the uid */
    struct guests *guests;      /* of a partition that ended or started; owned; can be NULL */
    struct usage_change *usage; /* changes of what was used (accounts.h); owned; can be NULL */
    uint32_t usage_count;
    /* of a partition that is pending or low, or was pending since the engine started; else all zero
     */
    struct waiting waiting_before, waiting_after;
    /* EVENT_SETTING: key and value; EVENT_NOTE: word and details; in `value` EVENT_SUSPENDED and
     * EVENT_RESUMED: how long it took, in seconds; EVENT_RESUME_FAILED: why */
    char key[ENGINE_KEY_MAX];
    char value[ENGINE_VALUE_MAX];
    char old_value[ENGINE_VALUE_MAX]; /* "" if it was not set */
};

#endif
