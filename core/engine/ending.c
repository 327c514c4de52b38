/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a partition and the warning before it: what an owner may choose, and
 * when the warning is due. What is done to processes then is not known here.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

static int check_on_expiry(const struct policy *policy, uint32_t on_expiry, struct refusal *why)
{
    char allowed[ENGINE_VALUE_MAX];

    if (policy->allowed_on_expiry & 1U << on_expiry)
        return 0;
    ending_on_expiry_set_text(policy->allowed_on_expiry, allowed, sizeof(allowed));
    return refuse(REFUSED_INVALID, why, "on_expiry=%s is not allowed here; write one of: %s",
                  ending_on_expiry_text(on_expiry), allowed);
}

static int check_grace(const struct policy *policy, int64_t grace_ns, struct refusal *why)
{
    char asked[48], limit[48];

    if (grace_ns <= policy->max_grace_ns)
        return 0;
    units_duration_text(grace_ns, asked, sizeof(asked));
    units_duration_text(policy->max_grace_ns, limit, sizeof(limit));
    return refuse(REFUSED_INVALID, why, "a grace of %s is too long; at most %s is allowed", asked,
                  limit);
}

int ending_apply(const struct engine *engine, const struct call *call,
                 const struct ending_change *change, struct partition *partition)
{
    const struct policy *policy = &engine->policy;
    struct partition after = *partition;
    int r = 0;

    if (change->set_on_expiry)
        after.on_expiry = change->on_expiry;
    if (change->set_grace)
        after.grace_ns = change->grace_ns;
    if (change->set_warn) {
        after.warn.ns = change->warn.ns;
        after.warn.signal = change->warn.ns > 0 ? change->warn.signal : 0;
        after.warned = after.warn.ns > 0 ? after.warned : 0;
    }
    if (!ending_is_sound(&after))
        return refuse(REFUSED_INVALID, call->why,
                      "on_expiry is none, term or kill; grace and warn are at most 100 years");
    if (!call->caller->admin && after.on_expiry != partition->on_expiry)
        r = check_on_expiry(policy, after.on_expiry, call->why);
    if (r == 0 && !call->caller->admin && after.grace_ns != partition->grace_ns)
        r = check_grace(policy, after.grace_ns, call->why);
    if (r == 0)
        *partition = after;
    return r;
}

bool ending_settle(struct partition *partition, int64_t now_ns)
{
    bool near = partition->warn.ns > 0 && ending_warning_ns(partition) <= now_ns;

    if (!near)
        partition->warned = 0;
    return near && !partition->warned;
}
