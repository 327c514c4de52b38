/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run the host thread: do what is due; see host.h. A map of the rest:
 *
 *   work.c         work items in, results out
 *   begin.c        start of the thread
 *   join.c         a process joins a partition, or root adds a cgroup
 *   read.c         the members and cgroups of a partition
 *   adopt.c        a program without one joins its user's
 *   leavers.c      programs that left theirs
 *   suspended.c    suspends and resumes: suspend.c and its parts do
 *   terminate.c    ends processes of ended partitions (on_expiry)
 *   warn.c         the signal that comes with a warning
 *   owners.c       whose a driver's rows are
 *   telemetry.c    usage by partition, as drivers report it
 *   access.c       access to device nodes
 *   modes.c        how devices are shared
 *   holders.c      users and groups that have it
 *   police.c       samples and actions of the watchdog
 *   watchdog.c     violations: unmanaged processes, partitions over their limit
 *   bookings.c     what processes have booked, and what they use beyond that
 *   allocations.c  sets of partitions
 */
#include "internal.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- work items ----------------------------------------------------------------- */

/* A sample also serves readers that ask up to this much later. */
#define SAMPLE_NS (100 * NS_PER_MS)

static void read_usage(struct host *host, int64_t asked_ns)
{
    if (asked_ns > host->usage_wanted_ns)
        host->usage_wanted_ns = asked_ns;
    telemetry_ask(host->telemetry, host->now_ns);
}

static void join_free(struct work_item *item)
{
    free(item->join.cgroup);
    free(item);
}

/* Time between two tries of joins that wait. */
#define HELD_NS (5 * NS_PER_MS)

static void join(struct host *host, struct work_item *item)
{
    if (!item->join.since_ns)
        item->join.since_ns = host->now_ns;
    if (host_do_join(host, &item->join.asked, item->join.since_ns, &item->join.leaving,
                     item->join.answer)) {
        join_free(item);
        return;
    }
    if (!host->held.first)
        host->held_ns = host->now_ns + HELD_NS;
    work_list_add(&host->held, item);
}

static void retry_joins(struct host *host)
{
    if (!host->held.first || host->now_ns < host->held_ns)
        return;
    host->held_ns = host->now_ns + HELD_NS;
    for (size_t left = host->held.count; left > 0; left--)
        join(host, work_list_take(&host->held));
}

/* Answer the joins that wait, now that their partition is known or has ended: then they must not
 * bring a program into it. */
static void answer_joins(struct host *host, uint64_t id, bool ended)
{
    for (size_t left = host->held.count; left > 0; left--) {
        struct work_item *item = work_list_take(&host->held);
        if (item->join.asked.id != id) {
            work_list_add(&host->held, item);
        } else if (ended) {
            host_refuse_join(host, &item->join.asked, item->join.answer);
            join_free(item);
        } else {
            access_step(host->access, host->now_ns); /* as in run_item */
            join(host, item);
        }
    }
}

static void end_partition(struct host *host, const struct partition *partition, uint32_t account)
{
    answer_joins(host, partition->id, true);
    suspend_drop(&host->suspensions, partition->id);
    telemetry_drop(host->telemetry, partition->id);
    allocations_drop(&host->allocations, partition->id);
    if (!allocations_drop(&host->occupied, partition->id))
        return;
    if (terminate_add(&host->termination, host->now_ns, partition, account))
        host_start_over(partition->id);
}

/* It lives on: drivers are not asked for it any more. */
static void report_no_usage(struct host *host, const struct partition *partition)
{
    for (uint32_t i = 0; i < partition->share_count; i++)
        host_report_usage(host, share_key(partition->id, partition->share_count, i), 0, 0);
}

/* A lease that was preempted starts again: programs that are still there go on in it, as those do
 * that join now. */
static void keep_programs(struct host *host, uint64_t id)
{
    if (terminate_drop(&host->termination, id) && allocations_add(&host->occupied, id))
        host_start_over(id);
}

