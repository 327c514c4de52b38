/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread: what is due when; see host.h. A map of the rest:
 *
 *   work.c         work items in, results out
 *   join.c         a process comes to belong to a partition
 *   terminate.c    what happens to processes at the end
 *   warn.c         the signal before the end
 *   telemetry.c    what drivers tell, by partition
 *   access.c       who can open device nodes
 *   police.c       what becomes of programs outside of partitions
 *   allocations.c  who holds what
 */
#include "host.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "internal.h"

#include "core/engine/ending.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
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

/* -- what work items ask ----------------------------------------------------------------- */

static void member_line(void *context, pid_t pid)
{
    FILE *file = context;
    fprintf(file, "%d\n", (int)pid);
}

/* Looks at a partition's members; one look is enough for all who asked before it. */
static void look(struct host *host, uint64_t id, int64_t asked_ns)
{
    struct looked *last = &host->looked[id % HOST_LOOKED];
    if (last->id == id && last->at_ns >= asked_ns)
        return;
    struct host_result *result = host_result_new(RESULT_LOOKED, 0);
    if (!result)
        return;
    if (!host->scans || host->seen_ns < asked_ns) {
        host->seen_ns = clock_boottime_ns(); /* one scan is for all partitions */
        proctrack_scan(host->proctrack);
    }
    *last = (struct looked){id, host->seen_ns};
    result->id = id;
    result->looked.asked_ns = last->at_ns;
    FILE *file = open_memstream(&result->looked.text, &result->looked.length);
    if (file) {
        proctrack_members(host->proctrack, id, member_line, file);
        if (fclose(file) != 0)
            result->looked.length = 0;
    }
    host_report(host, result);
}

/* A sample serves requests made up to so long after it was begun. */
#define SAMPLE_NS INT64_C(100000000)

static void want_usage(struct host *host, int64_t asked_ns)
{
    if (asked_ns > host->usage_wanted_ns)
        host->usage_wanted_ns = asked_ns;
    telemetry_ask(host->telemetry, host->now_ns);
}

static void leave(struct host *host, const struct partition *partition)
{
    telemetry_drop(host->telemetry, partition->id);
    allocations_drop(&host->allocations, partition->id);
    if (!allocations_drop(&host->occupied, partition->id))
        return;
    if (terminate_add(host->termination, host->now_ns, partition))
        log_say("not enough memory to end the programs of p%" PRIu64, partition->id);
}

static void note_event(struct host *host, const struct work_item *item)
{
    const struct partition *partition = &item->event.partition;
    const enum event_kind kind = item->event.kind;
    if (event_kind_is_end(kind)) {
        leave(host, partition);
        access_touch(host->access);
        return;
    }
    /* An end by time comes past the changes that were not yet durable. Now, and not
     * when this round began: the end may have come since. */
    if (partition->end_ns <= clock_boottime_ns()) {
        allocations_drop(&host->allocations, partition->id);
        return;
    }
    /* Other changes let nobody else in: a name can change a thousand times a second. */
    if (kind == EVENT_CREATED || kind == EVENT_HANDED)
        access_touch(host->access);
    if (allocations_put(&host->allocations, partition))
        log_say("not enough memory to remember who holds p%" PRIu64, partition->id);
    if (kind == EVENT_WARNED)
        host_warn(host, partition);
}

static void set_policy(struct host *host, const struct host_policy *policy)
{
    const struct police_policy police = {policy->watchdog, policy->watchdog_interval_ns,
                                         policy->watchdog_grace_ns};
    host->policy = *policy;
    access_set(host->access, policy->device_access);
    police_set(host->police, &police);
}

static void run_item(struct host *host, const struct work_item *item)
{
    switch (item->kind) {
    case WORK_JOIN:
        access_step(host->access, host->now_ns); /* a process that has joined can open the nodes */
        host_do_join(host, &item->join.asked, item->join.answer);
        break;
    case WORK_LOOK:
        if (item->look.id == HOST_USAGE)
            want_usage(host, item->look.asked_ns);
        else
            look(host, item->look.id, item->look.asked_ns);
        break;
    case WORK_EVENT:
        note_event(host, item);
        break;
    case WORK_POLICY:
        set_policy(host, &item->policy);
        break;
    }
}

static void run_items(struct host *host)
{
    struct mail *mail = mailbox_take(&host->thread.in);
    for (struct mail *next; mail; mail = next) {
        next = mail->next;
        struct work_item *item = (struct work_item *)mail;
        run_item(host, item);
        free(item);
    }
}

/* -- the thread ------------------------------------------------------------------------ */

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

/* Tells what there is to keep limits with, when that is something else than before. */
static void tell_state(struct host *host)
{
    struct host_state state = {.metered = telemetry_is_metered(host->telemetry)};
    const struct gpu_usage *usage = telemetry_last(host->telemetry);
    snprintf(state.processes, sizeof(state.processes), "%s", proctrack_word(host->proctrack));
    memcpy(state.why, host->state.why, sizeof(state.why));
    for (uint32_t i = 0; usage && i < usage->device_count; i++) {
        const struct gpu_usage_device *device = &usage->device[i];
        if (device->known)
            memcpy(state.reader[i].backend, device->backend, sizeof(device->backend));
        memcpy(state.reader[i].note, device->note, sizeof(device->note));
    }
    for (uint32_t i = 0; i < GPU_DEVICE_MAX; i++)
        state.restricted[i] = access_holds(host->access, i);
    snprintf(state.devacl_why, sizeof(state.devacl_why), "%s", access_why(host->access));
    police_count(host->police, &state.watchdog);
    if (!memcmp(&state, &host->state, sizeof(state)))
        return;
    struct host_result *result = host_result_new(RESULT_STATE, 0);
    if (result)
        result->state = malloc(sizeof(*result->state));
    if (!result || !result->state) {
        host_result_free(result);
        return;
    }
    host->state = *result->state = state;
    host_report(host, result);
}

