/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread: what is due when; see host.h. A map of the rest:
 *
 *   begin.c        opens everything, and finds what a daemon before it left
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

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (host_begin(host))
        abort(); /* the next worker tries again */
    set_policy(host, &host->start.policy);
    tell_state(host);
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
