/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions by quotas: whether its user and its group may have a partition, and from when on. They
 * change nothing; what a partition is charged already is taken out while they look.
 */
#include "internal.h"
#include "quota_message.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_MAX 80

/* The holders of a partition, and what they are charged for it. */
struct holders {
    struct quota_scope scope;
    struct charge *own[QUOTA_HOLDER_MAX]; /* NULL: nothing yet */
    struct quota_spent day[QUOTA_HOLDER_MAX], week[QUOTA_HOLDER_MAX];
};

static void add_holder(struct holders *holders, struct holder *holder, struct charge *own)
{
    if (!holder)
        return;
    holders->own[holders->scope.count] = own && own->holder == holder ? own : NULL;
    holders->scope.holder[holders->scope.count++] = &holder->quota;
}

/* Find the user and the group that need room for a partition. `entry` NULL: it is new. */
static struct holders holders_of(const struct engine *engine, const struct partition *partition,
                                 struct entry *entry)
{
    struct holders holders = {.scope.calendar = engine->accounts.calendar};

    add_holder(&holders, accounts_find(engine, false, accounts_of(engine, partition->uid)),
               entry ? &entry->charge : NULL);
    if (partition->quota_group)
        add_holder(&holders, accounts_find(engine, true, partition->quota_group),
                   entry ? index_group_charge(entry) : NULL);
    return holders;
}

void accounts_scope(const struct engine *engine, uint32_t uid, uint32_t gid,
                    struct quota_holder *stand_in, struct quota_scope *scope)
{
    struct holder *user = accounts_find(engine, false, accounts_of(engine, uid));
    struct holder *group = gid ? accounts_find(engine, true, gid) : NULL;
    const struct holder none = {.group = false};

    *scope = (struct quota_scope){.calendar = engine->accounts.calendar};
    if (!user) {
        struct quota_limits limits = accounts_limits_of(engine, &none);

        quota_init(stand_in, &limits);
    }
    scope->holder[scope->count++] = user ? &user->quota : stand_in;
    if (group)
        scope->holder[scope->count++] = &group->quota;
}

/* Take out what is charged from now on: what was used until now stays. */
static void take_own(struct holders *holders, int64_t now_ns)
{
    for (size_t i = 0; i < holders->scope.count; i++) {
        struct quota_holder *holder = holders->scope.holder[i];

        holders->day[i] = holder->day;
        holders->week[i] = holder->week;
        if (holders->own[i])
            quota_take(holder, holders->scope.calendar, &holders->own[i]->quota, now_ns);
    }
}

static void put_own(struct holders *holders)
{
    for (size_t i = 0; i < holders->scope.count; i++) {
        struct quota_holder *holder = holders->scope.holder[i];
        struct tally_span *span = holders->own[i] ? &holders->own[i]->quota.span : NULL;

        if (span)
            tally_put(&holder->tally, span, span->owner, span->start.at_ns, span->end.at_ns,
                      (uint64_t)span->start.delta_ppm);
        holder->day = holders->day[i];
        holder->week = holders->week[i];
    }
}

/* -- sentences --------------------------------------------------------------------- */

static int refuse_quota(const struct engine *engine, const struct call *call,
                        const struct partition *partition, const struct quota_scope *scope,
                        const struct quota_ask *ask, const struct quota_answer *answer)
{
    char group[NAME_MAX], user[NAME_MAX] = "Your";

    snprintf(group, sizeof(group), "%" PRIu32, partition->quota_group);
    if (engine->accounts.name)
        engine->accounts.name(engine->accounts.name_context, true, partition->quota_group, group,
                              sizeof(group));
    if (accounts_of(engine, call->caller->uid) != accounts_of(engine, partition->uid)) {
        snprintf(user, sizeof(user), "User %" PRIu32 "'s", partition->uid);
        if (engine->accounts.name) {
            char name[NAME_MAX - 8];

            engine->accounts.name(engine->accounts.name_context, false, partition->uid, name,
                                  sizeof(name));
            snprintf(user, sizeof(user), "User %s's", name);
        }
    }
    const struct quota_message_names names = {user, group, engine->time_text, engine->context};
    return quota_message_refuse(scope, ask, answer, &names, call->why);
}

