/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the engine's events to the committer: their lines, their waiters, their
 * answer; and back, when they could not be made durable. See server.h.
 */
#include "core/base/log.h"
#include "fs/tree/status.h"
#include "invalidate.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

/* The two clocks tick together: a difference above this is a step of the wall
 * clock, one below is the time between reading them. */
#define STEP_NS 1000000

/* What partitions use changes all the time; it is written at most so often. */
#define USAGE_EVERY_NS (60 * NS_PER_SECOND)

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static void read_clocks(struct tree *tree)
{
    tree->now_ns = clock_ns(CLOCK_BOOTTIME);
    int64_t offset_ns = clock_ns(CLOCK_REALTIME) - tree->now_ns;
    int64_t step_ns = offset_ns - tree->offset_ns;
    if (step_ns > STEP_NS || step_ns < -STEP_NS)
        tree->offset_ns = offset_ns;
}

/* When what partitions used has to be written; ENGINE_FOREVER: nothing changed. */
static int64_t usage_due_ns(const struct server *server)
{
    return ledger_changed(server->tree.ledger) ? server->usage_due_ns : ENGINE_FOREVER;
}

void submit_arm(struct server *server)
{
    int64_t at_ns = engine_next_wakeup(server->tree.engine), due_ns = usage_due_ns(server);
    if (due_ns < at_ns)
        at_ns = due_ns;
    if (at_ns == server->armed_ns)
        return;
    struct itimerspec spec = {0};
    if (at_ns != ENGINE_FOREVER) {
        int64_t set_ns = at_ns > 1 ? at_ns : 1;
        spec.it_value.tv_sec = (time_t)(set_ns / NS_PER_SECOND);
        spec.it_value.tv_nsec = (long)(set_ns % NS_PER_SECOND);
    }
    timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    server->armed_ns = at_ns;
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
    if (usage_due_ns(server) <= tree->now_ns)
        submit_events(server, NULL);
}

/* The lines of one event, in the logs and for the store. */
static struct store_item log_event(struct tree *tree, const struct engine_event *event, char *line)
{
    struct store_item item = {.event = event, .line = line};
    tree_event_line(tree, event, line, STORE_LINE_MAX);
    event_log_append(&tree->events, event->seq, event->before.change_seq, line);
    if (!event_kind_is_end(event->kind))
        return item;
    char history[STORE_LINE_MAX];
    const struct partition *p = &event->after;
    struct ledger_figures used;
    ledger_get(tree->ledger, p->id, &used);
    item.usage = (struct store_usage){.peak_bytes = used.peak_bytes, .gpu_ns = used.busy_ns};
    struct tree_ended ended = {.partition = p,
                               .device = p->shares[0].device,
                               .start_wall_ns = p->start_ns + tree->offset_ns,
                               .end_wall_ns = p->end_ns + tree->offset_ns,
                               .how = event->kind,
                               .by_uid = event->by_uid,
                               .peak_bytes = used.peak_bytes,
                               .gpu_ns = used.busy_ns};
    tree_history_line(tree, &ended, history, sizeof(history));
    event_log_append(&tree->history, event->seq, 0, history);
    return item;
}

/* What live partitions used goes along when it is time. Without memory it goes later. */
static void add_usages(struct server *server, struct change *change)
{
    struct tree *tree = &server->tree;
    if (usage_due_ns(server) > tree->now_ns)
        return;
    server->usage_due_ns = tree->now_ns + USAGE_EVERY_NS;
    change->usages = calloc(ledger_changed(tree->ledger), sizeof(*change->usages));
    uint32_t cursor = 0;
    uint64_t id;
    struct ledger_figures used;
    while (change->usages && ledger_take_changed(tree->ledger, &cursor, &id, &used))
        change->usages[change->usage_count++] =
            (struct store_partition_usage){id, {used.peak_bytes, used.busy_ns}};
}

/* NULL without memory: then the engine has taken it back. */
static struct change *make_change(struct server *server, const struct change *answer)
{
    struct tree *tree = &server->tree;
    struct engine_event *events = engine_take_events(tree->engine);
    size_t count = 0;
    for (const struct engine_event *e = events; e; e = e->next)
        count++;
    struct change *change = malloc(sizeof(*change));
    char *lines = calloc(count ? count : 1, STORE_LINE_MAX);
    struct store_item *items = calloc(count ? count : 1, sizeof(*items));
    if (!change || !lines || !items) {
        engine_revert(tree->engine, events);
        engine_events_free(events);
        free(change);
        free(lines);
        free(items);
        return NULL;
    }
    *change = answer ? *answer : (struct change){0};
    change->events = events;
    change->event_count = count;
    change->after_resent = session_after_resent(server->session);
    change->lines = lines;
    change->items = items;
    for (const struct engine_event *e = change->events; e; e = e->next, lines += STORE_LINE_MAX)
        *items++ = log_event(tree, e, lines);
    add_usages(server, change);
    return change;
}

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

void submit_events(struct server *server, const struct change *answer)
{
    struct tree *tree = &server->tree;
    struct change *change = make_change(server, answer);
    if (change) {
        /* Before the committer has it: then it is not ours to look at. */
        if (change->events) {
            poll_wake(server, change->events);
            host_events(server->host, change->events, true);
        }
        committer_submit(server->committer, change, engine_policy(tree->engine)->retention_ns,
                         event_log_first(&tree->events));
    } else if (answer) {
        committer_refuse(&answer->reply, ENOMEM);
    }
    tell_policy(server);
    submit_arm(server);
}

static void refuse_change(struct server *server, const struct change *change, const char *message)
{
    if (change->reply.kind == REPLY_NONE)
        return;
    char text[MESSAGE_MAX + 64];
    snprintf(text, sizeof(text), "Nothing happened, because it could not be made durable: %s",
             message);
    status_set(server->tree.shared, change->uid, text);
    struct shared_handle *handle = handles_get(&server->tree.handles, change->fh);
    if (handle)
        handle->answer = 0;
    committer_refuse(&change->reply, EIO);
}

void submit_handle_failure(struct server *server)
{
    struct tree *tree = &server->tree;
    struct message message = {""};
    struct change *changes = committer_take_failed(server->committer, &message);
    struct engine_event *events = NULL, **last = &events;
    bool asked = false;
    for (struct change *c = changes; c; c = c->next) {
        for (size_t i = 0; i < c->usage_count; i++)
            ledger_put_back(tree->ledger, c->usages[i].id);
        asked = asked || c->events;
        *last = c->events;
        while (*last)
            last = &(*last)->next;
        c->events = NULL;
    }
    if (events) {
        event_log_truncate(&tree->events, events->seq);
        event_log_truncate(&tree->history, events->seq);
        if (engine_revert(tree->engine, events)) {
            log_say(
                "cannot take back what could not be made durable; starting anew from the state");
            abort(); /* the next worker reads what is durable */
        }
        tree_find_admin_group(tree);
        tell_policy(server);
        if (recover_close_unheld(server))
            log_say("not enough memory to end the partitions of closed files");
    }
    invalidate_events(server->session, events, true);
    for (struct change *c = changes, *next; c; c = next) {
        next = c->next;
        refuse_change(server, c, message.text);
        committer_change_free(c);
    }
    if (asked) /* and not only what partitions used: that is tried again */
        log_say("could not make changes durable: %s", message.text);
    engine_events_free(events);
    submit_events(server, NULL); /* what closing files ended */
    submit_tick(server);
}
