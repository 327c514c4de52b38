/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: checks whether memory is free on the timeline and whether the policy lets this caller
 * have it. If not, it writes a message that says what would work. It changes nothing.
 */
#include "admission_words.h"
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 uint128;

/* What one device can offer for a request. */
struct offer {
    uint32_t device;
    uint64_t bytes; /* bytes that the request amounts to there */
    uint64_t free;  /* bytes free during the whole requested time */
    bool lacks;     /* what the request needs beside memory is not free */
};

uint64_t admission_free(const struct engine *engine, uint32_t device, int64_t from_ns,
                        int64_t until_ns, uint64_t own)
{
    const struct timeline *timeline = &engine->devices[device].timeline;
    uint64_t peak = (uint64_t)timeline_peak(timeline, from_ns, until_ns) - own;
    uint64_t memory = admission_memory(engine, device);
    return peak < memory ? memory - peak : 0;
}

/* "; 0.50 of gpu0 is free from 14:32:10, when p3 ends", or "". */
static void when_words(const struct engine *engine, uint32_t device, uint64_t bytes, int64_t at_ns,
                       char *text, size_t size)
{
    char when[40], why[40] = "";
    text[0] = 0;
    if (at_ns == ENGINE_FOREVER)
        return;
    uint64_t id = timeline_ends_at(&engine->devices[device].timeline, at_ns);
    if (id)
        snprintf(why, sizeof(why), ", when p%" PRIu64 " ends", id);
    engine->time_text(engine->context, at_ns, when, sizeof(when));
    snprintf(text, size, "; %s of gpu%" PRIu32 " is free from %s%s",
             admission_share_words(bytes, admission_memory(engine, device)).text, device, when,
             why);
}

/* -- the policy -------------------------------------------------------------- */

int admission_fraction(const struct engine *engine, const struct call *call, uint32_t device,
                       uint64_t bytes)
{
    uint64_t memory = admission_memory(engine, device);
    uint64_t limit = (uint64_t)((uint128)memory * engine->policy.max_fraction_ppm / 1000000);
    char fraction[24];

    /* Leave amounts above the whole device to the check for space. */
    if (call->caller->admin || bytes <= limit || bytes > memory)
        return 0;
    units_fraction_text(engine->policy.max_fraction_ppm, 1000000, fraction, sizeof(fraction));
    return refuse(REFUSED_INVALID, call->why,
                  "%s of gpu%" PRIu32 " (%s) exceeds the limit for one partition; "
                  "at most %s (%s) is allowed.",
                  admission_share_words(bytes, memory).text, device,
                  admission_size_words(bytes, limit).text, fraction,
                  admission_size_words(limit, bytes).text);
}

int admission_duration(const struct engine *engine, const struct call *call, int64_t duration_ns,
                       bool whole)
{
    const struct policy *policy = &engine->policy;

    if (duration_ns < 1 || duration_ns > DURATION_MAX_NS)
        return refuse(REFUSED_INVALID, call->why,
                      "A partition lasts at least 1 second and at most 100 years (36500d).");
    if (!call->caller->admin && whole && duration_ns < policy->min_duration_ns)
        return refuse(REFUSED_INVALID, call->why,
                      "%s is too short; a partition must last at least %s.",
                      admission_duration_words(duration_ns).text,
                      admission_duration_words(policy->min_duration_ns).text);
    if (!call->caller->admin && duration_ns > policy->max_duration_ns)
        return refuse(REFUSED_INVALID, call->why,
                      "%s is too long; a partition can have at most %s left.",
                      admission_duration_words(duration_ns).text,
                      admission_duration_words(policy->max_duration_ns).text);
    return 0;
}

