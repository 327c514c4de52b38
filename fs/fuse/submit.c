/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the engine's events to the committer: their lines, whom they wake, their answer;
 * and back, when they could not be made durable. Also the clocks and the timer.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "fs/tree/status.h"
#include "invalidate.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The two clocks tick together: a difference above this is a step of the wall
 * clock, one below is the time between reading them. */
#define STEP_NS NS_PER_MS

/* -- time --------------------------------------------------------------------------- */

static void read_clocks(struct tree *tree)
{
    tree->now_ns = clock_boottime_ns();
    int64_t offset_ns = clock_realtime_ns() - tree->now_ns;
    int64_t step_ns = offset_ns - tree->offset_ns;
    if (step_ns > STEP_NS || step_ns < -STEP_NS)
        tree->offset_ns = offset_ns;
}

/* A timer that is set too early costs less than setting it each time. */
void submit_arm(struct server *server, int64_t at_ns)
{
    if (at_ns >= server->armed_ns)
        return;
    const struct itimerspec spec = {.it_value = clock_timespec(at_ns > 1 ? at_ns : 1)};
    timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    server->armed_ns = at_ns;
}

static void arm_engine(struct server *server)
{
    submit_arm(server, engine_next_wakeup(server->tree.engine));
}

void submit_tick(struct server *server)
{
    struct tree *tree = &server->tree;
    read_clocks(tree);
    /* Ending many takes time in which more may have come to their end. */
    for (int round = 0; round < 3 && engine_next_wakeup(tree->engine) <= tree->now_ns; round++) {
        if (engine_advance(tree->engine, tree->now_ns))
            log_say("not enough memory to end partitions; trying again");
        submit_events(server, NULL);
        read_clocks(tree);
    }
}

void submit_handle_timer(struct server *server)
{
    uint64_t count;
    if (read(server->timer_fd, &count, sizeof(count)) == sizeof(count))
        server->armed_ns = ENGINE_FOREVER;
    submit_tick(server);
    arm_engine(server);
}

/* -- what changed ------------------------------------------------------------------- */

struct host_policy submit_policy(const struct server *server)
{
    const struct policy *policy = engine_policy(server->tree.engine);
    _Static_assert((int)POLICY_WATCHDOG_OFF == (int)WATCHDOG_OFF &&
                       (int)POLICY_WATCHDOG_END == (int)WATCHDOG_END,
                   "the policy's words are the watchdog's modes");
    return (struct host_policy){.watchdog = (enum watchdog_mode)policy->watchdog,
                                .device_access = policy->device_access,
                                .watchdog_interval_ns = policy->watchdog_interval_ns,
                                .watchdog_grace_ns = policy->watchdog_grace_ns};
}

/* The host thread hears of another policy, also when one was taken back. */
static void tell_policy(struct server *server)
{
    const struct host_policy policy = submit_policy(server), *told = &server->told_policy;
    if (policy.watchdog == told->watchdog && policy.device_access == told->device_access &&
        policy.watchdog_interval_ns == told->watchdog_interval_ns &&
        policy.watchdog_grace_ns == told->watchdog_grace_ns)
        return;
    if (!host_policy(server->host, &policy))
        server->told_policy = policy;
}

/* The lines of one event, in the logs and for the store. */
static void log_event(struct tree *tree, const struct engine_event *event, char *line)
{
    tree_event_line(tree, event, line, STORE_LINE_MAX);
    event_log_append(&tree->events, event->seq, event->before.change_seq, line);
    if (!event_kind_is_end(event->kind))
        return;
    char history[STORE_LINE_MAX], device[16];
    const struct partition *p = &event->after;
    snprintf(device, sizeof(device), "gpu%u", (unsigned)p->device);
    tree_history_line(tree, p, device, p->start_ns + tree->offset_ns, p->end_ns + tree->offset_ns,
                      event->kind, event->by_uid, history, sizeof(history));
    event_log_append(&tree->history, event->seq, 0, history);
}

