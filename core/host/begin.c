/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the host thread begins: opens what it works with, and finds what a daemon before it
 * left of partitions; see host.h.
 */
#include "internal.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- telling -------------------------------------------------------------------- */

/* A note of the watchdog or the gate; id 0: about no partition. */
static void tell_police_note(void *context, uint64_t id, uint32_t device, const char *word,
                             const char *details)
{
    const struct partition about = {
        .id = id, .share_count = device != ENGINE_DEVICE_ANY, .shares[0].device = device};
    host_note(context, &about, word, details);
}

static void tell_access_note(void *context, const char *word, const char *details)
{
    tell_police_note(context, 0, ENGINE_DEVICE_ANY, word, details);
}

static void tell_status(void *context, uint32_t uid, const char *message)
{
    size_t bytes = strlen(message) + 1;
    struct host_result *result = host_result_new(RESULT_STATUS, bytes);
    if (!result)
        return;
    result->status_uid = uid;
    memcpy(result->message, message, bytes);
    host_report(context, result);
}

static void tell_usage(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns)
{
    struct host_result *result = host_result_new(RESULT_USAGE, 0);
    if (!result)
        return;
    result->id = id;
    result->usage.bytes = bytes;
    result->usage.busy_more_ns = busy_more_ns;
    host_report(context, result);
}

/* -- what was left ------------------------------------------------------------------ */

/* Something of partition `id` was found at the start. */
static void find_trace(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct host *host = context;
    if (frozen) /* a daemon was killed while it sent a signal */
        allocations_copy(&host->frozen, &(struct allocation){.id = id});
    const struct allocation *live = allocations_find(&host->allocations, id);
    if (live) {
        allocations_copy(&host->occupied, live);
        return;
    }
    for (size_t i = 0; i < host->start.ended_count; i++)
        if (host->start.ended[i].id == id) {
            terminate_add(host->termination, host->now_ns, &host->start.ended[i]);
            return;
        }
    if (members)
        log_say("programs of p%" PRIu64 ", which ended long ago, are left as they are", id);
    else
        allocations_copy(&host->stale, &(struct allocation){.id = id});
}

static int find_traces(struct host *host)
{
    const struct allocation *found;
    int r = proctrack_each(host->proctrack, find_trace, host);
    for (size_t at = 0; (found = allocations_next(&host->frozen, &at));)
        proctrack_freeze(host->proctrack, found->id, false);
    for (size_t at = 0; (found = allocations_next(&host->stale, &at));)
        proctrack_forget(host->proctrack, found->id);
    return r < 0 ? r : 0;
}

static int begin_access_and_police(struct host *host)
{
    const struct access_start access = {.devices = host->start.devices,
                                        .device_count = host->start.device_count,
                                        .state_dir = host->start.state_dir,
                                        .allocations = &host->allocations,
                                        .note = tell_access_note,
                                        .context = host};
    const struct police_start police = {.proctrack = host->proctrack,
                                        .allocations = &host->allocations,
                                        .termination = host->termination,
                                        .note = tell_police_note,
                                        .status = tell_status,
                                        .context = host};
    int r = access_new(&access, &host->access);
    if (!r)
        r = police_new(&police, &host->police);
    return r;
}

static int open_proctrack(struct host *host, struct proctrack_options *options)
{
    struct message message = {""};
    int r = proctrack_open(options, &host->proctrack, &message);
    if (*message.text)
        log_say("programs of partitions: %s", message.text);
    if (r) { /* asked for cgroups, and they are gone */
        snprintf(host->state.why, sizeof(host->state.why), "%s", message.text);
        options->mode = "process-tree";
        r = proctrack_open(options, &host->proctrack, &message);
        if (*message.text)
            log_say("programs of partitions: %s", message.text);
        return r;
    }
    const char *why = proctrack_why(host->proctrack);
    if (!strcmp(options->mode, "process-tree"))
        why = "--process-tracking process-tree was asked for";
    snprintf(host->state.why, sizeof(host->state.why), "%s", why);
    return 0;
}

int host_begin(struct host *host)
{
    struct proctrack_options options = {.instance = host->start.instance,
                                        .state_dir = host->start.state_dir,
                                        .mode = host->start.proctrack,
                                        .supervisor = getppid()};
    int r = open_proctrack(host, &options);
    if (r)
        return r;
    const struct telemetry_start telemetry = {.devices = host->start.devices,
                                              .device_count = host->start.device_count,
                                              .proctrack = host->proctrack,
                                              .allocations = &host->allocations,
                                              .usage = tell_usage,
                                              .context = host};
    r = terminate_new(host->proctrack, host_note, host, &host->termination);
    if (!r)
        r = telemetry_new(&telemetry, &host->telemetry);
    if (!r)
        r = begin_access_and_police(host);
    if (r)
        return r;
    host->scans = strcmp(proctrack_word(host->proctrack), "process-tree") == 0;
    host->now_ns = clock_boottime_ns();
    for (size_t i = 0; i < host->start.live_count && !r; i++)
        r = allocations_put(&host->allocations, &host->start.live[i]);
    if (!r)
        r = find_traces(host);
    free(host->start.live);
    free(host->start.ended);
    host->start.live = host->start.ended = NULL;
    return r;
}