/* Limit the number per person: each partition costs memory and time that all users share. */
static int check_count(const struct engine *engine, const struct call *call)
{
    uint64_t limit = engine->policy.max_partitions, count, own, bytes;

    if (call->caller->admin || limit == UINT64_MAX)
        return 0;
    count = engine_account_holds(engine, call->caller->uid);
    if (count < limit)
        return 0;
    engine_user_holds(engine, call->caller->uid, &own, &bytes);
    return refuse(REFUSED_QUOTA, call->why,
                  "You hold %" PRIu64 " partitions%s; a user can hold at most %" PRIu64
                  ". Release one first.",
                  count, own == count ? "" : ", subordinate uids included", limit);
}

int admission_check(const struct engine *engine, const struct call *call, int64_t duration_ns)
{
    int r = admission_duration(engine, call, duration_ns, true);

    return r ? r : check_count(engine, call);
}

static bool barred(const struct caller *caller, uint32_t device)
{
    return caller->barred && caller->barred[device];
}

/* -- creating ---------------------------------------------------------------- */

int admission_bytes(const struct engine *engine, const struct call *call, uint32_t device,
                    const struct request *request, uint64_t *ret_bytes)
{
    uint64_t bytes = units_amount_bytes(&request->amount, admission_memory(engine, device));

    if (!engine->devices[device].device.present)
        return refuse(REFUSED_BUSY, call->why,
                      "Device gpu%" PRIu32 " is absent and grants nothing new; "
                      "request another device.",
                      device);
    if (bytes == 0)
        return refuse(REFUSED_INVALID, call->why,
                      "The amount is less than one byte of gpu%" PRIu32 "; request more.", device);
    int r = admission_fraction(engine, call, device, bytes);
    if (!r)
        r = compute_check_policy(engine, call, request->share);
    if (r)
        return r;
    *ret_bytes = bytes;
    return 0;
}

/* The share that a request becomes. */
static struct share share_of(const struct request *request, const struct offer *offer)
{
    return (struct share){
        .device = offer->device, .compute_ppm = request->share, .memory_bytes = offer->bytes};
}

/* Compute what `device` can offer. Does not check whether the request fits. */
static int make_offer(const struct engine *engine, const struct call *call, uint32_t device,
                      const struct request *request, struct offer *ret_offer)
{
    struct offer offer = {.device = device};
    int r = admission_bytes(engine, call, device, request, &offer.bytes);

    if (r)
        return r;
    int64_t until_ns = timeline_later(call->now_ns, request->duration_ns);
    const struct share share = share_of(request, &offer);
    offer.free = admission_free(engine, device, call->now_ns, until_ns, 0);
    offer.lacks = !compute_fits(engine, &share, NULL, call->now_ns, until_ns);
    *ret_offer = offer;
    return 0;
}

static int refuse_space(const struct engine *engine, const struct call *call,
                        const struct request *request, const struct offer *offer)
{
    uint64_t memory = admission_memory(engine, offer->device);
    char when[128];
    if (offer->bytes <= offer->free) {
        const struct share share = share_of(request, offer);
        return compute_check(engine, call, &share, NULL, call->now_ns,
                             timeline_later(call->now_ns, request->duration_ns));
    }
    if (offer->bytes > memory)
        return refuse(REFUSED_NO_SPACE, call->why,
                      ADMISSION_NO_SPACE "%s was asked for, gpu%" PRIu32 " has %s.",
                      admission_size_words(offer->bytes, memory).text, offer->device,
                      admission_size_words(memory, offer->bytes).text);
    when_words(
        engine, offer->device, offer->bytes,
        engine_earliest(engine, offer->device, call->now_ns, offer->bytes, request->duration_ns),
        when, sizeof(when));
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "%s of gpu%" PRIu32 " (%s) was asked for, %s (%s) is free%s.",
                  admission_share_words(offer->bytes, memory).text, offer->device,
                  admission_size_words(offer->bytes, offer->free).text,
                  admission_share_words(offer->free, memory).text,
                  admission_size_words(offer->free, offer->bytes).text, when);
}

/* True if a larger share is free on the device of `a` than on that of `b`. */
static bool freer(const struct engine *engine, const struct offer *a, const struct offer *b)
{
    return (uint128)a->free * admission_memory(engine, b->device) >
           (uint128)b->free * admission_memory(engine, a->device);
}

