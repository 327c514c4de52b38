/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was used: booked when a partition ends, changes its size, or is handed over. A record of
 * usage changes only so, and everything else follows from it and from the partitions; after a
 * restart or a revert it is worked out again, in the order in which the partitions began.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

bool accounts_may_book(enum event_kind kind)
{
    switch (kind) {
    case EVENT_CREATED:
    case EVENT_EXTENDED:
    case EVENT_SHORTENED:
    case EVENT_RENAMED:
    case EVENT_SETTING:
    case EVENT_ENDING:
    case EVENT_WARNED:
    case EVENT_NOTE:
    case EVENT_SHARED:
    case EVENT_UNSHARED:
    case EVENT_MOVED:
    case EVENT_STARTED:
    case EVENT_DEVICES:
    case EVENT_PRIORITY:
    case EVENT_DELAYED:
    case EVENT_MISSED:
    case EVENT_USED:
    case EVENT_MEASURED:
    case EVENT_SUSPENDED:
    case EVENT_RESUMED:
        return false;
    default:
        return true;
    }
}

static struct usage_record record_of(const struct holder *holder)
{
    return (struct usage_record){.group = holder->group,
                                 .id = holder->id,
                                 .epoch = holder->epoch,
                                 .booked = holder->booked,
                                 .day = holder->quota.day,
                                 .week = holder->quota.week};
}

static void set_record(struct holder *holder, const struct usage_record *record)
{
    holder->epoch = record->epoch;
    holder->booked = record->booked;
    holder->quota.day = record->day;
    holder->quota.week = record->week;
    holder->stale = true;
    holder->known = false;
}

/* -- working it out ------------------------------------------------------------- */

/* Find what a holder is charged next after a mark of its tally; NULL: nothing. */
static const struct entry *next_charged(const struct holder *holder, const struct tally_mark **mark)
{
    const struct avl *marks = &holder->quota.tally.marks;
    struct avl_node *node = *mark ? avl_after(marks, &(*mark)->node) : avl_first(marks);

    for (; node; node = avl_after(marks, node)) {
        *mark = avl_entry_const(node, struct tally_mark, node);
        if ((*mark)->delta_ppm > 0)
            return avl_entry_const(node, struct entry, charge.quota.span.start.node);
    }
    return NULL;
}

struct fairshare *accounts_share(struct engine *engine, struct holder *holder)
{
    const struct fairshare_scale scale = accounts_scale(engine);
    const struct tally_mark *mark = NULL;
    const struct entry *entry;

    if (!holder->stale)
        return &holder->share;
    holder->share = (struct fairshare){.epoch = holder->epoch, .booked = holder->booked};
    holder->stale = false;
    while ((entry = next_charged(holder, &mark))) {
        if (entry->partition.state != PARTITION_PENDING)
            fairshare_hold(&holder->share, &scale, (uint64_t)mark->delta_ppm, mark->at_ns,
                           mark->at_ns);
    }
    return &holder->share;
}

void accounts_refresh(struct engine *engine)
{
    struct avl *holders = &engine->accounts.holders;

    engine->accounts.total_known = false;
    engine->queue.pass.listed = false;

    for (struct avl_node *node = avl_first(holders); node; node = avl_after(holders, node)) {
        struct holder *holder = avl_entry(node, struct holder, node);

        holder->stale = true;
        holder->known = false;
    }
}

uwide accounts_usage(struct engine *engine, struct holder *holder, int64_t now_ns)
{
    const struct fairshare_scale scale = accounts_scale(engine);

    if (!holder->known || holder->known_ns != now_ns) {
        holder->known_usage = fairshare_usage(accounts_share(engine, holder), &scale, now_ns);
        holder->known_ns = now_ns;
        holder->known = true;
    }
    return holder->known_usage;
}

int engine_order_by_usage(void *context, uint32_t a, uint32_t b)
{
    struct engine *engine = context;
    struct holder *one = accounts_find(engine, false, a), *other = accounts_find(engine, false, b);
    int64_t now_ns = engine->queue.pass.now_ns;

    if (!one || !other)
        return 0;
    return fairshare_compare(
        accounts_usage(engine, one, now_ns), (uint32_t)one->quota.limits.limit[QUOTA_WEIGHT],
        accounts_usage(engine, other, now_ns), (uint32_t)other->quota.limits.limit[QUOTA_WEIGHT]);
}

/* -- booking ---------------------------------------------------------------------- */

static struct usage_change *change_of(struct engine_event *event, const struct holder *holder)
{
    struct usage_change *change = event->usage;

    for (uint32_t i = 0; i < event->usage_count; i++, change++) {
        if (change->before.group == holder->group && change->before.id == holder->id)
            return change;
    }
    event->usage_count++;
    change->before = record_of(holder);
    return change;
}

