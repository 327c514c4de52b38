/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internals of accounts.h: holders and what they are charged. accounts.c keeps them,
 * accounts_setting.c sets their limits, accounts_pending.c counts what waits, accounts_usage.c
 * books what was used, accounts_drop.c drops what does not count any more, accounts_check.c
 * decides, accounts_query.c tells.
 */
#ifndef CHRONOS_ENGINE_HOLDERS_H
#define CHRONOS_ENGINE_HOLDERS_H

#include "accounts.h"

struct entry;

/* An account, or a group with a quota. Freed when it has used nothing that still counts. */
struct holder {
    struct avl_node node; /* group, id */
    bool group;
    uint32_t id;
    struct quota_limits own;
    struct quota_holder quota; /* limits in force, what is promised and was used in windows */
    /* Usage of an account as it was after the last event that changed it, and what follows from it
     * and from what is held; `stale`: that has to be worked out again. */
    int64_t epoch;
    wide booked;
    struct fairshare share;
    bool stale;
    /* the usage at a moment, for many comparisons; `known`: it is right */
    bool known;
    int64_t known_ns;
    uwide known_usage;
    struct avl series; /* what waits and belongs to one: series, id */
};

/* What waits and belongs to a series, for one of its holders (accounts_pending.c). */
struct pending {
    struct avl_node by_series; /* series, id; unused if the series is 0 */
    uint64_t series, id;
};

/* What a holder is charged for a partition. */
struct charge {
    struct holder *holder; /* NULL: it is not charged */
    struct quota_charge quota;
};

/* Where a walk through all holders is. All zero: before the first. */
struct holder_cursor {
    bool begun, group;
    uint32_t id;
};

/* All holders of an engine, and what they have in common. */
struct accounts {
    struct avl holders;
    struct holder_cursor done, idle; /* accounts_drop.c */
    bool any_idle;                   /* some may be for nothing */
    struct quota_limits defaults;    /* set for users without a limit of their own */
    struct quota_limits standard;    /* of users for whom not even these are set */
    int64_t origin_ns;
    const struct quota_calendar *calendar;
    engine_holder_name_fn *name; /* NULL: numbers */
    void *name_context;
    bool unbound; /* the call in progress is an administrator's: no quota limits its place */
    /* usage of all accounts as of a moment; good for a second, if `total_known` */
    uwide total;
    int64_t total_ns;
    bool total_known;
    uint64_t limited; /* holders whose limits depend on what they are promised */
};

/* -- accounts.c -------------------------------------------------------------- */

void accounts_init(struct engine *engine);
void accounts_free(struct engine *engine);
/* The account that a user belongs to now. */
uint32_t accounts_of(const struct engine *engine, uint32_t uid);
/* Find a holder; NULL: there is none. */
struct holder *accounts_find(const struct engine *engine, bool group, uint32_t id);
/* The first of its kind with this id or a higher one. */
struct holder *accounts_at_or_after(const struct engine *engine, bool group, uint32_t id);
/* The same as accounts_find, made if needed; NULL: out of memory. */
struct holder *accounts_get(struct engine *engine, bool group, uint32_t id);
/* Make the holders that a partition needs. 0 or -ENOMEM. */
int accounts_prepare(struct engine *engine, const struct partition *partition);
/* Free the holders of a partition that was not granted, unless they are for something else. */
void accounts_forget(struct engine *engine, const struct partition *partition);
/* Free a holder that is for nothing. */
void accounts_forget_idle(struct engine *engine, struct holder *holder);
static inline bool accounts_has_used(const struct holder *holder)
{
    return holder->booked || holder->quota.day.ppm_ns || holder->quota.week.ppm_ns;
}
/* What a partition counts, in millionths of a device. */
uint64_t accounts_ppm(const struct engine *engine, const struct partition *partition);
/* Charge an entry to its holders, or take it back: what is promised, not what was used. */
void accounts_add(struct engine *engine, struct entry *entry);
void accounts_remove(struct engine *engine, struct entry *entry);
/* Whether a change of a record frees some of what its holders may have. */
bool accounts_frees(const struct partition *before, const struct partition *after);
/* Whether two records of a partition are charged alike. */
bool accounts_alike(const struct partition *a, const struct partition *b);
/* The limits in force for a holder. */
struct quota_limits accounts_limits_of(const struct engine *engine, const struct holder *holder);
struct fairshare_scale accounts_scale(const struct engine *engine);
/* Put the limits that were set in force for a holder; for all, since the limits of those without
 * their own have changed. */