static void handle_event(struct host *host, const struct work_item *item)
{
    const struct partition *partition = &item->event.partition;
    const enum event_kind kind = item->event.kind;
    if (event_kind_is_end(kind) || kind == EVENT_PREEMPTED) {
        end_partition(host, partition, item->event.account);
        access_touch(host->access);
        if (kind == EVENT_PREEMPTED)
            report_no_usage(host, partition);
        return;
    }
    /* A change can arrive after the end of its partition: expiry is passed on before it is durable.
     * Compare with the current time: the partition may have expired since this round began. */
    if (partition->end_ns <= clock_boottime_ns()) {
        allocations_drop(&host->allocations, partition->id);
        return;
    }
    /* No other event affects holders, and names can change a thousand times a second. */
    const bool shares = kind == EVENT_SHARED || kind == EVENT_UNSHARED;
    const bool begins = kind == EVENT_CREATED || kind == EVENT_STARTED;
    const bool moves =
        kind == EVENT_SUSPENDED || kind == EVENT_RESUMING || kind == EVENT_RESUME_FAILED;
    if (begins || moves || kind == EVENT_HANDED || shares)
        access_touch(host->access);
    int r = allocations_put(&host->allocations, partition, item->event.account);
    if (!r && shares)
        r = allocations_share(&host->allocations, partition->id, item->event.guest,
                              kind == EVENT_SHARED);
    for (uint32_t i = 0; !r && i < item->event.guests.count; i++)
        r = allocations_share(&host->allocations, partition->id, item->event.guests.uid[i], true);
    if (r)
        host_start_over(partition->id);
    if (kind == EVENT_UNSHARED)
        host_settle(host, partition->id);
    if (kind == EVENT_STARTED && partition->suspend_stage == SUSPEND_NONE)
        keep_programs(host, partition->id);
    host_suspend_event(host, kind, partition, item->event.account);
    if (begins)
        answer_joins(host, partition->id, false);
    if (kind == EVENT_WARNED)
        host_warn(host, partition);
    if (kind == EVENT_MISSED) /* is that so? The loop may have died before it knew */
        host_do_read(host, partition->id, host->now_ns);
}

static void set_policy(struct host *host, const struct policy *policy)
{
    host->policy = *policy;
    access_set(host->access, policy->device_access == POLICY_DEVICE_ACCESS_HOLDERS);
    police_policy_changed(host->police);
}

static void run_item(struct host *host, struct work_item *item)
{
    switch (item->kind) {
    case WORK_JOIN:
        access_step(host->access, host->now_ns); /* let the process open the nodes once it joined */
        join(host, item);
        return;
    case WORK_READ:
        if (item->read.id == HOST_USAGE)
            read_usage(host, item->read.asked_ns);
        else
            host_do_read(host, item->read.id, item->read.asked_ns);
        break;
    case WORK_EVENT:
        handle_event(host, item);
        break;
    case WORK_POLICY:
        set_policy(host, &item->policy);
        break;
    case WORK_MODE:
        modes_set(host->modes, item->mode.device, &item->mode.mode);
        break;
    }
    free(item);
}

/* Limit the time spent on work items between two looks at what is due. */
#define ITEMS_NS (5 * NS_PER_MS)

#define READS_MAX 4096

static bool has_items(const struct host *host)
{
    return host->work.first || host->reads.first || host->settling.count > 0;
}

/* Take new work items. Reads wait behind all others: users ask for thousands at a time. */
static void sort_items(struct host *host)
{
    struct mail *mail = mailbox_take(&host->thread.in);
    for (struct mail *next; mail; mail = next) {
        next = mail->next;
        struct work_item *item = (struct work_item *)mail;
        struct work_list *list = item->kind == WORK_READ ? &host->reads : &host->work;
        if (list->count == READS_MAX && list == &host->reads) {
            free(item); /* its readers are refused when their time is up */
            continue;
        }
        work_list_add(list, item);
    }
}

/* Run items for ITEMS_NS at most: ends come between them. */
static void run_items(struct host *host)
{
    const int64_t until_ns = clock_boottime_ns() + ITEMS_NS;
    sort_items(host);
    do {
        struct work_item *item = work_list_take(host->work.first ? &host->work : &host->reads);
        if (!item)
            return;
        run_item(host, item);
    } while (clock_boottime_ns() < until_ns);
}

/* -- the thread ------------------------------------------------------------------------ */

/* Check at most this many partitions per call, so that work items do not wait. */
#define EMPTY_CHECKS 256

/* Drop partitions without remaining processes from `occupied`. A cgroup that belongs to one can
 * have processes later. */
static void find_empty(struct host *host)
{
    for (int checks = 0; checks < EMPTY_CHECKS; checks++) {
        const struct allocation *next = allocations_after(&host->occupied, host->checked_id);
        host->checked_id = next ? next->id : 0; /* 0: the next call starts over */
        if (!next)
            break;
        if (!suspend_has(&host->suspensions, next->id) &&
            proctrack_claims(host->proctrack, next->id, NULL, NULL) == 0 &&
            proctrack_forget(host->proctrack, next->id) == 0)
            allocations_drop(&host->occupied, next->id);
    }
}