/* Add amount x time to what a holder has used; negative: take it out. */
static void book(struct engine *engine, struct engine_event *event, struct holder *holder, wide ppm,
                 int64_t start_ns, int64_t until_ns)
{
    const struct quota_calendar *calendar = engine->accounts.calendar;
    const struct fairshare_scale scale = accounts_scale(engine);

    if (!holder)
        return;
    struct usage_change *change = change_of(event, holder);
    quota_hours_spend(&holder->quota.day, &calendar->day, ppm, start_ns, until_ns);
    quota_hours_spend(&holder->quota.week, &calendar->week, ppm, start_ns, until_ns);
    if (!holder->group) {
        struct fairshare *share = accounts_share(engine, holder);

        fairshare_book(share, &scale, ppm, start_ns, until_ns);
        holder->epoch = share->epoch;
        holder->booked = share->booked;
        holder->known = false;
    }
    change->after = record_of(holder);
}

static void book_record(struct engine *engine, struct engine_event *event,
                        const struct partition *partition, int sign)
{
    int64_t until_ns = event->at_ns < partition->end_ns ? event->at_ns : partition->end_ns;
    wide ppm = sign * (wide)accounts_ppm(engine, partition);

    if (partition->state == PARTITION_PENDING || !partition_holds(partition) ||
        until_ns <= partition->start_ns)
        return;
    book(engine, event, accounts_find(engine, false, accounts_of(engine, partition->uid)), ppm,
         partition->start_ns, until_ns);
    if (partition->quota_group)
        book(engine, event, accounts_find(engine, true, partition->quota_group), ppm,
             partition->start_ns, until_ns);
}

void accounts_book(struct engine *engine, struct engine_event *event)
{
    if (!event->usage || event->kind == EVENT_SETTING ||
        (!event_kind_is_end(event->kind) && accounts_alike(&event->before, &event->after)))
        return;
    book_record(engine, event, &event->before, 1);
    if (!event_kind_is_end(event->kind))
        book_record(engine, event, &event->after, -1);
}

void accounts_drop(struct engine_event *event, struct holder *holder)
{
    const struct usage_record none = {.group = holder->group, .id = holder->id};

    change_of(event, holder)->after = none;
    set_record(holder, &none);
}

int accounts_prepare_revert(struct engine *engine, const struct engine_event *event)
{
    for (uint32_t i = 0; i < event->usage_count; i++) {
        if (!accounts_get(engine, event->usage[i].before.group, event->usage[i].before.id))
            return -ENOMEM;
    }
    return event->before.id && event->kind != EVENT_NOTE ? accounts_prepare(engine, &event->before)
                                                         : 0;
}

void accounts_revert(struct engine *engine, const struct engine_event *event)
{
    engine->accounts.total_known = false;
    for (uint32_t i = 0; i < event->usage_count; i++) {
        const struct usage_record *before = &event->usage[i].before;
        struct holder *holder = accounts_find(engine, before->group, before->id);

        if (holder)
            set_record(holder, before);
    }
}

/* -- half-life ---------------------------------------------------------------------- */

/* Change all that a holder has used until now to another scale. */
static void rescale(struct engine *engine, struct holder *holder, const struct fairshare_scale *to,
                    int64_t now_ns)
{
    const struct fairshare_scale from = accounts_scale(engine);
    struct fairshare share = {.booked = (wide)accounts_usage(engine, holder, now_ns)};
    const struct tally_mark *mark = NULL;
    const struct entry *entry;

    fairshare_settle(&holder->share, &from, now_ns);
    share.epoch = holder->share.epoch;
    fairshare_rescale(&share, &from, to, now_ns);
    while ((entry = next_charged(holder, &mark))) {
        if (entry->partition.state != PARTITION_PENDING && mark->at_ns <= now_ns)
            fairshare_hold(&share, to, (uint64_t)mark->delta_ppm, mark->at_ns, now_ns);
    }
    holder->share = share;
    holder->epoch = share.epoch;
    holder->booked = share.booked;
    holder->known = false;
}

int accounts_change_half_life(struct engine *engine, struct engine_event *event,
                              int64_t half_life_ns)
{
    const struct fairshare_scale to = {half_life_ns, engine->accounts.origin_ns};
    struct avl *holders = &engine->accounts.holders;
    uint32_t count = 0;

    for (struct avl_node *node = avl_first(holders); node; node = avl_after(holders, node))
        count++;
    engine->accounts.total_known = false;
    event->usage = count ? calloc(count, sizeof(*event->usage)) : NULL;
    if (count && !event->usage)
        return -ENOMEM;
    for (struct avl_node *node = avl_first(holders); node; node = avl_after(holders, node)) {
        struct holder *holder = avl_entry(node, struct holder, node);

        if (holder->group)
            continue;
        struct usage_change *change = change_of(event, holder);
        rescale(engine, holder, &to, event->at_ns);
        change->after = record_of(holder);
    }
    return 0;
}

/* -- restoring ------------------------------------------------------------------------ */

void engine_restore_origin(struct engine *engine, int64_t origin_ns)
{
    engine->accounts.origin_ns = origin_ns;
}

int engine_restore_usage(struct engine *engine, const struct usage_record *record)
{
    struct holder *holder = accounts_get(engine, record->group, record->id);

    if (!holder)
        return -ENOMEM;
    set_record(holder, record);
    return 0;
}