void accounts_put_in_force(struct engine *engine, struct holder *holder);
void accounts_put_all_in_force(struct engine *engine);
/* Whether its limits depend on what it is promised. */
static inline bool accounts_is_limited(const struct holder *holder)
{
    const uint64_t *limit = holder->quota.limits.limit;

    return limit[QUOTA_FRACTION] != QUOTA_UNLIMITED || limit[QUOTA_HOURS_DAY] != QUOTA_UNLIMITED ||
           limit[QUOTA_HOURS_WEEK] != QUOTA_UNLIMITED;
}

/* -- accounts_setting.c --------------------------------------------------------- */

/* Whether a key is that of a quota, and what it sets. `value` is the limit as text, "" for none. 0,
 * or REFUSED_INVALID and a message; the canonical value goes to `canonical`. */
bool accounts_is_quota(const char *key);
int accounts_check_limit(const char *key, const char *value, char *canonical, size_t size,
                         struct refusal *why);
/* Make the holder of a key. 0 or -ENOMEM. */
int accounts_prepare_limit(struct engine *engine, const char *key);
/* Set a limit that was checked and prepared. */
void accounts_set_limit(struct engine *engine, const char *key, const char *value);

/* -- accounts_pending.c -------------------------------------------------------- */

void accounts_init_pending(struct holder *holder);
/* Count a partition as pending, or no longer: a series once. `node` is its own for this holder. */
void accounts_add_pending(struct holder *holder, struct pending *node,
                          const struct partition *partition);
void accounts_remove_pending(struct holder *holder, struct pending *node);
/* Whether an occurrence of this series is pending, so that others do not count. */
bool accounts_has_pending(const struct holder *holder, uint64_t series);
/* An entry frees some of what its holders may have: what waits of theirs may have room now, on any
 * device. */
void accounts_freed(struct engine *engine, const struct entry *entry);

/* -- accounts_usage.c --------------------------------------------------------- */

/* Whether events of this kind can change what was used: they have room for that. */
bool accounts_may_book(enum event_kind kind);
#define ACCOUNTS_DROPS_MAX   2 /* records that are dropped with an event */
#define ACCOUNTS_CHANGES_MAX 6 /* user and group, before and after, and these */
/* Book what was used of `before` until the event, and that `after` counts from then on. */
void accounts_book(struct engine *engine, struct engine_event *event);
/* Drop a record that is done with, as part of an event. */
void accounts_drop(struct engine_event *event, struct holder *holder);
/* Make the holders that reverting an event needs. 0 or -ENOMEM. */
int accounts_prepare_revert(struct engine *engine, const struct engine_event *event);
/* Undo it. */
void accounts_revert(struct engine *engine, const struct engine_event *event);
/* Usage of an account now. */
struct fairshare *accounts_share(struct engine *engine, struct holder *holder);
uwide accounts_usage(struct engine *engine, struct holder *holder, int64_t now_ns);
/* Work out all usage again: partitions have gone to other accounts. */
void accounts_refresh(struct engine *engine);
/* Change the half-life of all usage, as part of an event. 0 or -ENOMEM. Call before the policy
 * changes. */
int accounts_change_half_life(struct engine *engine, struct engine_event *event,
                              int64_t half_life_ns);

/* -- accounts_drop.c ------------------------------------------------------------ */

/* Drop records that are done with, as part of an event that has booked something. */
void accounts_drop_done(struct engine *engine, struct engine_event *event);
/* Free holders that are for nothing. Call it while no change is being made. */
void accounts_free_idle(struct engine *engine);

/* -- accounts_check.c --------------------------------------------------------- */

/* Check a request or a partition as it is to be from call->now_ns on; `entry` is its present
 * record, or NULL. 0 or REFUSED_QUOTA. Administrators are not bound. */
int accounts_check(struct engine *engine, const struct call *call,
                   const struct partition *partition, uint32_t priority, struct entry *entry);
/* The same for a request that has no place yet, as it would start first; with `later`, only what
 * can never be met is refused. */
int accounts_check_waits(struct engine *engine, const struct call *call,
                         const struct partition *partition, uint32_t priority, bool later);
/* Check that a new owner can have the rest of a partition. Binds administrators, too. */
int accounts_check_owner(struct engine *engine, const struct call *call, const struct entry *entry,
                         uint32_t uid);
/* Set the scope of the quotas of a user and a group (0: none); `stand_in` is for a user who has
 * none of their own yet. */
void accounts_scope(const struct engine *engine, uint32_t uid, uint32_t gid,
                    struct quota_holder *stand_in, struct quota_scope *scope);
/* Whether a place for this partition is limited by a quota. */
bool accounts_limit(const struct engine *engine, const struct partition *partition);
/* The first moment >= from_ns at which the quotas allow `ppm` for a partition; ENGINE_FOREVER if
 * that is not before before_ns. What it is charged already while it waits does not count. */
int64_t accounts_earliest(struct engine *engine, const struct partition *partition, uint64_t ppm,
                          int64_t from_ns, int64_t before_ns, int64_t duration_ns);

#endif
