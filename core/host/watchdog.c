/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog; see watchdog.h. A look sorts what was seen, finds the troubles in it,
 * joins them with those that are known, and then takes the steps that are due. All
 * memory is taken before the first step, so that a look is done or not done.
 */
#include "watchdog_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int watchdog_new(struct watchdog **ret_watchdog)
{
    *ret_watchdog = calloc(1, sizeof(**ret_watchdog));
    return *ret_watchdog != NULL ? 0 : -ENOMEM;
}

struct watchdog *watchdog_free(struct watchdog *watchdog)
{
    if (watchdog != NULL)
        free(watchdog->violations.items);
    free(watchdog);
    return NULL;
}

/* -- joining ------------------------------------------------------------------------- */

/* Whether the process is a member that uses the partition's device. */
static bool is_member(const struct view *view, const struct violation *violation)
{
    const struct watchdog_process key = {.pid = violation->pid, .start = violation->start};
    for (size_t i = 0; i < view->row_count; i++) {
        const struct watchdog_process *row = view->rows[i];
        if (row->pid == key.pid && row->start == key.start && row->device == violation->device &&
            row->partition_id == violation->partition_id)
            return true;
    }
    return false;
}

/* A trouble that was known and is there again. */
static struct violation go_on(const struct view *view, const struct violation *known,
                              const struct violation *found)
{
    struct violation joined = *found;
    joined.stage = known->stage;
    joined.since_ns = known->since_ns;
    joined.step_ns = known->step_ns;
    if (known->partition_id == 0 || known->stage < VIOLATION_TERM)
        return joined;
    if (is_member(view, known)) { /* who got SIGTERM is still at it */
        joined.pid = known->pid;
        joined.start = known->start;
        joined.pid_uid = known->pid_uid;
    } else { /* it is gone, which was not enough: the next has the same time */
        joined.stage = VIOLATION_WARNED;
        joined.step_ns = view->now_ns;
    }
    return joined;
}

/* Who lets go just before a look and takes again after it gains nothing. */
static bool is_kept(const struct view *view, const struct violation *known)
{
    return view->now_ns - known->seen_ns < view->watchdog->policy.grace_ns;
}

static void join(struct view *view)
{
    const struct list *known = &view->watchdog->violations, *found = &view->found;
    struct list *joined = &view->joined;
    size_t k = 0, f = 0;

    while (k < known->count || f < found->count) {
        int order = k == known->count   ? 1
                    : f == found->count ? -1
                                        : watchdog_compare_keys(&known->items[k], &found->items[f]);
        struct violation *item = &joined->items[joined->count];
        if (order < 0) {
            *item = known->items[k++];
            item->blind = !watchdog_view_knows_device(view, item->device);
            item->seen = item->seen && item->blind;
            joined->count += item->blind || is_kept(view, item);
            continue;
        }
        *item = found->items[f++];
        item->since_ns = view->now_ns;
        if (order == 0)
            *item = go_on(view, &known->items[k++], item);
        item->seen = true;
        item->blind = !watchdog_view_knows_device(view, item->device);
        item->seen_ns = view->now_ns;
        joined->count++;
    }
}

/* -- steps --------------------------------------------------------------------------- */

static void act(struct view *view, const struct violation *violation, enum watchdog_step step,
                const struct watchdog_process *process, bool note)
{
    struct watchdog_action action = {.step = step,
                                     .pid = violation->pid,
                                     .start = violation->start,
                                     .uid = violation->pid_uid,
                                     .device = violation->device,
                                     .partition_id = violation->partition_id,
                                     .note = note,
                                     .word = watchdog_word(violation)};
    if (step == WATCHDOG_DO_SIGNAL)
        action.signo = violation->stage == VIOLATION_TERM ? SIGTERM : SIGKILL;
    if (process != NULL) {
        action.pid = process->pid;
        action.start = process->start;
        action.uid = process->uid;
    }
    watchdog_details(violation, action.details, sizeof(action.details));
    watchdog_violation_message(violation, &view->watchdog->policy, view->now_ns, action.message,
                               sizeof(action.message));
    view->actions++;
    view->fn(view->context, &action);
}

/* Everybody in a partition hears that it is over. */
static void warn(struct view *view, const struct violation *violation)
{
    bool note = true;
    if (violation->partition_id == 0) {
        act(view, violation, WATCHDOG_DO_WARN, NULL, true);
        return;
    }
    for (size_t i = 0; i < view->row_count; i++) {
        const struct watchdog_process *row = view->rows[i];
        if (row->partition_id != violation->partition_id || row->device != violation->device ||
            row->uid == 0)
            continue;
        act(view, violation, WATCHDOG_DO_WARN, row, note);
        note = false;
    }
}

