/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Take events from the engine to the logs, pollers, host thread and committer, and revert them if
 * they cannot be made durable.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "fs/tree/caller.h"
#include "fs/tree/event_text.h"
#include "fs/tree/follow.h"
#include "fs/tree/names.h"
#include "fs/tree/status.h"
#include "fs/tree/waits.h"
#include "invalidate.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The most ends and warnings at once: 20 us each. Requests are served between portions, for
 * PAUSE_NS at least if they keep coming. */
#define PORTION  64u
#define PAUSE_NS (4 * NS_PER_MS)
/* The plan goes on for so long at a time, with requests between; a step takes microseconds. */
#define SLICE_NS     (NS_PER_MS / 2)
#define SLICE_EVENTS 16u

/* Record the time and usage this often while there are partitions: after a reboot they continue
 * from the time that was recorded last. */
#define RECORD_EVERY_NS (60 * NS_PER_SECOND)

/* While changes fail, say so once in this time: users try again and again. */
#define FAILURE_LOG_NS (60 * NS_PER_SECOND)

/* -- time --------------------------------------------------------------------------- */

/* End what is due, at most a portion of it, and go on with the plan for a slice of time. */
static int advance(struct tree *tree)
{
    int r = engine_advance_some(tree->engine, tree->now_ns, PORTION);
    int64_t until_ns = tree->now_ns + SLICE_NS;
    while (!r && !engine_plan_is_finished(tree->engine) && clock_boottime_ns() < until_ns)
        r = engine_advance_some(tree->engine, tree->now_ns, SLICE_EVENTS);
    return r;
}

/* Do what is due, a portion at a time. The time is known to the engine in any case: it does not
 * show what is left, and the timer fires at once for it. */
static void tick(struct server *server, bool pauses)
{
    struct tree *tree = &server->tree;
    submit_read_clocks(server);
    bool waits = pauses && tree->now_ns < server->portion_ns + PAUSE_NS;
    if (!waits) /* else a series that is refused could take it back */
        submit_repair(server);
    bool due = engine_next_wakeup(tree->engine) <= tree->now_ns;
    if (waits ? engine_advance_some(tree->engine, tree->now_ns, 0) : advance(tree))
        log_say("Not enough memory to end partitions; trying again.");
    if (waits)
        return;
    submit_events(server, NULL);
    if (engine_plan_is_finished(tree->engine))
        session_take_back(server->session);
    if (!due)
        return;
    bool more = engine_next_wakeup(tree->engine) <= tree->now_ns;
    submit_read_clocks(server); /* ending them took a while */
    if (more)
        server->portion_ns = tree->now_ns;
}

void submit_tick(struct server *server)
{
    tick(server, true);
}

void submit_handle_timer(struct server *server)
{
    uint64_t count;
    if (read(server->timer_fd, &count, sizeof(count)) == sizeof(count))
        server->armed_ns = ENGINE_FOREVER;
    tick(server, false);
    if (submit_record_due_ns(server) <= server->tree.now_ns)
        submit_events(server, NULL);
    submit_arm_next(server);
}

void submit_handle_clock(struct server *server)
{
    uint64_t count;
    /* ECANCELED: the wall clock was set. It never fires otherwise. */
    (void)!read(server->clock_fd, &count, sizeof(count));
    tick(server, false);
    submit_arm_next(server);
}

bool submit_waits(void *server, uint64_t node_id)
{
    struct tree *tree = &((struct server *)server)->tree;
    struct node node;
    if (engine_plan_is_finished(tree->engine) || !tree_node_from_id(node_id, &node))
        return false;
    if (!node.file)
        return node.dir == DIR_PARTITION;
    const struct file_row *row = tree_row(tree, &node);
    return row && row->plans;
}

/* -- events ------------------------------------------------------------------------ */

/* Send the host thread the policy if it changed, also by a revert. */
static void send_policy(struct server *server)
{
    const struct policy *policy = engine_policy(server->tree.engine);
    /* Padding can only cause a needless update. */
    if (!memcmp(policy, &server->host_policy, sizeof(*policy)))
        return;
    if (!host_set_policy(server->host, policy))
        memcpy(&server->host_policy, policy, sizeof(*policy));
}

static uint32_t account_of(const void *names, uint32_t uid)
{
    return names_account(names, uid);
}

void submit_count_all(struct server *server)
{
    struct tree *tree = &server->tree;
    counters_begin(&tree->counters, tree->engine, tree->now_ns, account_of, tree->names);
}

