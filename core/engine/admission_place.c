/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission of requests that may wait, that ask for a start, or that take several devices: the
 * earliest place beside everything that was promised. It changes nothing.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

/* Set the devices to take first. Those beyond the set are taken as any other. */
static void prefer(const struct request *request, struct waiting *waiting)
{
    for (uint32_t i = 0; i < request->prefer.count; i++)
        waiting_prefer(waiting, request->prefer.device[i]);
}

/* Check the devices that the request names, and set its shares, in order of devices. */
static int take_named(const struct engine *engine, const struct call *call,
                      const struct request *request, const uint32_t *devices,
                      struct partition *partition)
{
    for (uint32_t i = 0; i < partition->share_count; i++) {
        struct share share = {.device = devices[i], .compute_ppm = request->share};
        uint32_t at = i;

        if (share.device >= engine->device_count)
            return refuse(REFUSED_INVALID, call->why,
                          "There is no gpu%" PRIu32 "; there are %" PRIu32 " devices.",
                          share.device, engine->device_count);
        int r = admission_bytes(engine, call, share.device, request, &share.memory_bytes);
        if (r)
            return r;
        for (; at > 0 && partition->shares[at - 1].device > share.device; at--)
            partition->shares[at] = partition->shares[at - 1];
        if (at > 0 && partition->shares[at - 1].device == share.device)
            return refuse(REFUSED_INVALID, call->why,
                          "Device gpu%" PRIu32 " is named twice; name each device once.",
                          share.device);
        partition->shares[at] = share;
    }
    return 0;
}

/* Bar the devices that the caller or the policy rules out. The reason is that of the last one. */
static int take_any(const struct engine *engine, const struct call *call,
                    const struct request *request, const struct partition *partition,
                    struct waiting *waiting)
{
    uint32_t present = 0, count = 0;
    uint64_t bytes;
    int r = 0;

    for (uint32_t i = 0; i < engine->device_count; i++) {
        if (!engine->devices[i].device.present)
            continue;
        present++;
        if (call->caller->barred && call->caller->barred[i]) {
            waiting_bar(waiting, i);
            continue;
        }
        r = admission_bytes(engine, call, i, request, &bytes);
        if (r)
            waiting_bar(waiting, i);
        else
            count++;
    }
    if (count >= partition->share_count)
        return 0;
    if (present < partition->share_count)
        return refuse(REFUSED_BUSY, call->why,
                      "%" PRIu32 " devices were asked for, %" PRIu32 " are present.",
                      partition->share_count, present);
    if (r)
        return r;
    return refuse(REFUSED_PERMISSION, call->why,
                  "Permission denied: you can open %" PRIu32 " of the %" PRIu32
                  " devices present, and %" PRIu32 " were asked for.",
                  count, present, partition->share_count);
}

int admission_devices(const struct engine *engine, const struct call *call,
                      const struct request *request, const uint32_t *devices,
                      struct partition *partition, struct waiting *waiting)
{
    waiting->anywhere = !devices;
    memset(waiting->barred, 0, sizeof(waiting->barred));
    waiting->barred_beyond = false;
    return devices ? take_named(engine, call, request, devices, partition)
                   : take_any(engine, call, request, partition, waiting);
}

void admission_bar(const struct engine *engine, const struct call *call, struct waiting *waiting)
{
    const struct request request = {.amount = waiting->amount};
    uint64_t bytes;

    for (uint32_t i = 0; waiting->anywhere && i < engine->device_count; i++) {
        if (engine->devices[i].device.present && admission_bytes(engine, call, i, &request, &bytes))
            waiting_bar(waiting, i);
    }
}