/* No device has enough free memory: name the one with the most, and the one that is free first. */
static int refuse_space_anywhere(const struct engine *engine, const struct call *call,
                                 const struct request *request, const struct offer *most)
{
    int64_t first_ns = ENGINE_FOREVER, at_ns;
    struct offer first = *most, offer;
    uint64_t largest = 0;
    char when[128];
    for (uint32_t i = 0; i < engine->device_count; i++) {
        if (barred(call->caller, i) || make_offer(engine, call, i, request, &offer))
            continue;
        if (admission_memory(engine, i) > largest)
            largest = admission_memory(engine, i);
        at_ns = engine_earliest(engine, i, call->now_ns, offer.bytes, request->duration_ns);
        if (at_ns < first_ns) {
            first_ns = at_ns;
            first = offer;
        }
    }
    if (first.bytes > largest)
        return refuse(REFUSED_NO_SPACE, call->why,
                      ADMISSION_NO_SPACE "%s was asked for, no device has more than %s.",
                      admission_size_words(first.bytes, largest).text,
                      admission_size_words(largest, first.bytes).text);
    when_words(engine, first.device, first.bytes, first_ns, when, sizeof(when));
    return refuse(
        REFUSED_NO_SPACE, call->why,
        ADMISSION_NO_SPACE "%s of one device was asked for, at most %s (%s of gpu%" PRIu32
                           ") is free%s.",
        request->amount.is_share
            ? admission_share_words(most->bytes, admission_memory(engine, most->device)).text
            : admission_size_words(most->bytes, most->free).text,
        admission_share_words(most->free, admission_memory(engine, most->device)).text,
        admission_size_words(most->free, most->bytes).text, most->device, when);
}

static int choose_device(const struct engine *engine, const struct call *call,
                         const struct request *request, struct offer *ret_offer)
{
    struct offer most = {0}, offer;
    struct admission_choice choice = {.any = false};
    bool have_most = false, kept_out = false;
    int refused = 0;

    for (uint32_t i = 0; i < engine->device_count; i++) {
        if (!engine->devices[i].device.present)
            continue;
        if (barred(call->caller, i)) {
            kept_out = true;
            continue;
        }
        refused = make_offer(engine, call, i, request, &offer);
        if (refused)
            continue;
        if (!have_most || freer(engine, &offer, &most))
            most = offer;
        have_most = true;
        if (offer.bytes <= offer.free && !offer.lacks)
            admission_choose(engine, request, i, offer.free, offer.bytes, &choice);
    }
    if (have_most && !choice.any && most.bytes <= most.free)
        return refuse_space(engine, call, request, &most);
    if (have_most && !choice.any)
        return refuse_space_anywhere(engine, call, request, &most);
    if (choice.any)
        return make_offer(engine, call, choice.device[choice.free <= PLACEMENT_FEW], request,
                          ret_offer);
    if (!refused && kept_out)
        return refuse(REFUSED_PERMISSION, call->why,
                      "Permission denied: you cannot open any of the devices present.");
    if (!refused)
        return refuse(REFUSED_BUSY, call->why, "No device is present.");
    return refused;
}

int admission_create(const struct engine *engine, const struct call *call, uint32_t device,
                     const struct request *request, struct share *ret_share)
{
    struct offer offer;
    int r = admission_check(engine, call, request->duration_ns);

    if (r)
        return r;
    if (device == ENGINE_DEVICE_ANY)
        r = choose_device(engine, call, request, &offer);
    else if (device >= engine->device_count)
        r = refuse(REFUSED_INVALID, call->why,
                   "There is no gpu%" PRIu32 "; there are %" PRIu32 " devices.", device,
                   engine->device_count);
    else
        r = make_offer(engine, call, device, request, &offer);
    if (r)
        return r;
    if (offer.bytes > offer.free || offer.lacks)
        return refuse_space(engine, call, request, &offer);
    *ret_share = share_of(request, &offer);
    return 0;
}
