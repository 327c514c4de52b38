/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process results of the host thread: answer waiting requests, log notes, update usage. See
 * core/host/host.h and server.h.
 */
#include "core/base/log.h"
#include "core/host/bookings.h"
#include "fs/tree/charge.h"
#include "fs/tree/status.h"
#include "server.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a stopping worker waits for joins in progress. */
#define FINISH_NS NS_PER_SECOND

/* Store usage reported by a driver; a partition that has ended needs no entry. */
static void set_usage(struct tree *tree, const struct host_result *result)
{
    const uint64_t id = share_key_id(result->id);
    if (!engine_find(tree->engine, id))
        return;
    if (ledger_set_driver(tree->ledger, result->id, result->usage.bytes) ||
        ledger_add_busy(tree->ledger, result->id, result->usage.busy_more_ns))
        log_say("Not enough memory to record the usage of p%llu.", (unsigned long long)id);
    ledger_set_rest(tree->ledger, result->id, bookings_rest(tree->bookings, result->id));
}

/* Log violations to the daemon's log as well: the event log is short, and one busy user can push
 * out the lines of others. */
static void log_violation(const struct host_result *result)
{
    if (result->note.is_violation)
        log_say("Watchdog: %s device=gpu%u %s", result->note.word,
                (unsigned)result->note.partition.shares[0].device, result->message);
}

/* Name the device of a note about one of several of a partition: the line has all of them. */
static void name_device(const struct tree *tree, const struct host_result *result, char *text,
                        size_t size)
{
    const struct partition *noted = &result->note.partition;
    const struct partition *partition = noted->id ? engine_find(tree->engine, noted->id) : NULL;
    char on[24] = "";
    if (partition && partition->share_count > 1 && noted->share_count == 1)
        snprintf(on, sizeof(on), "on=gpu%u ", (unsigned)noted->shares[0].device);
    snprintf(text, size, "%s%s", on, result->message);
}

static void note(struct server *server, const struct host_result *result)
{
    struct tree *tree = &server->tree;
    char details[ENGINE_VALUE_MAX + 24];
    log_violation(result);
    name_device(tree, result, details, sizeof(details));
    int r = engine_note(tree->engine, tree->now_ns, &result->note.partition,
                        tree->shared->admin_uid, result->note.word, details);
    if (r)
        log_say("Cannot record the event \"%s %s\": %s.", result->note.word, result->message,
                strerror(-r));
    else
        submit_events(server, NULL);
}

/* Explain to the owner, and in the events, why it was not suspended or resumed. */
static void say_why(struct server *server, const struct host_result *result, const char *word,
                    const char *format)
{
    struct tree *tree = &server->tree;
    const struct partition *partition = &result->suspend.partition;
    const char *why = result->suspend.report.why;
    char message[SHARED_MESSAGE_MAX];
    snprintf(message, sizeof(message), format, (unsigned long long)partition->id, why);
    if (why[0])
        status_set(tree, &(struct status_writer){.uid = partition->uid}, message);
    if (word && why[0])
        engine_note(tree->engine, tree->now_ns, partition, tree->shared->admin_uid, word, why);
}

static void handle_suspended(struct server *server, const struct host_result *result)
{
    struct engine *engine = server->tree.engine;
    const struct suspend_report *report = &result->suspend.report;
    const struct partition *now = engine_find(engine, result->id);
    const bool leaving = now && now->suspend_stage == SUSPEND_LEAVING;
    const int64_t now_ns = server->tree.now_ns;
    int r = 0;
    switch (report->outcome) {
    case SUSPEND_MEASURED:
        r = engine_suspend_measured(engine, now_ns, result->id, report->bytes, report->count);
        break;
    case SUSPEND_DONE:
        r = engine_suspended(engine, now_ns, result->id, report->took_ns);
        break;
    case SUSPEND_BACK:
        r = engine_resumed(engine, now_ns, result->id, report->took_ns);
        break;
    case SUSPEND_NO_ROOM:
        say_why(server, result, NULL, "p%llu could not be resumed: %s It is suspended as before.");
        r = engine_resume_failed(engine, now_ns, result->id, report->why);
        break;
    case SUSPEND_FAILED:
        say_why(server, result, "suspend-failed", "p%llu has ended, and was not suspended: %s");
        r = engine_suspend_end(engine, now_ns, result->id, ON_EXPIRY_TERM);
        break;
    case SUSPEND_LOST:
        say_why(server, result, leaving ? "suspend-failed" : "resume-failed",
                "p%llu has ended, and its programs are lost: %s");
        r = engine_suspend_end(engine, now_ns, result->id, ON_EXPIRY_KILL);
        break;
    case SUSPEND_EMPTY:
        r = engine_suspend_end(engine, now_ns, result->id, ON_EXPIRY_KILL);
        break;
    }
    if (r) {
        log_say("Not enough memory to record what became of p%llu; starting again.",
                (unsigned long long)result->id);
        abort(); /* the next worker asks again */
    }
    submit_events(server, NULL);
}

static void handle(struct server *server, struct host_result *result)
{
    struct tree *tree = &server->tree;
    switch (result->kind) {
    case RESULT_JOINED:
        pending_joined(server, result);
        break;
    case RESULT_MEMBERS:
        members_put(&server->members, result->id, result->members.asked_ns, result->members.text,
                    result->members.length, result->members.cgroups);
        pending_answer(server, result->id, result->members.asked_ns);
        used_members(server, result);
        if (result->members.settles)
            charge_settle(tree, &server->handles, result->id, result->members.text,
                          result->members.length);
        break;
    case RESULT_USAGE:
        set_usage(tree, result);
        if (result->usage.bytes)
            used_note(server, share_key_id(result->id));
        break;
    case RESULT_SAMPLED:
        server->sampled_ns = result->sampled_ns;
        pending_answer(server, HOST_USAGE, result->sampled_ns);
        break;
    case RESULT_NOTE:
        note(server, result);
        break;
    case RESULT_STATUS:
        status_set(tree, &(struct status_writer){.uid = result->status_uid}, result->message);
        break;
    case RESULT_SUSPEND:
        handle_suspended(server, result);
        break;
    case RESULT_STATE:
        free(server->host_state);
        tree->host_state = server->host_state = result->state;
        result->state = NULL;
        break;
    }
}

void results_handle(struct server *server)
{
    struct mail *mail = host_take_results(server->host);
    submit_tick(server);
    for (struct mail *next; mail; mail = next) {
        next = mail->next;
        struct host_result *result = (struct host_result *)mail;
        handle(server, result);
        host_result_free(result);
    }
    submit_arm_next(server);
}

void results_finish(struct server *server)
{
    const struct tree *tree = &server->tree;
    const int64_t until_ns = tree->now_ns + FINISH_NS;
    pending_give_up(server, PENDING_USAGE);
    while ((server->pending[PENDING_MEMBERS].first || server->pending[PENDING_JOIN].first) &&
           tree->now_ns < until_ns) {
        struct pollfd fd = {.fd = host_fd(server->host), .events = POLLIN};
        poll(&fd, 1, (int)((until_ns - tree->now_ns) / NS_PER_MS) + 1);
        results_handle(server);
    }
    pending_give_up(server, PENDING_MEMBERS);
    pending_give_up(server, PENDING_JOIN);
}
