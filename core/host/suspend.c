/* SPDX-License-Identifier: Apache-2.0 */
/* Suspend and resume; see suspend.h. */
#include "suspend_steps.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const struct avl_node *one, const struct avl_node *other)
{
    uint64_t a = avl_entry_const(one, struct suspension, by_id)->partition.id;
    uint64_t b = avl_entry_const(other, struct suspension, by_id)->partition.id;
    return a < b ? -1 : a > b;
}

static const struct avl_kind kind_id = {.compare = compare_id};

static struct suspension *find(const struct suspensions *suspensions, uint64_t id)
{
    const struct suspension probe = {.partition.id = id};
    struct avl_node *node = avl_find(&suspensions->by_id, &probe.by_id);
    return node ? avl_entry(node, struct suspension, by_id) : NULL;
}

static struct suspension *add(struct suspensions *suspensions, const struct partition *partition,
                              uint32_t account)
{
    struct suspension *suspension = calloc(1, sizeof(*suspension));
    if (!suspension)
        return NULL;
    suspension->partition = *partition;
    suspension->account = account;
    suspension->bytes = partition->suspended_bytes;
    suspension->count = partition->suspended_count;
    suspensions->by_id.kind = &kind_id;
    avl_insert(&suspensions->by_id, &suspension->by_id);
    return suspension;
}

/* -- from outside ---------------------------------------------------------------------------- */

int suspend_leave(struct suspensions *suspensions, int64_t now_ns,
                  const struct partition *partition, uint32_t account)
{
    struct suspension *suspension = find(suspensions, partition->id);
    if (!suspension) {
        suspension = add(suspensions, partition, account);
        if (!suspension)
            return -ENOMEM;
        suspend_steps_turn(suspension, false, now_ns);
        return 0;
    }
    suspension->partition = *partition;
    /* Its lease was over before they were back: those that are frozen stay where they are. */
    if (suspension->back && suspension->frozen && suspension->rounds == 0)
        suspend_steps_away(suspensions, suspension, now_ns);
    else if (suspension->back)
        suspension->again = true;
    else if (suspension->step == STEP_AWAY)
        suspend_steps_away(suspensions, suspension, now_ns);
    return 0; /* else it is leaving already: what was not durable has happened again */
}

void suspend_noted(struct suspensions *suspensions, uint64_t id, int64_t now_ns)
{
    struct suspension *suspension = find(suspensions, id);
    if (suspension)
        suspend_steps_noted(suspensions, suspension, now_ns);
}

int suspend_return(struct suspensions *suspensions, int64_t now_ns,
                   const struct partition *partition, uint32_t account)
{
    struct suspension *suspension = find(suspensions, partition->id);
    if (!suspension)
        suspension = add(suspensions, partition, account);
    if (!suspension)
        return -ENOMEM;
    suspension->partition = *partition;
    if (!suspension->back)
        suspend_steps_turn(suspension, true, now_ns);
    return 0;
}

bool suspend_drop(struct suspensions *suspensions, uint64_t id)
{
    struct suspension *suspension = find(suspensions, id);
    if (suspension)
        suspend_steps_forget(suspensions, suspension);
    return suspension;
}

bool suspend_has(const struct suspensions *suspensions, uint64_t id)
{
    return find(suspensions, id);
}

void suspend_clear(struct suspensions *suspensions)
{
    struct avl_node *node;
    while ((node = avl_first(&suspensions->by_id)))
        suspend_steps_forget(suspensions, avl_entry(node, struct suspension, by_id));
}

/* -- after a restart ------------------------------------------------------------------------- */

int suspend_restore(struct suspensions *suspensions, const struct partition *partition,
                    uint32_t account)
{
    return add(suspensions, partition, account) ? 0 : -ENOMEM;
}

void suspend_found(struct suspensions *suspensions, uint64_t id, bool frozen)
{
    struct suspension *suspension = find(suspensions, id);
    if (!suspension)
        return;
    suspension->found = true;
    suspension->frozen = frozen;
}

static struct suspension *next(const struct suspensions *suspensions, uint64_t after_id)
{
    const struct suspension probe = {.partition.id = after_id};
    struct avl_node *node = avl_after(&suspensions->by_id, &probe.by_id);
    return node ? avl_entry(node, struct suspension, by_id) : NULL;
}

