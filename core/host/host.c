/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread: what is due when; see host.h. A map of the rest:
 *
 *   work.c         work items in, results out
 *   begin.c        what the thread opens and finds when it starts
 *   join.c         a process joins a partition
 *   terminate.c    on_expiry: what happens to processes when a partition ends
 *   warn.c         the signal before the end
 *   telemetry.c    usage by partition, as drivers report it
 *   access.c       access to device nodes
 *   police.c       drives the watchdog
 *   watchdog.c     violations: unmanaged processes, partitions over their limit
 *   allocations.c  sets of partitions
 */
#include "internal.h"

#include "core/base/clock.h"
#include "core/base/log.h"

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

/* A sample serves whoever asked up to so long after it was begun. */
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
    if (terminate_add(&host->termination, host->now_ns, partition))
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

static void set_policy(struct host *host, const struct policy *policy)
{
    host->policy = *policy;
    access_set(host->access, policy->device_access == POLICY_DEVICE_ACCESS_HOLDERS);
    police_policy_changed(host->police);
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

/* So many partitions are checked at a time, so that no work item waits for all of them. */
#define EMPTY_CHECKS 256

/* Drops partitions from `occupied` whose programs have all ended. */
static void find_empty(struct host *host)
{
    for (int checks = 0; checks < EMPTY_CHECKS; checks++) {
        const struct allocation *next = allocations_after(&host->occupied, host->checked_id);
        host->checked_id = next ? next->id : 0; /* 0: the next call starts over */
        if (!next)
            break;
        if (proctrack_members(host->proctrack, next->id, NULL, NULL) == 0 &&
            proctrack_forget(host->proctrack, next->id) == 0)
            allocations_drop(&host->occupied, next->id);
    }
}

static void take_sample(struct host *host)
{
    int64_t asked_ns;
    if (!telemetry_take(host->telemetry, &asked_ns))
        return;
    police_check(host->police, host->now_ns, telemetry_last(host->telemetry));
    host_report_state(host);
    find_empty(host);
    struct host_result *result = host_result_new(RESULT_SAMPLED, 0);
    if (result)
        result->sampled_ns = asked_ns + SAMPLE_NS;
    host_report(host, result);
    if (host->usage_wanted_ns > asked_ns + SAMPLE_NS)
        telemetry_ask(host->telemetry, host->now_ns);
}

/* Who is born between two scans and loses its parents is lost: see enforcer.h. */
#define SCAN_NS INT64_C(1000000000)

static bool is_occupied(const struct host *host)
{
    return allocations_after(&host->occupied, 0) != NULL;
}

/* Whether what happens to partitions matters at once. Otherwise changes wait until
 * there is reason to look: asking for a partition costs nobody a wake-up. */
static bool is_attentive(const struct host *host)
{
    return is_occupied(host) || host->policy.device_access != POLICY_DEVICE_ACCESS_OPEN ||
           host->policy.watchdog != POLICY_WATCHDOG_OFF;
}

/* Milliseconds until something is due, rounded up; -1 never. */
static int time_left_ms(struct host *host)
{
    int64_t next_ns = terminate_next_ns(&host->termination);
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
    host_report_state(host);
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
        terminate_step(&host->termination, host->now_ns);
        access_step(host->access, host->now_ns);
        host_report_state(host);
        if (telemetry_next_ns(host->telemetry, is_occupied(host)) <= host->now_ns ||
            police_next_ns(host->police) <= host->now_ns)
            telemetry_ask(host->telemetry, host->now_ns);
    }
    return NULL;
}

/* So many work items that nobody is waiting for may pile up. */
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