static void take_sample(struct host *host)
{
    int64_t asked_ns;
    if (!telemetry_take(host->telemetry, &asked_ns))
        return;
    const struct gpu_usage *usage = telemetry_last(host->telemetry);
    if (host->policy.adopt == POLICY_ADOPT_ON && police_next_ns(host->police) <= host->now_ns)
        host_adopt(host, usage);
    police_check(host->police, host->now_ns, usage);
    host_report_state(host);
    find_empty(host);
    struct host_result *result = host_result_new(RESULT_SAMPLED, 0);
    if (result)
        result->sampled_ns = asked_ns + SAMPLE_NS;
    host_report(host, result);
    if (host->usage_wanted_ns > asked_ns + SAMPLE_NS)
        telemetry_ask(host->telemetry, host->now_ns);
}

/* Time between two scans. They miss a process that starts and loses its parent in between: see
 * proctrack.h. */
#define SCAN_NS NS_PER_SECOND

static bool is_occupied(const struct host *host)
{
    return allocations_after(&host->occupied, 0);
}

/* Return whether events must be handled at once. Otherwise they wait for the next wake-up, so that
 * creating a partition does not cost one. */
static bool is_attentive(const struct host *host)
{
    return is_occupied(host) || host->held.first || host->suspensions.by_id.root ||
           host->policy.device_access != POLICY_DEVICE_ACCESS_OPEN ||
           police_next_ns(host->police) != INT64_MAX;
}

#define HOUR_MS 3600000

/* Return the milliseconds until something is due, rounded up; -1: never. */
static int time_left_ms(struct host *host)
{
    const bool occupied = is_occupied(host);
    const int64_t due_ns[] = {
        terminate_next_ns(&host->termination),
        telemetry_next_ns(host->telemetry, occupied),
        access_next_ns(host->access),
        modes_next_ns(host->modes),
        telemetry_is_asking(host->telemetry) ? INT64_MAX : police_next_ns(host->police),
        host->scans && occupied ? host->scanned_ns + SCAN_NS : INT64_MAX,
        host->held.first ? host->held_ns : INT64_MAX,
        suspend_next_ns(&host->suspensions, host->now_ns),
    };
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(due_ns); i++)
        next_ns = due_ns[i] < next_ns ? due_ns[i] : next_ns;
    if (next_ns == INT64_MAX)
        return -1;
    int64_t left_ms = (next_ns - clock_boottime_ns() + NS_PER_MS - 1) / NS_PER_MS;
    return left_ms < 0 ? 0 : left_ms > HOUR_MS ? HOUR_MS : (int)left_ms;
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
    int r = host_begin(host);
    if (r) {
        log_say("The thread for programs cannot start: %s.", strerror(-r));
        abort(); /* let the next worker try again */
    }
    set_policy(host, &host->start.policy);
    suspend_step(&host->suspensions, host->now_ns);
    host_report_state(host);
    for (;;) {
        struct pollfd fds[3 + SUSPEND_RUNNING_MAX] = {
            {.fd = host->thread.in.fd, .events = POLLIN},
            {.fd = telemetry_fd(host->telemetry), .events = POLLIN},
            {.fd = access_fd(host->access), .events = POLLIN}};
        nfds_t count = 3 + suspend_poll(&host->suspensions, fds + 3);
        bool rests = mailbox_rest(&host->thread.in, is_attentive(host));
        poll(fds, count, rests && !has_items(host) ? time_left_ms(host) : 0);
        host->now_ns = clock_boottime_ns();
        if (fds[1].revents)
            take_sample(host);
        run_items(host);
        host_settle_next(host);
        retry_joins(host);
        scan(host);
        suspend_step(&host->suspensions, host->now_ns);
        terminate_step(&host->termination, host->now_ns);
        access_step(host->access, host->now_ns);
        modes_step(host->modes, host->now_ns);
        host_report_state(host);
        if (telemetry_next_ns(host->telemetry, is_occupied(host)) <= host->now_ns ||
            police_next_ns(host->police) <= host->now_ns)
            telemetry_ask(host->telemetry, host->now_ns);
    }
    return NULL;
}

/* Queue at most this many work items before waking the thread. */
#define LAZY_MAX 256

int host_new(const struct host_start *start, struct host **ret_host)
{
    struct host *host = calloc(1, sizeof(*host));
    if (!host)
        return -ENOMEM;
    host->start = *start;
    /* Never join the thread: it can hang in a driver, so it runs until the process exits. */
    int r = mailbox_thread_start(&host->thread, host_thread, host);
    if (r) {
        free(host);
        return r;
    }
    host->thread.in.lazy_max = LAZY_MAX;
    *ret_host = host;
    return 0;
}