/* One that is away is frozen again, however it was thawed. */
static void take_up(struct suspensions *suspensions, struct suspension *suspension, int64_t now_ns)
{
    const uint32_t stage = suspension->partition.suspend_stage;
    if (!suspension->found && !suspensions->start.impossible) {
        suspend_steps_report_empty(suspensions, suspension, now_ns);
    } else if (stage == SUSPEND_AWAY) {
        proctrack_freeze(suspensions->start.proctrack, suspension->partition.id, true);
        suspension->frozen = true;
        suspension->step = STEP_AWAY;
        suspension->due_ns = now_ns;
    } else {
        suspend_steps_turn(suspension, stage == SUSPEND_RETURNING, now_ns);
    }
}

void suspend_begin(struct suspensions *suspensions, int64_t now_ns)
{
    struct suspension *suspension;
    for (uint64_t id = 0; (suspension = next(suspensions, id));) {
        id = suspension->partition.id;
        take_up(suspensions, suspension, now_ns);
    }
}

/* -- turns ------------------------------------------------------------------------------------- */

/* Those that are on their way, by account. */
struct turns {
    uint32_t accounts[SUSPEND_RUNNING_MAX];
    size_t count;
};

static bool may_run(const struct turns *turns, uint32_t account)
{
    size_t own = 0;
    for (size_t i = 0; i < turns->count; i++)
        own += turns->accounts[i] == account;
    return turns->count < SUSPEND_RUNNING_MAX && own < SUSPEND_ACCOUNT_MAX;
}

static void begin_turns(struct suspensions *suspensions, int64_t now_ns)
{
    struct suspension *suspension;
    struct turns turns = {.count = 0};
    for (uint64_t id = 0; (suspension = next(suspensions, id)); id = suspension->partition.id)
        if (suspension->running)
            turns.accounts[turns.count++] = suspension->account;
    for (uint64_t id = 0;
         turns.count < SUSPEND_RUNNING_MAX && (suspension = next(suspensions, id));) {
        id = suspension->partition.id;
        const uint32_t account = suspension->account;
        if (suspension->step != STEP_TURN || !may_run(&turns, account))
            continue;
        suspend_steps_begin(suspensions, suspension, now_ns);
        suspension = find(suspensions, id); /* it can be over at once */
        if (suspension && suspension->running)
            turns.accounts[turns.count++] = account;
    }
}

void suspend_step(struct suspensions *suspensions, int64_t now_ns)
{
    struct suspension *suspension;
    for (uint64_t id = 0; (suspension = next(suspensions, id));) {
        id = suspension->partition.id;
        suspend_steps_take(suspensions, suspension, now_ns);
    }
    begin_turns(suspensions, now_ns);
}

static bool is_asking(const struct suspension *suspension)
{
    return suspension->checkpoint && checkpoint_fd(suspension->checkpoint) >= 0;
}

int64_t suspend_next_ns(const struct suspensions *suspensions, int64_t now_ns)
{
    int64_t next_ns = INT64_MAX;
    const struct suspension *suspension;
    for (uint64_t id = 0; (suspension = next(suspensions, id)); id = suspension->partition.id) {
        int64_t limit_ns = suspend_steps_limit_ns(suspensions, suspension);
        /* Each step looks whose turn it is. */
        int64_t due_ns = suspension->step == STEP_TURN ? INT64_MAX : suspension->due_ns;
        if (is_asking(suspension)) /* by another clock */
            due_ns = now_ns + checkpoint_due_ns(suspension->checkpoint) - clock_monotonic_ns();
        due_ns = limit_ns < due_ns ? limit_ns : due_ns;
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    return next_ns;
}

nfds_t suspend_poll(const struct suspensions *suspensions, struct pollfd *fds)
{
    nfds_t count = 0;
    const struct suspension *suspension;
    for (uint64_t id = 0; suspensions->running && (suspension = next(suspensions, id));
         id = suspension->partition.id)
        if (is_asking(suspension) && count < SUSPEND_RUNNING_MAX)
            fds[count++] =
                (struct pollfd){.fd = checkpoint_fd(suspension->checkpoint), .events = POLLIN};
    return count;
}