static void count(struct tree *tree, const struct engine_event *event, bool taken_back)
{
    struct ledger_figures used;
    ledger_get(tree->ledger, event->after.id, &used);
    if (taken_back)
        counters_take_back(&tree->counters, event, tree->now_ns, used.busy_ns, account_of,
                           tree->names);
    else
        counters_event(&tree->counters, event, used.busy_ns, account_of, tree->names);
}

/* Log one event, and return its item for the store. */
static struct store_item log_event(struct tree *tree, const struct engine_event *event, char *line)
{
    struct store_item item = {.event = event, .line = line};
    if (event->kind == EVENT_MOVED) { /* the pass has a line */
        *line = '\0';
        return item;
    }
    tree_event_line(tree, event, line, STORE_LINE_MAX);
    event_log_skip(&tree->events, tree_line_silent(line));
    event_log_append(&tree->events, event->seq, event->before.change_seq,
                     tree_event_account(tree, event), line);
    count(tree, event, false);
    if (!event_kind_is_end(event->kind))
        return item;
    char history[STORE_LINE_MAX];
    const struct partition *p = &event->after;
    struct ledger_figures used;
    ledger_get(tree->ledger, p->id, &used);
    item.account = event->account;
    item.usage = (struct store_usage){.peak_bytes = used.peak_bytes, .gpu_ns = used.busy_ns};
    struct tree_ended ended = {.partition = p,
                               .start_wall_ns = p->start_ns + tree->offset_ns,
                               .end_wall_ns = p->end_ns + tree->offset_ns,
                               .how = event->kind,
                               .by_uid = event->by_uid,
                               .peak_bytes = used.peak_bytes,
                               .gpu_ns = used.busy_ns};
    tree_history_line(tree, &ended, history, sizeof(history));
    event_log_append(&tree->history, event->seq, 0, event->account, history);
    return item;
}

/* Add the usage of live partitions when it is due. Out of memory: a later change carries it. Each
 * commit records the time. */
static void add_record(struct server *server, struct change *change)
{
    struct tree *tree = &server->tree;
    if (submit_record_due_ns(server) > tree->now_ns)
        return;
    server->record_due_ns = tree->now_ns + RECORD_EVERY_NS;
    change->records = true;
    change->usages = calloc(ledger_changed(tree->ledger), sizeof(*change->usages));
    uint32_t cursor = 0;
    uint64_t id;
    struct ledger_figures used;
    while (change->usages && ledger_take_changed(tree->ledger, &cursor, &id, &used))
        change->usages[change->usage_count++] =
            (struct store_partition_usage){id, {used.peak_bytes, used.busy_ns}};
}

/* Return NULL if out of memory. */
static struct change *change_new(struct server *server, struct engine_event *events,
                                 const struct change *answer)
{
    size_t count = 0;
    bool moves = false;
    for (const struct engine_event *e = events; e; e = e->next) {
        count++;
        moves |= e->kind == EVENT_MOVED || e->kind == EVENT_STARTED;
    }
    struct change *change =
        malloc(sizeof(*change) + count * (sizeof(struct store_item) + STORE_LINE_MAX));
    if (!change)
        return NULL;
    *change = answer ? *answer : (struct change){.reply = {.kind = REPLY_NONE}};
    change->events = events;
    change->event_count = count;
    change->moves = moves;
    change->after_left = session_after_left(server->session);
    add_record(server, change);
    return change;
}

/* Log the events, wake pollers, and notify the host thread. Call it before the committer gets the
 * change: that may free it at any time. */
static void publish(struct server *server, struct change *change)
{
    struct store_item *item = change->items;
    char *line = (char *)&change->items[change->event_count];
    for (const struct engine_event *e = change->events; e; e = e->next, line += STORE_LINE_MAX)
        *item++ = log_event(&server->tree, e, line);
    poll_wake(server, change->events);
    if (change->reply.kind == REPLY_NONE) /* ends: tell them before waking threads of our own */
        poll_wake_some(server);
    host_events(server->host, change->events, true);
    send_policy(server);
    submit_arm_next(server);
}

/* Note a pass that has moved requests, with their number, on each device. Out of memory: the line
 * is missing. */
static void note_passes(struct tree *tree)
{
    uint32_t moved;
    for (uint32_t device = 0;
         (device = waits_next_device(tree, device, &moved)) != ENGINE_DEVICE_ANY; device++) {
        const struct partition about = {
            .uid = ENGINE_UID_NONE, .share_count = 1, .shares[0].device = device};
        char details[32];
        snprintf(details, sizeof(details), "moved=%u", (unsigned)moved);
        if (moved)
            engine_note(tree->engine, tree->now_ns, &about, tree->shared->admin_uid, "forward",
                        details);
    }
}

