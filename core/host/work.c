/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue work items from other threads, and report the results; see host.h. Nothing here blocks.
 */
#include "internal.h"

#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Drop reads when this many work items are queued: while the host thread is blocked, readers ask
 * again and again. */
#define READ_MAX 4096

_Noreturn void host_start_over(uint64_t id)
{
    log_say("Out of memory: cannot remember what happens to p%" PRIu64 "; starting again.", id);
    abort();
}

/* -- results ------------------------------------------------------------------------ */

struct host_result *host_result_new(enum host_result_kind kind, size_t message_bytes)
{
    struct host_result *result = calloc(1, sizeof(*result) + message_bytes);
    if (result)
        result->kind = kind;
    else
        log_say("Out of memory: cannot report what became of the programs of a partition.");
    return result;
}

struct host_result *host_result_free(struct host_result *result)
{
    if (!result)
        return NULL;
    if (result->kind == RESULT_MEMBERS) {
        free(result->members.text);
        free(result->members.cgroups);
    } else if (result->kind == RESULT_STATE)
        free(result->state);
    free(result);
    return NULL;
}

void host_report(struct host *host, struct host_result *result)
{
    if (result)
        mailbox_put(&host->thread.out, &result->mail);
}

static void note(struct host *host, const struct partition *partition, const char *word,
                 const char *details, bool is_violation)
{
    size_t bytes = strlen(details) + 1;
    struct host_result *result = host_result_new(RESULT_NOTE, bytes);
    if (!result)
        return;
    result->note.partition = *partition;
    result->note.is_violation = is_violation;
    snprintf(result->note.word, sizeof(result->note.word), "%s", word);
    memcpy(result->message, details, bytes);
    host_report(host, result);
}

void host_note(void *context, const struct partition *partition, const char *word,
               const char *details)
{
    note(context, partition, word, details, false);
}

static struct partition about(uint64_t id, uint32_t uid, uint32_t device)
{
    return (struct partition){.id = id,
                              .uid = uid,
                              .share_count = device != ENGINE_DEVICE_ANY,
                              .shares[0].device = device};
}

void host_note_device(void *context, uint32_t device, const char *word, const char *details)
{
    const struct partition subject = about(0, ENGINE_UID_NONE, device);
    note(context, &subject, word, details, false);
}

void host_note_violation(void *context, uint64_t id, uint32_t uid, uint32_t device,
                         const char *word, const char *details)
{
    const struct partition subject = about(id, uid, device);
    note(context, &subject, word, details, true);
}

void host_report_status(void *context, uint32_t uid, const char *message)
{
    size_t bytes = strlen(message) + 1;
    struct host_result *result = host_result_new(RESULT_STATUS, bytes);
    if (!result)
        return;
    result->status_uid = uid;
    memcpy(result->message, message, bytes);
    host_report(context, result);
}

void host_report_usage(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns)
{
    struct host_result *result = host_result_new(RESULT_USAGE, 0);
    if (!result)
        return;
    result->id = id;
    result->usage.bytes = bytes;
    result->usage.busy_more_ns = busy_more_ns;
    host_report(context, result);
}

size_t host_state_bytes(const struct host *host)
{
    return sizeof(*host->state) + host->start.device_count * sizeof(host->state->device[0]);
}

/* Find what the driver reports on a device that is no client of its server: a program with another
 * pipe directory runs there without any of the server's limits. */
static void find_strays(const struct host *host, uint32_t device, struct host_device *ret)
{
    const struct gpu_usage *usage = telemetry_last(host->telemetry);
    for (uint32_t i = 0; usage && i < usage->process_count; i++) {
        const struct gpu_usage_process *row = &usage->process[i];
        if (row->device != device || modes_knows(host->modes, device, row->pid))
            continue;
        ret->strays++;
        ret->stray = row->pid;
    }
}

static void collect_mode(const struct host *host, uint32_t device, struct host_device *ret)
{
    const struct sharing_mode *mode;
    const struct sharing_report *report = modes_report(host->modes, device, &mode);
    ret->mode = mode->kind;
    ret->shared = report->ready;
    ret->server = report->server;
    ret->clients = report->client_count;
    snprintf(ret->pipe, sizeof(ret->pipe), "%s", modes_pipe(host->modes, device));
    snprintf(ret->sharing_note, sizeof(ret->sharing_note), "%s", report->note);
    if (mode->kind == SHARING_MPS && report->ready)
        find_strays(host, device, ret);
}

static void collect_state(const struct host *host, struct host_state *state)
{
    const struct gpu_usage *usage = telemetry_last(host->telemetry);
    memset(state, 0, host_state_bytes(host));
    state->metered = telemetry_is_metered(host->telemetry);
    if (!host->broken)
        snprintf(state->processes, sizeof(state->processes), "%s", proctrack_word(host->proctrack));
    memcpy(state->why, host->why, sizeof(state->why));
    state->device_count = host->start.device_count;
    for (uint32_t i = 0; i < state->device_count; i++) {
        const struct gpu_usage_device *used = usage ? &usage->device[i] : NULL;
        if (used && used->known)
            memcpy(state->device[i].backend, used->backend, sizeof(used->backend));
        if (used)
            memcpy(state->device[i].note, used->note, sizeof(used->note));
        state->device[i].restricted = access_restricts(host->access, i);
        collect_mode(host, i, &state->device[i]);
        access_print_nodes(host->access, i, state->device[i].nodes);
    }
    snprintf(state->suspend_why, sizeof(state->suspend_why), "%s",
             host->suspensions.start.impossible ? host->suspensions.start.impossible : "");
    state->devacl_full = access_is_full(host->access);
    snprintf(state->devacl_why, sizeof(state->devacl_why), "%s", access_why(host->access));
    police_count(host->police, &state->watchdog);
}

