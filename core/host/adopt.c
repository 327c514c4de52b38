/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that were started the plain way: with config/adopt, one that the driver reports outside
 * of any partition joins that of its user, if the user holds exactly one on the device. Programs
 * that left stay outside, with what they start.
 */
#include "internal.h"

#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A program outside, and what its user holds on the device. The first of a device and user counts
 * for all of these. */
struct outsider {
    uint32_t device, uid;
    struct procfs_process process;
    const struct allocation *held;
    uint32_t held_count;
};

static int compare(const void *one, const void *other)
{
    const struct outsider *a = one, *b = other;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->uid > b->uid) - (a->uid < b->uid);
}

/* Memory that programs of other users have open as well may have been handed to this one. */
static bool is_outside(struct host *host, const struct gpu_usage_process *used,
                       struct procfs_process *ret_process)
{
    struct proctrack_set set;
    if (used->memory_bytes <= used->shared_bytes ||
        proctrack_look(host->proctrack, used->pid, ret_process) || !ret_process->uid ||
        ret_process->euid != ret_process->uid || ret_process->suid != ret_process->uid ||
        !host_can_end(ret_process))
        return false;
    proctrack_find(host->proctrack, used->pid, &set);
    if (allocations_on(&host->allocations, &set, used->device))
        return false;
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i]; i++)
        if (terminate_ends(&host->termination, set.ids[i]))
            return false;
    return !leavers_has(&host->leavers, ret_process);
}

static struct outsider *first_of(struct outsider *list, size_t count, uint32_t device, uint32_t uid)
{
    const struct outsider key = {.device = device, .uid = uid};
    struct outsider *found = count ? bsearch(&key, list, count, sizeof(key), compare) : NULL;
    while (found && found > list && compare(found - 1, &key) == 0)
        found--;
    return found;
}

static void count_held(struct host *host, struct outsider *list, size_t count)
{
    const struct allocation *held = NULL;
    while ((held = allocations_after(&host->allocations, held ? held->id : 0))) {
        for (uint32_t i = 0; i < held->share_count && !suspend_has(&host->suspensions, held->id);
             i++) {
            struct outsider *first = first_of(list, count, held->shares[i].device, held->uid);
            if (!first)
                continue;
            first->held = held;
            first->held_count++;
        }
    }
}

/* Return whether the program would lose a partition that it is in: its own holds several devices,
 * and the program has another one on one of these. */
static bool would_lose(struct host *host, const struct outsider *outsider,
                       const struct proctrack_set *after)
{
    struct proctrack_set before;
    proctrack_find(host->proctrack, outsider->process.pid, &before);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && before.ids[i]; i++)
        if (allocations_find(&host->allocations, before.ids[i]) &&
            !proctrack_set_has(after, before.ids[i]))
            return true;
    return false;
}

static void adopt(struct host *host, const struct outsider *outsider, const struct allocation *held)
{
    const int pid = (int)outsider->process.pid;
    struct proctrack_set set;
    struct message message = {""};
    char text[256];
    /* Record it first, as a join does. */
    int r = allocations_add(&host->occupied, held->id);
    if (!r)
        r = host_set_after(host, held->id, outsider->process.pid, &set);
    if (!r && would_lose(host, outsider, &set))
        return;
    if (!r)
        r = proctrack_join(host->proctrack, &set, held->account, &outsider->process, &message);
    if (r) { /* the next check tries again */
        if (*message.text && r != -EINPROGRESS)
            log_say("A program cannot be adopted: %s", message.text);
        return;
    }
    snprintf(text, sizeof(text), "pid=%d uid=%" PRIu32, pid, outsider->uid);
    host_note_violation(host, held->id, held->uid, outsider->device, "adopted", text);
    snprintf(text, sizeof(text),
             "Process %d uses gpu%" PRIu32 " and was added to p%" PRIu64
             ", your partition there; it ends with it.",
             pid, outsider->device, held->id);
    host_report_status(host, outsider->uid, text);
}

void host_adopt(struct host *host, const struct gpu_usage *usage)
{
    struct outsider *list = calloc(usage->process_count + 1u, sizeof(*list));
    size_t count = 0;
    for (uint32_t i = 0; list && i < usage->process_count; i++) {
        struct outsider *outsider = &list[count];
        if (!is_outside(host, &usage->process[i], &outsider->process))
            continue;
        outsider->device = usage->process[i].device;
        outsider->uid = outsider->process.uid;
        count++;
    }
    if (count > 0) {
        qsort(list, count, sizeof(*list), compare);
        count_held(host, list, count);
    }
    for (size_t i = 0; i < count; i++) {
        const struct outsider *first = first_of(list, count, list[i].device, list[i].uid);
        if (first->held_count == 1)
            adopt(host, &list[i], first->held);
    }
    free(list);
}