/* Explain why there is no place: never, not now, or not at that moment. */
static int refuse_place(struct engine *engine, const struct call *call,
                        const struct creation_terms *terms, const struct waiting *waiting,
                        uint32_t count, const struct partition *partition)
{
    int64_t wanted_ns = terms->fixed ? terms->start_ns : call->now_ns;
    struct partition later = *partition;
    char when[40], wanted[40];

    if (!plan_place(engine, waiting, count, wanted_ns, ENGINE_FOREVER, &later))
        return refuse(REFUSED_NO_SPACE, call->why,
                      "Not enough available memory: it was asked for on %" PRIu32
                      " devices at once, which never have it; ask for less.",
                      partition->share_count);
    engine->time_text(engine->context, later.start_ns, when, sizeof(when));
    if (!terms->fixed && partition->share_count == 1)
        return refuse(REFUSED_NO_SPACE, call->why,
                      "Not enough available memory: as much is free from %s.", when);
    if (!terms->fixed)
        return refuse(REFUSED_NO_SPACE, call->why,
                      "Not enough available memory: it was asked for on %" PRIu32
                      " devices at once; so many have it from %s.",
                      partition->share_count, when);
    engine->time_text(engine->context, wanted_ns, wanted, sizeof(wanted));
    return refuse(REFUSED_NO_SPACE, call->why,
                  "Not enough available memory: it cannot start at %s; the next start is %s.",
                  wanted, when);
}

static int check_terms(const struct call *call, const struct creation_terms *terms)
{
    if (terms->gpus > SHARE_MAX)
        return refuse(REFUSED_INVALID, call->why,
                      "%" PRIu32 " devices were asked for; a partition can have at most %d.",
                      terms->gpus, SHARE_MAX);
    if (terms->priority >= PRIORITIES)
        return refuse(REFUSED_INVALID, call->why,
                      "%" PRIu32 " is not a priority; the highest is %d.", terms->priority,
                      PRIORITIES - 1);
    if (terms->fixed && terms->start_ns < call->now_ns)
        return refuse(REFUSED_INVALID, call->why,
                      "The start is in the past; write one that is to come.");
    return 0;
}

int admission_place(struct engine *engine, const struct call *call, const struct creation *creation,
                    const struct creation_terms *terms, struct partition *partition,
                    struct waiting *ret_waiting)
{
    uint32_t same[SHARE_MAX];
    const uint32_t *devices = terms->devices;
    int64_t from_ns = terms->fixed ? terms->start_ns : call->now_ns;
    int64_t before_ns = terms->fixed || !terms->waits ? from_ns + 1 : ENGINE_FOREVER;
    struct waiting waiting = {.asked_ns = call->now_ns,
                              .give_up_ns = terms->give_up_ns,
                              .amount = creation->request->amount,
                              .priority = terms->priority,
                              .fixed = terms->fixed,
                              .spread =
                                  admission_rule(engine, creation->request) == PLACEMENT_SPREAD};
    int r = check_terms(call, terms);

    for (uint32_t i = 0; i < SHARE_MAX; i++)
        same[i] = creation->device;
    if (!devices && creation->device != ENGINE_DEVICE_ANY)
        devices = same;
    partition->share_count = terms->gpus > 1 ? terms->gpus : 1;
    for (uint32_t i = 0; i < partition->share_count && i < SHARE_MAX; i++)
        partition->shares[i].compute_ppm = creation->request->share;
    if (!r)
        r = admission_check(engine, call, creation->request->duration_ns);
    if (!r)
        r = admission_devices(engine, call, creation->request, devices, partition, &waiting);
    prefer(creation->request, &waiting);
    if (r)
        return r;
    uint32_t count = plan_gather(engine, partition, &waiting, ENGINE_DEVICE_ANY);
    struct partition placed = *partition;
    plan_take_largest(engine, count, &placed);
    placed.start_ns = from_ns;
    placed.end_ns = timeline_later(from_ns, creation->request->duration_ns);
    r = accounts_check_waits(engine, call, &placed, terms->priority, terms->waits && !terms->fixed);
    if (r)
        return r;
    placed = *partition;
    if (!plan_place(engine, &waiting, count, from_ns, before_ns, &placed))
        return refuse_place(engine, call, terms, &waiting, count, partition);
    if (placed.start_ns > call->now_ns)
        placed.state = PARTITION_PENDING;
    waiting.promised_ns =
        terms->fixed ? placed.start_ns : plan_promise(engine, placed.start_ns, call->now_ns);
    if (terms->fixed)
        waiting.fixed_wall_ns = placed.start_ns + (call->wall_ns - call->now_ns);
    *partition = placed;
    *ret_waiting = waiting;
    return 0;
}
