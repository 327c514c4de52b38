/* SPDX-License-Identifier: Apache-2.0 */
/* What the watchdog says: to users and into the log. It must not change anything. */
#include "watchdog-private.h"

#include "../core/engine/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t trouble_due_ns(const struct trouble *trouble, const struct watchdog_policy *policy)
{
    enum watchdog_mode needed = trouble->stage == TROUBLE_REPORTED ? WATCHDOG_WARN : WATCHDOG_END;
    int64_t wait_ns = trouble->stage == TROUBLE_TERM ? WATCHDOG_KILL_NS : policy->grace_ns, due_ns;

    if (trouble->stage == TROUBLE_NEW)
        return trouble->since_ns;
    if (trouble->stage == TROUBLE_KILL || !trouble->may_act || policy->mode < needed ||
        __builtin_add_overflow(trouble->step_ns, wait_ns, &due_ns))
        return WATCHDOG_FOREVER;
    return due_ns;
}

static void say_what(const struct trouble *trouble, char *text, size_t size)
{
    char used[32] = "memory", limit[32], over[32];

    if (trouble->partition_id == 0) {
        if (trouble->bytes != WATCHDOG_BYTES_UNKNOWN)
            size_text(trouble->bytes, used, sizeof(used));
        snprintf(text, size,
                 "process %d uses %s of gpu%" PRIu32 " and is in no partition there: ask for one "
                 "(gpu%" PRIu32 "/new) and write %d to its file procs",
                 trouble->pid, used, trouble->device, trouble->device, trouble->pid);
        return;
    }
    size_text(trouble->bytes, used, sizeof(used));
    size_text(trouble->limit_bytes, limit, sizeof(limit));
    size_text(trouble->bytes - trouble->limit_bytes, over, sizeof(over));
    snprintf(text, size,
             "p%" PRIu64 " uses %s of gpu%" PRIu32 ", %s more than its limit of %s: let its "
             "programs use less, or write more to its file fraction",
             trouble->partition_id, used, trouble->device, over, limit);
}

/* When the process will be sent SIGTERM if all goes on; WATCHDOG_FOREVER: not. */
static int64_t end_ns(const struct trouble *trouble, const struct watchdog_policy *policy)
{
    int64_t due_ns = trouble_due_ns(trouble, policy);
    if (policy->mode < WATCHDOG_END || due_ns == WATCHDOG_FOREVER ||
        trouble->stage > TROUBLE_WARNED)
        return WATCHDOG_FOREVER;
    for (int stage = (int)trouble->stage; stage < TROUBLE_WARNED; stage++) {
        if (__builtin_add_overflow(due_ns, policy->grace_ns, &due_ns))
            return WATCHDOG_FOREVER;
    }
    return due_ns;
}

/* "1m"; never "0s" or less for a moment that is due. */
static void say_until(int64_t at_ns, int64_t now_ns, char *text, size_t size)
{
    int64_t seconds = at_ns > now_ns ? seconds_up(at_ns - now_ns) : 0;
    duration_text((seconds > 0 ? seconds : 1) * NS_PER_SECOND, text, size);
}

void trouble_sentence(const struct trouble *trouble, const struct watchdog_policy *policy,
                      int64_t now_ns, char *sentence, size_t size)
{
    char until[32];
    int64_t at_ns = end_ns(trouble, policy);
    size_t length;

    if (trouble->stage >= TROUBLE_TERM) {
        char what[32] = "";
        if (trouble->partition_id != 0)
            snprintf(what, sizeof(what), " for p%" PRIu64, trouble->partition_id);
        snprintf(sentence, size,
                 "process %d was sent %s, because it used gpu%" PRIu32 " %s%s and a warning "
                 "changed nothing",
                 trouble->pid, trouble->stage == TROUBLE_TERM ? "SIGTERM" : "SIGKILL",
                 trouble->device, trouble->partition_id == 0 ? "without a partition" : "too much",
                 what);
        return;
    }
    say_what(trouble, sentence, size);
    if (at_ns == WATCHDOG_FOREVER)
        return;
    say_until(at_ns, now_ns, until, sizeof(until));
    length = strlen(sentence);
    snprintf(sentence + length, size - length, "; else process %d is ended in %s", trouble->pid,
             until);
}

const char *trouble_word(const struct trouble *trouble)
{
    static const char *const words[][2] = {{"intruder", "excess"},
                                           {"intruder", "excess"},
                                           {"warned-intruder", "warned-excess"},
                                           {"ended-intruder", "ended-excess"},
                                           {"ended-intruder", "ended-excess"}};
    return words[trouble->stage][trouble->partition_id != 0];
}

void trouble_details(const struct trouble *trouble, char *details, size_t size)
{
    char bytes[24] = "unknown", limit[48] = "";
    const char *signal = trouble->stage == TROUBLE_TERM   ? " signal=TERM"
                         : trouble->stage == TROUBLE_KILL ? " signal=KILL"
                                                          : "";
    if (trouble->bytes != WATCHDOG_BYTES_UNKNOWN)
        snprintf(bytes, sizeof(bytes), "%" PRIu64, trouble->bytes);
    if (trouble->partition_id != 0)
        snprintf(limit, sizeof(limit), " limit_bytes=%" PRIu64, trouble->limit_bytes);
    snprintf(details, size, "pid=%d uid=%" PRIu32 " device=gpu%" PRIu32 " bytes=%s%s%s",
             trouble->pid, trouble->pid_uid, trouble->device, bytes, limit, signal);
}
