/* SPDX-License-Identifier: Apache-2.0 */
/* Compute when the steps of a violation are due, and write the texts about it. Pure. */
#include "watchdog_internal.h"

#include "core/base/ns.h"
#include "core/engine/units.h"
#include "core/gpu/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t watchdog_due_ns(const struct violation *violation, const struct policy *policy)
{
    const enum policy_watchdog needed =
        violation->stage == VIOLATION_REPORTED ? POLICY_WATCHDOG_WARN : POLICY_WATCHDOG_END;
    int64_t wait_ns =
        violation->stage == VIOLATION_TERM ? WATCHDOG_KILL_NS : policy->watchdog_grace_ns;
    int64_t due_ns;

    if (violation->stage == VIOLATION_NEW)
        return violation->since_ns;
    if (violation->stage == VIOLATION_KILL || !violation->may_act || policy->watchdog < needed ||
        __builtin_add_overflow(violation->step_ns, wait_ns, &due_ns))
        return INT64_MAX;
    return due_ns;
}

/* Return when SIGTERM comes if nothing changes; INT64_MAX: never. */
static int64_t end_ns(const struct violation *violation, const struct policy *policy)
{
    int64_t due_ns = watchdog_due_ns(violation, policy);
    if (policy->watchdog < POLICY_WATCHDOG_END || due_ns == INT64_MAX)
        return INT64_MAX;
    if (violation->stage == VIOLATION_REPORTED &&
        __builtin_add_overflow(due_ns, policy->watchdog_grace_ns, &due_ns))
        return INT64_MAX;
    return due_ns;
}

static void describe_use(const struct violation *violation, char *text, size_t size)
{
    char used[32] = "memory", limit[32], over[32];

    if (violation->bytes != GPU_BYTES_UNKNOWN)
        units_size_text(violation->bytes, used, sizeof(used));
    if (violation->kind == VIOLATION_UNLIMITED && violation->charges) {
        snprintf(text, size,
                 "Process %d uses %s of gpu%" PRIu32 " in p%" PRIu64 ", far more than it has "
                 "charged, and p%" PRIu64
                 " is above its limit. Start it with chronos run, or write "
                 "more to the file fraction.",
                 violation->pid, used, violation->device, violation->partition_id,
                 violation->partition_id);
        return;
    }
    if (violation->kind == VIOLATION_UNLIMITED) {
        snprintf(text, size,
                 "Process %d uses %s of gpu%" PRIu32 " in p%" PRIu64 " and nothing limits what it "
                 "allocates. Start it with chronos run, or with the variables of the file "
                 "environment.",
                 violation->pid, used, violation->device, violation->partition_id);
        return;
    }
    if (violation->kind == VIOLATION_UNMANAGED) {
        snprintf(text, size,
                 "Process %d uses %s of gpu%" PRIu32 " and is in no partition there. Ask for one "
                 "(gpu%" PRIu32 "/new) and write %d to its file procs.",
                 violation->pid, used, violation->device, violation->device, violation->pid);
        return;
    }
    units_size_text(violation->limit_bytes, limit, sizeof(limit));
    units_size_text(violation->bytes - violation->limit_bytes, over, sizeof(over));
    snprintf(text, size,
             "p%" PRIu64 " uses %s of gpu%" PRIu32 ", %s more than its limit of %s. Let its "
             "programs use less, or write more to its file fraction.",
             violation->partition_id, used, violation->device, over, limit);
}

static void describe_signal(const struct violation *violation, char *text, size_t size)
{
    const char *signal = violation->stage == VIOLATION_TERM ? "SIGTERM" : "SIGKILL";
    if (violation->kind == VIOLATION_UNLIMITED)
        snprintf(text, size,
                 "Process %d was sent %s: nothing limited what it allocated of gpu%" PRIu32
                 " in p%" PRIu64 ", and a warning changed nothing.",
                 violation->pid, signal, violation->device, violation->partition_id);
    else if (violation->partition_id)
        snprintf(text, size,
                 "Process %d was sent %s: p%" PRIu64 " used more of gpu%" PRIu32 " than its limit, "
                 "this process most of it, and a warning changed nothing.",
                 violation->pid, signal, violation->partition_id, violation->device);
    else
        snprintf(text, size,
                 "Process %d was sent %s: it used gpu%" PRIu32 " without a partition, and a "
                 "warning changed nothing.",
                 violation->pid, signal, violation->device);
}

static void describe_step(const struct violation *violation, const struct policy *policy,
                          int64_t now_ns, char *text, size_t size)
{
    char left[32];
    if (violation->stage >= VIOLATION_TERM) {
        describe_signal(violation, text, size);
        return;
    }
    describe_use(violation, text, size);
    int64_t at_ns = end_ns(violation, policy);
    if (at_ns == INT64_MAX)
        return;
    int64_t seconds = at_ns > now_ns ? units_seconds_up(at_ns - now_ns) : 0;
    units_duration_text((seconds ? seconds : 1) * NS_PER_SECOND, left, sizeof(left));
    size_t length = strlen(text);
    snprintf(text + length, size - length, " Otherwise process %d will be ended in %s.",
             violation->pid, left);
}

void watchdog_describe(const struct violation *violation, const struct policy *policy,
                       int64_t now_ns, struct watchdog_action *action)
{
    static const char *const words[][3] = {
        [VIOLATION_UNMANAGED] = {"unmanaged", "warned-unmanaged", "ended-unmanaged"},
        [VIOLATION_OVER_LIMIT] = {"over-limit", "warned-over-limit", "ended-over-limit"},
        [VIOLATION_UNLIMITED] = {"unlimited", "warned-unlimited", "ended-unlimited"}};
    const int step = violation->stage < VIOLATION_TERM ? (int)violation->stage : VIOLATION_TERM;
    char bytes[24] = "unknown", limit[48] = "";
    const char *signal = violation->stage == VIOLATION_TERM   ? " signal=TERM"
                         : violation->stage == VIOLATION_KILL ? " signal=KILL"
                                                              : "";
    if (violation->bytes != GPU_BYTES_UNKNOWN)
        snprintf(bytes, sizeof(bytes), "%" PRIu64, violation->bytes);
    if (violation->kind == VIOLATION_OVER_LIMIT)
        snprintf(limit, sizeof(limit), " limit_bytes=%" PRIu64, violation->limit_bytes);
    action->word = words[violation->kind][step - VIOLATION_REPORTED];
    snprintf(action->details, sizeof(action->details), "pid=%d uid=%" PRIu32 " bytes=%s%s%s%s",
             violation->pid, violation->uid, bytes, limit, violation->shared ? " shared=yes" : "",
             signal);
    describe_step(violation, policy, now_ns, action->message, sizeof(action->message));
}