void host_report_state(struct host *host)
{
    const size_t bytes = host_state_bytes(host);
    struct host_state *state = host->next_state;
    collect_state(host, state);
    if (!memcmp(state, host->state, bytes))
        return;
    struct host_result *result = host_result_new(RESULT_STATE, 0);
    if (result)
        result->state = malloc(bytes);
    if (!result || !result->state) {
        host_result_free(result);
        return;
    }
    memcpy(result->state, state, bytes);
    host->next_state = host->state;
    host->state = state;
    host_report(host, result);
}

struct mail *host_take_results(struct host *host)
{
    return mailbox_take(&host->thread.out);
}

int host_fd(const struct host *host)
{
    return host->thread.out.fd;
}

/* -- work items --------------------------------------------------------------------- */

static struct work_item *item_new(enum work_kind kind)
{
    struct work_item *item = calloc(1, sizeof(*item));
    if (item)
        item->kind = kind;
    return item;
}

int host_join(struct host *host, const struct host_join *join)
{
    struct work_item *item = item_new(WORK_JOIN);
    if (!item)
        return -ENOMEM;
    item->join.asked = *join;
    item->join.answer = host_result_new(RESULT_JOINED, ENGINE_MESSAGE_MAX);
    item->join.cgroup = join->cgroup ? strdup(join->cgroup) : NULL;
    item->join.asked.cgroup = item->join.cgroup;
    if (!item->join.answer || (join->cgroup && !item->join.cgroup)) {
        host_result_free(item->join.answer);
        free(item->join.cgroup);
        free(item);
        return -ENOMEM;
    }
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

int host_read(struct host *host, uint64_t id, int64_t asked_ns)
{
    if (mailbox_count(&host->thread.in) >= READ_MAX)
        return -EAGAIN;
    struct work_item *item = item_new(WORK_READ);
    if (!item)
        return -ENOMEM;
    item->read.id = id;
    item->read.asked_ns = asked_ns;
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

int host_set_policy(struct host *host, const struct policy *policy)
{
    struct work_item *item = item_new(WORK_POLICY);
    if (!item)
        return -ENOMEM;
    item->policy = *policy;
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

/* Return whether to pass events of a kind in this pass. One that waits is unknown to the host
 * thread until its start is durable. A closed file belongs to both: an earlier change may become
 * durable, and arrive here, after it. */
static bool is_in_pass(const struct engine_event *event, bool certain)
{
    const enum event_kind kind = event->kind;
    if (kind == EVENT_SETTING || kind == EVENT_NOTE)
        return false;
    /* A lease that is over is over, whatever its partition does then. */
    const bool over =
        kind == EVENT_EXPIRED || (kind == EVENT_SUSPENDING && event->at_ns == event->before.end_ns);
    return kind == EVENT_CLOSED || over == certain;
}

/* Whether the host thread knows nothing of a partition that waits: it never started. */
static bool is_unknown(const struct engine_event *event)
{
    return event->after.state == PARTITION_PENDING && event->kind != EVENT_PREEMPTED &&
           event->before.suspend_stage == SUSPEND_NONE;
}

/* Make an item of a setting that says how a device is shared. NULL: it is about something else. */
static struct work_item *mode_item(const struct host *host, const struct engine_event *event)
{
    const size_t skip = sizeof(SHARING_MODE_SETTING) - 1;
    struct sharing_mode mode = {.kind = SHARING_NONE};
    char unused[ENGINE_MESSAGE_MAX];
    uint32_t device = 0;
    if (event->kind != EVENT_SETTING || strncmp(event->key, SHARING_MODE_SETTING, skip) != 0 ||
        (event->value[0] && sharing_mode_parse(event->value, &mode, unused, sizeof(unused))))
        return NULL;
    while (device < host->start.device_count &&
           strcmp(host->start.devices[device].key, event->key + skip) != 0)
        device++;
    struct work_item *item = device < host->start.device_count ? item_new(WORK_MODE) : NULL;
    if (device < host->start.device_count && !item)
        host_start_over(0);
    if (!item)
        return NULL;
    item->mode.device = device;
    item->mode.mode = mode;
    return item;
}

void host_events(struct host *host, const struct engine_event *events, bool certain)
{
    struct mail *first = NULL, **last = &first;
    bool lazy = true;
    for (; events; events = events->next) {
        const bool preempted = events->kind == EVENT_PREEMPTED;
        struct work_item *mode = certain ? NULL : mode_item(host, events);
        if (mode) {
            lazy = false;
            *last = &mode->mail;
            last = &mode->mail.next;
            continue;
        }
        if (!is_in_pass(events, certain) || is_unknown(events))
            continue;
        struct work_item *item = item_new(WORK_EVENT);
        if (!item)
            host_start_over(events->after.id);
        item->event.kind = events->kind;
        item->event.partition = preempted ? events->before : events->after;
        if (preempted) /* its programs have their grace from here on */
            item->event.partition.end_ns = events->at_ns;
        item->event.account = events->account;
        item->event.guest = events->guest;
        if (events->kind == EVENT_STARTED && events->guests)
            item->event.guests = *events->guests;
        lazy &= events->kind != EVENT_UNSHARED && events->after.suspend_stage == SUSPEND_NONE;
        *last = &item->mail;
        last = &item->mail.next;
    }
    /* Most events can wait for the next wake-up. */
    mailbox_put_list(&host->thread.in, first, lazy);
}
