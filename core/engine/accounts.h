/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas and usage of the engine: what each account and each group with a quota is promised, has
 * used, and may have. All of it follows from the partitions and from a record for each holder,
 * which changes only with an event and is stored with it.
 */
#ifndef CHRONOS_ENGINE_ACCOUNTS_H
#define CHRONOS_ENGINE_ACCOUNTS_H

#include "engine.h"
#include "fairshare.h"
#include "quota.h"
#include "usage_record.h"

/* Settings of this prefix are quotas: default/KEY, user/UID/KEY and group/GID/KEY, the keys of
 * quota.def. */
#define ACCOUNTS_PREFIX "quota/"

enum holder_kind { HOLDER_DEFAULT, HOLDER_USER, HOLDER_GROUP };

/* Write the key of the setting for a limit. Return `key`. */
const char *accounts_setting_key(enum holder_kind kind, uint32_t id, enum quota_key limit,
                                 char key[static ENGINE_KEY_MAX]);

/* Restore the beginning of usage's time (fairshare_scale), and a record. Before any change. */
void engine_restore_origin(struct engine *engine, int64_t origin_ns);
int engine_restore_usage(struct engine *engine, const struct usage_record *record);

/* Write the name of a user or a group, for messages. Injected, as names are not the engine's. */
typedef void engine_holder_name_fn(void *context, bool group, uint32_t id, char *text, size_t size);
void engine_set_holder_name(struct engine *engine, engine_holder_name_fn *name, void *context);
/* Count days and weeks like this from now on, and put the standard limits in force: until then,
 * users have those that were set. Borrowed; call it again when it has changed. */
void engine_set_calendar(struct engine *engine, const struct quota_calendar *calendar);
/* An engine_order_fn for engine_set_rules: less usage, divided by the weight, comes first.
 * `context` is the engine. */
int engine_order_by_usage(void *context, uint32_t a, uint32_t b);

/* The limits that were set for a holder; NULL: none. Borrowed until the next change. */
const struct quota_limits *engine_quota(const struct engine *engine, enum holder_kind kind,
                                        uint32_t id);
/* Those that are in force for it. */
struct quota_limits engine_quota_in_force(const struct engine *engine, enum holder_kind kind,
                                          uint32_t id);
/* Find the first user or group >= from_id for whom a limit was set; false: there is none. */
bool engine_next_quota(const struct engine *engine, enum holder_kind kind, uint64_t from_id,
                       uint32_t *ret_id);

/* What a holder holds and has used. */
struct engine_use {
    uint64_t held_ppm;              /* now */
    uint32_t waiting;               /* requests; a series is one */
    uint64_t day_ppm_s, week_ppm_s; /* used and promised in this day and week, rounded up */
    int64_t day_end_ns, week_end_ns;
    uwide usage;        /* decayed (fairshare.h); not of groups */
    uint32_t share_ppm; /* of the decayed usage of all accounts; not of groups */
};
struct engine_use engine_use(struct engine *engine, enum holder_kind kind, uint32_t id,
                             int64_t now_ns);

#endif