static void step(struct view *view, struct violation *violation)
{
    struct watchdog_counts *counts = &view->watchdog->counts;

    if (!violation->seen || violation->blind ||
        watchdog_due_ns(violation, &view->watchdog->policy) > view->now_ns)
        return;
    violation->stage++;
    violation->step_ns = view->now_ns;
    switch (violation->stage) {
    case VIOLATION_NEW:
    case VIOLATION_REPORTED:
        counts->reported++;
        act(view, violation, WATCHDOG_DO_REPORT, NULL, true);
        break;
    case VIOLATION_WARNED:
        counts->warned++;
        warn(view, violation);
        break;
    case VIOLATION_TERM:
        counts->ended++;
        act(view, violation, WATCHDOG_DO_SIGNAL, NULL, true);
        break;
    case VIOLATION_KILL:
        counts->killed++;
        act(view, violation, WATCHDOG_DO_SIGNAL, NULL, true);
        break;
    }
}

/* -- a look -------------------------------------------------------------------------- */

static int compare_age(const void *a, const void *b)
{
    const struct violation *left = *(struct violation *const *)a,
                           *right = *(struct violation *const *)b;
    int r = COMPARE(left->since_ns, right->since_ns);
    return r != 0 ? r : watchdog_compare_keys(left, right);
}

/* What is known from now on: no more memory than it needs. */
static void keep(struct view *view)
{
    struct list *known = &view->watchdog->violations;
    free(known->items);
    *known = view->joined;
    view->joined.items = NULL;
    if (known->count > 0) {
        void *less = realloc(known->items, known->count * sizeof(struct violation));
        known->items = less != NULL ? less : known->items;
    } else {
        free(known->items);
        known->items = NULL;
    }
}

int watchdog_look(struct watchdog *watchdog, int64_t now_ns, const struct watchdog_policy *policy,
                  const struct watchdog_sample *sample, watchdog_action_fn *fn, void *context)
{
    struct view view = {
        .watchdog = watchdog, .sample = sample, .now_ns = now_ns, .fn = fn, .context = context};
    int r = watchdog_view_begin(&view);

    if (r == 0 && policy->mode == WATCHDOG_OFF) {
        watchdog->policy = *policy;
        keep(&view);
    } else if (r == 0) {
        watchdog->policy = *policy;
        watchdog_view_find(&view);
        join(&view);
        for (size_t i = 0; i < view.joined.count; i++)
            view.order[i] = &view.joined.items[i];
        qsort(view.order, view.joined.count, sizeof(view.order[0]), compare_age);
        for (size_t i = 0; i < view.joined.count && view.actions < WATCHDOG_ACTIONS_MAX; i++)
            step(&view, view.order[i]);
        keep(&view);
    }
    watchdog_view_end(&view);
    return r;
}

/* -- asking -------------------------------------------------------------------------- */

int64_t watchdog_next_ns(const struct watchdog *watchdog)
{
    int64_t next_ns = WATCHDOG_FOREVER;
    for (size_t i = 0; i < watchdog->violations.count; i++) {
        const struct violation *violation = &watchdog->violations.items[i];
        int64_t due_ns = watchdog_due_ns(violation, &watchdog->policy);
        if (violation->seen && !violation->blind && due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

bool watchdog_message(const struct watchdog *watchdog, uint32_t uid, int64_t now_ns, char *message,
                      size_t size)
{
    const struct violation *furthest = NULL;
    for (size_t i = 0; i < watchdog->violations.count; i++) {
        const struct violation *violation = &watchdog->violations.items[i];
        if (violation->uid == uid && violation->seen &&
            (furthest == NULL || violation->stage > furthest->stage ||
             (violation->stage == furthest->stage && violation->step_ns < furthest->step_ns)))
            furthest = violation;
    }
    if (furthest != NULL)
        watchdog_violation_message(furthest, &watchdog->policy, now_ns, message, size);
    return furthest != NULL;
}

void watchdog_count(const struct watchdog *watchdog, struct watchdog_counts *ret_counts)
{
    *ret_counts = watchdog->counts;
    for (size_t i = 0; i < watchdog->violations.count; i++) {
        const struct violation *violation = &watchdog->violations.items[i];
        ret_counts->unmanaged += violation->seen && violation->partition_id == 0;
        ret_counts->over_limit += violation->seen && violation->partition_id != 0;
    }
}
