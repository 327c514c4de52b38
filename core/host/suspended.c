/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host thread has to do with suspending: it opens the ports, passes events on, and reports
 * what has become of a partition.
 */
#include "internal.h"

#include <string.h>
#include <unistd.h>

static int open_checkpoint(void *context, uint32_t device, struct checkpoint **ret_checkpoint)
{
    const struct host *host = context;
    const struct checkpoint_options options = {.device = &host->start.devices[device]};
    return checkpoint_new(&options, ret_checkpoint);
}

static void report(void *context, const struct partition *partition,
                   const struct suspend_report *report)
{
    struct host *host = context;
    struct host_result *result = host_result_new(RESULT_SUSPEND, 0);
    if (!result)
        host_start_over(partition->id); /* nothing else would go on with it */
    result->id = partition->id;
    result->suspend.partition = *partition;
    result->suspend.report = *report;
    host_report(host, result);
}

/* Why nothing can be suspended on this machine. */
static const char *why_impossible(const struct host *host)
{
#ifndef __x86_64__
    return "The driver checkpoints programs on x86-64 only.";
#endif
    if (geteuid() != 0)
        return "Only a daemon of root can suspend programs.";
    if (host->broken || strcmp(proctrack_word(host->proctrack), "cgroup") != 0)
        return "Programs are not tracked by cgroups, which are needed to freeze them.";
    return NULL;
}

void host_begin_suspending(struct host *host)
{
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    host->suspensions.start = (struct suspend_start){
        .proctrack = host->proctrack,
        .bookings = host->start.bookings,
        .policy = &host->policy,
        .open = open_checkpoint,
        .report = report,
        .context = host,
        .impossible = why_impossible(host),
        .machine_bytes = pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : 0};
}

int host_restore_suspended(struct host *host, const struct partition *partition, uint32_t account)
{
    return suspend_restore(&host->suspensions, partition, account);
}

void host_suspend_event(struct host *host, enum event_kind kind, const struct partition *partition,
                        uint32_t account)
{
    int r = 0;
    if (kind == EVENT_SUSPENDING)
        r = suspend_leave(&host->suspensions, host->now_ns, partition, account);
    else if (kind == EVENT_MEASURED)
        suspend_noted(&host->suspensions, partition->id, host->now_ns);
    else if ((kind == EVENT_RESUMING || kind == EVENT_STARTED) &&
             partition->suspend_stage == SUSPEND_RETURNING)
        r = suspend_return(&host->suspensions, host->now_ns, partition, account);
    if (r)
        host_start_over(partition->id);
}
