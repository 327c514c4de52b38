/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holders that are done with: those that hold nothing, whose windows are over, and of whose usage
 * next to nothing is left. Their record is dropped with an event that books some other usage, and
 * their memory is freed later, between two calls. Root can use the uids of all the world, so both
 * go on a little at a time, faster than new ones come.
 */
#include "internal.h"

#include <stdlib.h>

#define LOOK 8 /* at so many holders at a time */

/* What is left of a second of a whole device does not count. */
static uwide negligible(const struct engine *engine, int64_t now_ns)
{
    const struct fairshare_scale scale = accounts_scale(engine);
    struct fairshare second = {0};

    fairshare_book(&second, &scale, FAIRSHARE_WEIGHT_ONE, now_ns - NS_PER_SECOND, now_ns);
    return fairshare_usage(&second, &scale, now_ns);
}

static bool is_over(const struct quota_spent *spent, const struct windows *windows, int64_t now_ns)
{
    return spent->ppm_ns == 0 || spent->window < windows_at(windows, now_ns).number;
}

static bool is_done(struct engine *engine, struct holder *holder, int64_t now_ns)
{
    const struct quota_calendar *calendar = engine->accounts.calendar;

    return !avl_first(&holder->quota.tally.marks) &&
           is_over(&holder->quota.day, &calendar->day, now_ns) &&
           is_over(&holder->quota.week, &calendar->week, now_ns) &&
           (holder->group || accounts_usage(engine, holder, now_ns) < negligible(engine, now_ns));
}

static bool is_booked(const struct engine_event *event, const struct holder *holder)
{
    for (uint32_t i = 0; i < event->usage_count; i++) {
        if (event->usage[i].before.group == holder->group &&
            event->usage[i].before.id == holder->id)
            return true;
    }
    return false;
}

/* The holder after the one of a cursor, which moves on; NULL at the end: then it begins again. */
static struct holder *next(struct engine *engine, struct holder_cursor *cursor)
{
    struct holder probe = {.group = cursor->group, .id = cursor->id};
    struct avl *holders = &engine->accounts.holders;
    struct avl_node *node = cursor->begun ? avl_after(holders, &probe.node) : avl_first(holders);
    struct holder *holder = node ? avl_entry(node, struct holder, node) : NULL;

    *cursor = holder ? (struct holder_cursor){true, holder->group, holder->id}
                     : (struct holder_cursor){0};
    return holder;
}

void accounts_drop_done(struct engine *engine, struct engine_event *event)
{
    uint32_t most = event->usage_count + ACCOUNTS_DROPS_MAX;

    if (event->usage_count == 0 || event->kind == EVENT_SETTING)
        return;
    for (int i = 0; i < LOOK && event->usage_count < most; i++) {
        struct holder *holder = next(engine, &engine->accounts.done);

        if (!holder)
            return;
        if (accounts_has_used(holder) && !is_booked(event, holder) &&
            is_done(engine, holder, event->at_ns)) {
            accounts_drop(event, holder);
            engine->accounts.any_idle = true;
        }
    }
}

void accounts_free_idle(struct engine *engine)
{
    struct accounts *accounts = &engine->accounts;

    for (int i = 0; i < LOOK && (accounts->idle.begun || accounts->any_idle); i++) {
        if (!accounts->idle.begun) /* what becomes idle from now on needs another walk */
            accounts->any_idle = false;
        accounts_forget_idle(engine, next(engine, &accounts->idle));
    }
}