/* -- checks --------------------------------------------------------------------------- */

static int check(struct engine *engine, const struct call *call, const struct partition *partition,
                 struct quota_ask *ask, struct entry *entry, bool later)
{
    struct holders holders = holders_of(engine, partition, entry);
    int64_t from_ns = call->now_ns > partition->start_ns ? call->now_ns : partition->start_ns;
    int r = 0;

    ask->ppm = accounts_ppm(engine, partition);
    ask->now_ns = call->now_ns;
    ask->start_ns = from_ns;
    ask->duration_ns = partition->end_ns - from_ns;
    ask->changes = entry;
    take_own(&holders, call->now_ns);
    const struct quota_answer answer = quota_check(&holders.scope, ask);
    if (answer.verdict == QUOTA_REFUSED || (answer.verdict == QUOTA_LATER && !later))
        r = refuse_quota(engine, call, partition, &holders.scope, ask, &answer);
    put_own(&holders);
    return r;
}

/* Whether one more request of an account waits with this partition. */
static bool counts(const struct engine *engine, const struct partition *partition, uint32_t account)
{
    const struct holder *holder = accounts_find(engine, false, account);

    return partition->state == PARTITION_PENDING &&
           !(partition->series && holder && accounts_has_pending(holder, partition->series));
}

int accounts_check(struct engine *engine, const struct call *call,
                   const struct partition *partition, uint32_t priority, struct entry *entry)
{
    /* One that was suspended did not wait before. */
    bool fresh = !entry || entry->partition.state == PARTITION_SUSPENDED;
    struct quota_ask ask = {
        .class = priority,
        .waits = fresh && counts(engine, partition, accounts_of(engine, partition->uid))};

    if (call->caller->admin)
        return 0;
    return check(engine, call, partition, &ask, entry, false);
}

int accounts_check_waits(struct engine *engine, const struct call *call,
                         const struct partition *partition, uint32_t priority, bool later)
{
    struct quota_ask ask = {.class = priority};

    if (call->caller->admin)
        return 0;
    return check(engine, call, partition, &ask, NULL, later);
}

int accounts_check_owner(struct engine *engine, const struct call *call, const struct entry *entry,
                         uint32_t uid)
{
    struct partition after = entry->partition;
    bool waits = after.state == PARTITION_PENDING;
    struct quota_ask ask = {.class = waits ? entry->waiter->record.priority : 0,
                            .waits = counts(engine, &after, accounts_of(engine, uid))};

    if (accounts_of(engine, uid) == entry->account)
        return 0;
    after.uid = uid;
    after.quota_group = 0; /* it has what it has */
    return check(engine, call, &after, &ask, NULL, false);
}

/* -- places ------------------------------------------------------------------------------ */

bool accounts_limit(const struct engine *engine, const struct partition *partition)
{
    if (engine->accounts.limited == 0 || engine->accounts.unbound)
        return false;
    const struct holder *user = accounts_find(engine, false, accounts_of(engine, partition->uid));
    const struct holder *group =
        partition->quota_group ? accounts_find(engine, true, partition->quota_group) : NULL;
    return (user && accounts_is_limited(user)) || (group && accounts_is_limited(group));
}

int64_t accounts_earliest(struct engine *engine, const struct partition *partition, uint64_t ppm,
                          int64_t from_ns, int64_t before_ns, int64_t duration_ns)
{
    struct entry *entry = partition->id ? index_find(engine, partition->id) : NULL;
    struct holders holders = holders_of(engine, partition, entry);
    struct quota_want want = {.scope = &holders.scope, .ppm = ppm};

    for (size_t i = 0; i < holders.scope.count; i++)
        want.own[i] = holders.own[i] ? &holders.own[i]->quota : NULL;
    return quota_limit_earliest(&want, from_ns, before_ns, duration_ns);
}
