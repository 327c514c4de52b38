/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining: with config/drain on, nothing new is granted and nothing grows, so that the machine is
 * free at the last end that is known now. It must not touch what was granted.
 */
#include "internal.h"

#include <inttypes.h>

int drain_check_new(const struct engine *engine, const struct call *call, uint32_t owner_uid)
{
    const struct caller *caller = call->caller;

    /* Hooks of schedulers and hubs act as root for everyone: those are held back. An administrator
     * tries the machine before it goes back into service. */
    if (engine->policy.drain == POLICY_DRAIN_OFF || (caller->admin && owner_uid == caller->uid))
        return 0;
    return refuse(REFUSED_BUSY, call->why,
                  "This machine is being drained: it grants nothing new until an administrator "
                  "sets config/drain to off. Ask on another machine.");
}

int drain_check_more(const struct engine *engine, const struct call *call,
                     const struct partition *partition, const char *what)
{
    char when[48];

    if (engine->policy.drain == POLICY_DRAIN_OFF || call->caller->admin)
        return 0;
    engine->time_text(engine->context, partition->end_ns, when, sizeof(when));
    return refuse(REFUSED_BUSY, call->why,
                  "This machine is being drained: p%" PRIu64 " cannot be %s. It runs on until %s; "
                  "ask an administrator for more.",
                  partition->id, what, when);
}
