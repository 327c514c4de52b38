/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas of users and groups: how much of all devices they may be promised at a time, in a day and
 * in a week, and what they may ask for. A promise is charged in advance, for all of its time; what
 * is not used of it is given back when it ends. It must not know partitions, the queue or names.
 */
#ifndef CHRONOS_ENGINE_QUOTA_H
#define CHRONOS_ENGINE_QUOTA_H

#include "quota_hours.h"

#include <stdbool.h>
#include <stddef.h>

#define QUOTA_UNLIMITED  UINT64_MAX
#define QUOTA_HOLDER_MAX 2 /* a user and one group */

enum quota_key {
#define QUOTA(id, name, kind, standard, doc) QUOTA_##id,
#include "quota.def"
#undef QUOTA
    QUOTA_KEYS
};

/* Limits in the units of quota.def. */
struct quota_limits {
    uint32_t set; /* bit 1 << key: this limit was given; others are QUOTA_UNLIMITED or standard */
    uint64_t limit[QUOTA_KEYS];
};

/* The limits of those without a quota. */
extern const struct quota_limits quota_standard;
/* `own`, with `otherwise` for each key that it does not set. */
struct quota_limits quota_limits_over(const struct quota_limits *own,
                                      const struct quota_limits *otherwise);

/* A user or a group. The caller keeps limits and pending; it stores day and week. */
struct quota_holder {
    struct quota_limits limits;
    struct tally tally;
    struct quota_spent day, week;
    uint32_t pending; /* how many of its requests wait; a series is one */
};

/* What one holder is charged for one partition. */
struct quota_charge {
    struct tally_span span;
};

/* Days and weeks: bounds in engine time. The length of a week behind the last bound is a multiple
 * of that of a day. */
struct quota_calendar {
    struct windows day, week;
};

/* Set up a holder that has nothing. */
void quota_init(struct quota_holder *holder, const struct quota_limits *limits);
/* Charge `ppm` (millionths of a device, summed over devices) over [start_ns, end_ns). If it began
 * before now_ns, only the time from now_ns on counts: what was resized or handed over. After a
 * restart, with now_ns = start_ns, on what was stored of day and week. `id` is the partition's. */
void quota_put(struct quota_holder *holder, const struct quota_calendar *calendar,
               struct quota_charge *charge, uint64_t id, uint64_t ppm, int64_t start_ns,
               int64_t end_ns, int64_t now_ns);
/* End a charge: time until now_ns stays charged, all later time is given back. To change a charge,
 * take it and put the new one at the same moment. */
void quota_take(struct quota_holder *holder, const struct quota_calendar *calendar,
                struct quota_charge *charge, int64_t now_ns);

/* What a holder has at a moment (QUOTA_FRACTION), or has used and is promised in the day or week of
 * that moment (QUOTA_HOURS_DAY, QUOTA_HOURS_WEEK): in the limit's unit, rounded up. The window goes
 * to *ret_window, for its end. */
uint64_t quota_used(const struct quota_holder *holder, const struct quota_calendar *calendar,
                    enum quota_key key, int64_t at_ns, struct window *ret_window);

/* Whose quotas a request must meet: all of these. */
struct quota_scope {
    struct quota_holder *holder[QUOTA_HOLDER_MAX];
    size_t count;
    const struct quota_calendar *calendar;
};

struct quota_ask {
    uint64_t ppm; /* at least 1 */
    int64_t now_ns, start_ns, duration_ns;
    uint32_t class; /* priority; higher comes first */
    bool waits;     /* counts as pending */
    bool changes;   /* of what is promised already: it cannot start later (for messages) */
};

enum quota_verdict {
    QUOTA_ALLOWED, /* as asked */
    QUOTA_LATER,   /* not at start_ns, but from at_ns on */
    QUOTA_REFUSED, /* with no start that can be asked for now */
};

struct quota_answer {
    enum quota_verdict verdict;
    /* If not allowed: which limit is in the way at start_ns, for the longest; whose it is; and the
     * figures, in the limit's unit, rounded up. For a limit on what is asked for, `used` is that.
     */
    enum quota_key key;
    size_t holder;
    uint64_t used, limit;
    struct window window; /* for hours: the one in which they are used */
    /* The earliest start; TALLY_NEVER if there is none or it depends on others. If it is further
     * ahead than allowed, the verdict is QUOTA_REFUSED. For QUOTA_AHEAD: when to ask again. */
    int64_t at_ns;
};

/* Decide on a request. */
struct quota_answer quota_check(const struct quota_scope *scope, const struct quota_ask *ask);
/* The first moment >= from_ns and < before_ns at which `ppm` can start for `duration_ns`, or
 * TALLY_NEVER: the condition of amounts and hours alone. */
int64_t quota_earliest(const struct quota_scope *scope, uint64_t ppm, int64_t from_ns,
                       int64_t before_ns, int64_t duration_ns);
/* The same as a limit of a placement; `context` is a struct quota_want. */
struct quota_want {
    const struct quota_scope *scope;
    uint64_t ppm;
    /* What it is charged already, by each holder, because it waits: not in its own way. NULL: not
     * charged. */
    struct quota_charge *own[QUOTA_HOLDER_MAX];
};
int64_t quota_limit_earliest(void *context, int64_t from_ns, int64_t before_ns,
                             int64_t duration_ns);
/* For suggestions: how long `ppm` can last from from_ns on, at most most_ns; and how much can last
 * for duration_ns, at most most_ppm. 0: nothing. */
int64_t quota_longest(const struct quota_scope *scope, uint64_t ppm, int64_t from_ns,
                      int64_t most_ns);
uint64_t quota_largest(const struct quota_scope *scope, int64_t from_ns, int64_t duration_ns,
                       uint64_t most_ppm);

#endif