/* Take the events, with lines of passes that are finished. */
static struct engine_event *take_new(struct server *server)
{
    struct tree *tree = &server->tree;
    struct engine_event *events = engine_take_events(tree->engine), **last = &events;
    for (; *last; last = &(*last)->next) {
        tree->last_seq = (*last)->seq;
        waits_note(tree, *last);
    }
    if (waits_is_news(tree)) {
        note_passes(tree);
        *last = engine_take_events(tree->engine);
        poll_wake_queues(server);
    }
    return events;
}

void submit_events(struct server *server, const struct change *answer)
{
    struct tree *tree = &server->tree;
    struct engine_event *events = take_new(server);
    if (!events && !answer && submit_record_due_ns(server) > tree->now_ns)
        return;
    struct change *change = change_new(server, events, answer);
    if (!change) {
        engine_revert(tree->engine, events);
        engine_events_free(events);
        server->repair_is_due = true; /* it may have been among them */
        submit_arm_next(server);
        if (answer)
            committer_refuse(&answer->reply, ENOMEM);
        return;
    }
    if (events)
        publish(server, change);
    committer_submit(server->committer, change, engine_policy(tree->engine)->retention_ns,
                     event_log_first(&tree->events));
}

/* -- failures ---------------------------------------------------------------------- */

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

/* Restore the state before these events. */
static void take_back(struct server *server, const struct engine_event *events)
{
    struct tree *tree = &server->tree;
    event_log_truncate(&tree->events, events->seq);
    event_log_truncate(&tree->history, events->seq);
    follow_take_back(&server->handles, events->seq);
    for (const struct engine_event *e = events; e; e = e->next)
        count(tree, e, true);
    if (engine_revert(tree->engine, events)) {
        log_say("Cannot revert changes that could not be made durable; restarting from the state.");
        abort(); /* the next worker loads what is durable */
    }
    server->repair_is_due = true;
    caller_find_admin_group(tree);
    send_policy(server);
    if (submit_close_unheld(server))
        log_say("Not enough memory to end the partitions of closed files.");
    invalidate_taken_back(server->session, events, server->tree.device_count);
    submit_arm_next(server);
}

static void refuse_change(struct server *server, const struct change *change, const char *message)
{
    if (change->reply.kind == REPLY_NONE)
        return;
    if (change->reply.kind == REPLY_TEXT) {
        change->reply.again(change->reply.reader);
        return;
    }
    const struct status_writer writer = {change->uid, change->tid, change->fh};
    status_refuse(&server->tree, &writer, handles_get(&server->handles, change->fh), message);
    committer_refuse(&change->reply, EIO);
}

/* Move all events out of the changes, oldest first. */
static struct engine_event *take_events(struct change *changes)
{
    struct engine_event *events = NULL, **last = &events;
    for (struct change *c = changes; c; c = c->next) {
        *last = c->events;
        while (*last)
            last = &(*last)->next;
        c->events = NULL;
    }
    return events;
}

/* Log a failure, and how many were not. */
static void log_failure(struct server *server, const char *what, const char *why)
{
    const int64_t now_ns = clock_boottime_ns();
    if (server->failure_logged_ns && now_ns - server->failure_logged_ns < FAILURE_LOG_NS) {
        server->failures_unlogged++;
        return;
    }
    if (server->failures_unlogged)
        log_say("%s %s %llu earlier failures were not logged.", what, why,
                (unsigned long long)server->failures_unlogged);
    else
        log_say("%s %s", what, why);
    server->failure_logged_ns = now_ns;
    server->failures_unlogged = 0;
}

uint64_t submit_handle_failure(struct server *server)
{
    struct message message = {""};
    struct change *changes = committer_take_failed(server->committer, &message);
    struct engine_event *events = take_events(changes);
    uint64_t first_id = UINT64_MAX;
    for (const struct engine_event *e = events; e && first_id == UINT64_MAX; e = e->next)
        if (e->kind == EVENT_CREATED)
            first_id = e->after.id;
    if (events) {
        take_back(server, events);
        log_failure(server, "Reverted changes that could not be made durable.", message.text);
    } else if (changes) {
        log_failure(server, "Cannot record the time and usage; trying again later.", message.text);
    }
    engine_events_free(events);
    for (struct change *next; changes; changes = next) {
        next = changes->next;
        for (size_t i = 0; i < changes->usage_count; i++)
            ledger_put_back(server->tree.ledger, changes->usages[i].id);
        refuse_change(server, changes, message.text);
        committer_change_free(changes);
    }
    submit_events(server, NULL); /* what submit_close_unheld ended */
    submit_tick(server);
    submit_arm_next(server);
    return first_id;
}
