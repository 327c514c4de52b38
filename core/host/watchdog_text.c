/* SPDX-License-Identifier: Apache-2.0 */
/* What the watchdog says: to users and into the log. It must not change anything. */
#include "watchdog_internal.h"

#include "core/engine/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t watchdog_due_ns(const struct violation *violation, const struct watchdog_policy *policy)
{
    enum watchdog_mode needed =
        violation->stage == VIOLATION_REPORTED ? WATCHDOG_WARN : WATCHDOG_END;
    int64_t wait_ns = violation->stage == VIOLATION_TERM ? WATCHDOG_KILL_NS : policy->grace_ns,
            due_ns;

    if (violation->stage == VIOLATION_NEW)
        return violation->since_ns;
    if (violation->stage == VIOLATION_KILL || !violation->may_act || policy->mode < needed ||
        __builtin_add_overflow(violation->step_ns, wait_ns, &due_ns))
        return WATCHDOG_FOREVER;
    return due_ns;
}

static void say_what(const struct violation *violation, char *text, size_t size)
{
    char used[32] = "memory", limit[32], over[32];

    if (violation->partition_id == 0) {
        if (violation->bytes != WATCHDOG_BYTES_UNKNOWN)
            units_size_text(violation->bytes, used, sizeof(used));
        snprintf(text, size,
                 "process %d uses %s of gpu%" PRIu32 " and is in no partition there: ask for one "
                 "(gpu%" PRIu32 "/new) and write %d to its file procs",
                 violation->pid, used, violation->device, violation->device, violation->pid);
        return;
    }
    units_size_text(violation->bytes, used, sizeof(used));
    units_size_text(violation->limit_bytes, limit, sizeof(limit));
    units_size_text(violation->bytes - violation->limit_bytes, over, sizeof(over));
    snprintf(text, size,
             "p%" PRIu64 " uses %s of gpu%" PRIu32 ", %s more than its limit of %s: let its "
             "programs use less, or write more to its file fraction",
             violation->partition_id, used, violation->device, over, limit);
}

/* When the process will be sent SIGTERM if all goes on; WATCHDOG_FOREVER: not. */
static int64_t end_ns(const struct violation *violation, const struct watchdog_policy *policy)
{
    int64_t due_ns = watchdog_due_ns(violation, policy);
    if (policy->mode < WATCHDOG_END || due_ns == WATCHDOG_FOREVER ||
        violation->stage > VIOLATION_WARNED)
        return WATCHDOG_FOREVER;
    for (int stage = (int)violation->stage; stage < VIOLATION_WARNED; stage++) {
        if (__builtin_add_overflow(due_ns, policy->grace_ns, &due_ns))
            return WATCHDOG_FOREVER;
    }
    return due_ns;
}

/* "1m"; never "0s" or less for a moment that is due. */
static void say_until(int64_t at_ns, int64_t now_ns, char *text, size_t size)
{
    int64_t seconds = at_ns > now_ns ? units_seconds_up(at_ns - now_ns) : 0;
    units_duration_text((seconds > 0 ? seconds : 1) * NS_PER_SECOND, text, size);
}

void watchdog_violation_message(const struct violation *violation,
                                const struct watchdog_policy *policy, int64_t now_ns, char *message,
                                size_t size)
{
    char until[32];
    int64_t at_ns = end_ns(violation, policy);
    size_t length;

    if (violation->stage >= VIOLATION_TERM) {
        char what[32] = "";
        if (violation->partition_id != 0)
            snprintf(what, sizeof(what), " for p%" PRIu64, violation->partition_id);
        snprintf(message, size,
                 "process %d was sent %s, because it used gpu%" PRIu32 " %s%s and a warning "
                 "changed nothing",
                 violation->pid, violation->stage == VIOLATION_TERM ? "SIGTERM" : "SIGKILL",
                 violation->device,
                 violation->partition_id == 0 ? "without a partition" : "too much", what);
        return;
    }
    say_what(violation, message, size);
    if (at_ns == WATCHDOG_FOREVER)
        return;
    say_until(at_ns, now_ns, until, sizeof(until));
    length = strlen(message);
    snprintf(message + length, size - length, "; else process %d is ended in %s", violation->pid,
             until);
}

const char *watchdog_word(const struct violation *violation)
{
    static const char *const words[][2] = {{"unmanaged", "over-limit"},
                                           {"unmanaged", "over-limit"},
                                           {"warned-unmanaged", "warned-over-limit"},
                                           {"ended-unmanaged", "ended-over-limit"},
                                           {"ended-unmanaged", "ended-over-limit"}};
    return words[violation->stage][violation->partition_id != 0];
}

void watchdog_details(const struct violation *violation, char *details, size_t size)
{
    char bytes[24] = "unknown", limit[48] = "";
    const char *signal = violation->stage == VIOLATION_TERM   ? " signal=TERM"
                         : violation->stage == VIOLATION_KILL ? " signal=KILL"
                                                              : "";
    if (violation->bytes != WATCHDOG_BYTES_UNKNOWN)
        snprintf(bytes, sizeof(bytes), "%" PRIu64, violation->bytes);
    if (violation->partition_id != 0)
        snprintf(limit, sizeof(limit), " limit_bytes=%" PRIu64, violation->limit_bytes);
    snprintf(details, size, "pid=%d uid=%" PRIu32 " device=gpu%" PRIu32 " bytes=%s%s%s",
             violation->pid, violation->pid_uid, violation->device, bytes, limit, signal);
}