static struct change *change_new(const struct server *server, struct engine_event *events,
                                 const struct change *answer)
{
    size_t count = 0;
    for (const struct engine_event *e = events; e; e = e->next)
        count++;
    struct change *change = malloc(sizeof(*change) + count * STORE_LINE_MAX);
    if (!change)
        return NULL;
    *change = answer ? *answer : (struct change){.reply = {.kind = REPLY_NONE}};
    change->events = events;
    change->event_count = count;
    change->after_resent = session_after_resent(server->session);
    return change;
}

/* Everybody but the committer hears of what changed: it gets the change last, and then it
 * is not ours to look at. */
static void tell(struct server *server, struct change *change)
{
    char *line = change->lines;
    for (const struct engine_event *e = change->events; e; e = e->next, line += STORE_LINE_MAX)
        log_event(&server->tree, e, line);
    poll_wake(server, change->events);
    host_events(server->host, change->events, true);
    tell_policy(server);
    arm_engine(server);
}

void submit_events(struct server *server, const struct change *answer)
{
    struct tree *tree = &server->tree;
    struct engine_event *events = engine_take_events(tree->engine);
    if (!events && !answer)
        return;
    struct change *change = change_new(server, events, answer);
    if (!change) {
        engine_revert(tree->engine, events);
        engine_events_free(events);
        arm_engine(server);
        if (answer)
            committer_refuse(&answer->reply, ENOMEM);
        return;
    }
    if (events)
        tell(server, change);
    committer_submit(server->committer, change, engine_policy(tree->engine)->retention_ns,
                     event_log_first(&tree->events));
}

/* -- what could not be made durable -------------------------------------------------- */

int submit_close_unheld(struct server *server)
{
    struct tree *tree = &server->tree;
    const struct partition *p;
    int r = 0;
    for (uint64_t after = 0; !r && (p = engine_next(tree->engine, after));) {
        after = p->id;
        if (p->hold && !handles_get(&server->handles, p->hold))
            r = engine_close_hold(tree->engine, tree->now_ns, p->hold);
    }
    return r;
}

/* Everything is again as it was before these events. */
static void take_back(struct server *server, const struct engine_event *events)
{
    struct tree *tree = &server->tree;
    event_log_truncate(&tree->events, events->seq);
    event_log_truncate(&tree->history, events->seq);
    if (engine_revert(tree->engine, events)) {
        log_say("cannot take back what could not be made durable; starting anew from the state");
        abort(); /* the next worker reads what is durable */
    }
    tree_find_admin_group(tree);
    tell_policy(server);
    if (submit_close_unheld(server))
        log_say("not enough memory to end the partitions of closed files");
    invalidate_events(server->session, events, true);
    arm_engine(server);
}

static void refuse_change(struct server *server, const struct change *change, const char *message)
{
    if (change->reply.kind == REPLY_NONE)
        return;
    char text[STORE_MESSAGE_MAX + 64];
    snprintf(text, sizeof(text), "Nothing happened, because it could not be made durable: %s",
             message);
    status_set(server->tree.shared, change->uid, text);
    struct shared_handle *handle = handles_get(&server->handles, change->fh);
    if (handle)
        handle->answer = 0;
    committer_refuse(&change->reply, EIO);
}

void submit_handle_failure(struct server *server)
{
    char message[STORE_MESSAGE_MAX] = "";
    struct change *changes = committer_take_failed(server->committer, message);
    struct engine_event *events = NULL, **last = &events;
    if (!changes)
        return;
    for (struct change *c = changes; c; c = c->next) {
        *last = c->events;
        while (*last)
            last = &(*last)->next;
        c->events = NULL;
    }
    if (events)
        take_back(server, events);
    engine_events_free(events);
    for (struct change *next; changes; changes = next) {
        next = changes->next;
        refuse_change(server, changes, message);
        committer_change_free(changes);
    }
    log_say("could not make changes durable: %s", message);
    submit_events(server, NULL); /* what closing files ended */
    submit_tick(server);
}