/* So many partitions are looked at in one go, so that nobody's end waits for it. */
#define EMPTY_LOOKS 256

/* Partitions whose programs have all ended are looked after no more. */
static void find_empty(struct host *host)
{
    const struct allocation *allocation;
    uint64_t empty[EMPTY_LOOKS];
    size_t count = 0;
    for (int members = 0; members < EMPTY_LOOKS; members++) {
        allocation = allocations_next(&host->occupied, &host->empty_at);
        if (!allocation) {
            host->empty_at = 0; /* the next go begins anew */
            break;
        }
        if (proctrack_members(host->proctrack, allocation->id, NULL, NULL) == 0 &&
            proctrack_forget(host->proctrack, allocation->id) == 0)
            empty[count++] = allocation->id;
    }
    while (count)
        allocations_drop(&host->occupied, empty[--count]);
}

static void take_sample(struct host *host)
{
    int64_t asked_ns;
    if (!telemetry_take(host->telemetry, &asked_ns))
        return;
    police_look(host->police, host->now_ns, telemetry_last(host->telemetry));
    tell_state(host);
    find_empty(host);
    struct host_result *result = host_result_new(RESULT_SAMPLED, 0);
    if (result)
        result->sampled_ns = asked_ns + SAMPLE_NS;
    host_report(host, result);
    if (host->usage_wanted_ns > asked_ns + SAMPLE_NS)
        telemetry_ask(host->telemetry, host->now_ns);
}

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
    if (!r)
        set_policy(host, &host->start.policy);
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

static int begin(struct host *host)
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
    tell_state(host);
    return r;
}

/* Who is born between two scans and loses its parents is lost: see proctrack.h. */
#define SCAN_NS INT64_C(1000000000)

static bool is_occupied(const struct host *host)
{
    return host->occupied.count > host->occupied.dropped;
}

/* Whether what happens to partitions matters at once. Otherwise changes wait until
 * there is reason to look: asking for a partition costs nobody a wake-up. */
static bool is_attentive(const struct host *host)
{
    return is_occupied(host) || host->policy.device_access || host->policy.watchdog != WATCHDOG_OFF;
}

/* Milliseconds until something is due, rounded up; -1 never. */
static int time_left_ms(struct host *host)
{
    int64_t next_ns = terminate_next_ns(host->termination);
    int64_t sample_ns = telemetry_next_ns(host->telemetry, is_occupied(host));
    int64_t devacl_ns = access_next_ns(host->access), watch_ns = INT64_MAX;
    if (!telemetry_is_asking(host->telemetry))
        watch_ns = police_next_ns(host->police);
    next_ns = sample_ns < next_ns ? sample_ns : next_ns;
    next_ns = devacl_ns < next_ns ? devacl_ns : next_ns;
    next_ns = watch_ns < next_ns ? watch_ns : next_ns;
    if (host->scans && is_occupied(host) && host->scanned_ns + SCAN_NS < next_ns)
        next_ns = host->scanned_ns + SCAN_NS;
    if (next_ns == INT64_MAX)
        return -1;
    int64_t left_ms = (next_ns - clock_boottime_ns() + 999999) / 1000000;
    return left_ms < 0 ? 0 : left_ms > 3600000 ? 3600000 : (int)left_ms;
}

static void scan(struct host *host)
{
    if (!host->scans || !is_occupied(host) || host->now_ns < host->scanned_ns + SCAN_NS)
        return;
    proctrack_scan(host->proctrack);
    host->scanned_ns = host->now_ns;
    find_empty(host);
}

static void *host_thread(void *argument)
{
    struct host *host = argument;
    if (begin(host))
        abort(); /* the next worker tries again */
    for (;;) {
        struct pollfd fds[] = {{.fd = host->thread.in.fd, .events = POLLIN},
                               {.fd = telemetry_fd(host->telemetry), .events = POLLIN},
                               {.fd = access_fd(host->access), .events = POLLIN}};
        poll(fds, 3, mailbox_rest(&host->thread.in, is_attentive(host)) ? time_left_ms(host) : 0);
        host->now_ns = clock_boottime_ns();
        if (fds[1].revents)
            take_sample(host);
        run_items(host);
        scan(host);
        terminate_step(host->termination, host->now_ns);
        access_step(host->access, host->now_ns);
        tell_state(host);
        if (telemetry_next_ns(host->telemetry, is_occupied(host)) <= host->now_ns ||
            police_next_ns(host->police) <= host->now_ns)
            telemetry_ask(host->telemetry, host->now_ns);
    }
    return NULL;
}

/* So many work items without a waiting client may pile up. */
#define LAZY_MAX 256

int host_new(const struct host_start *start, struct host **ret_host)
{
    struct host *host = calloc(1, sizeof(*host));
    if (!host)
        return -ENOMEM;
    host->start = *start;
    /* It ends with the process: what hangs cannot be waited for. */
    int r = mailbox_thread_start(&host->thread, host_thread, host);
    if (r) {
        free(host);
        return r;
    }
    host->thread.in.lazy_max = LAZY_MAX;
    *ret_host = host;
    return 0;
}
