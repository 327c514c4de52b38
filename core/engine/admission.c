/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: checks whether memory is free on the timeline and whether the policy lets this caller
 * have it. If not, it writes a message that says what would work. It changes nothing.
 */
#include "admission_words.h"
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

#define NO_SPACE "Not enough available memory: "

__extension__ typedef unsigned __int128 uint128;

/* What one device can offer for a request. */
struct offer {
    uint32_t device;
    uint64_t bytes; /* bytes that the request amounts to there */
    uint64_t free;  /* bytes free during the whole requested time */
};

static uint64_t memory_of(const struct engine *engine, uint32_t device)
{
    return engine->devices[device].device.memory_bytes;
}

/* Bytes free during all of [from_ns, until_ns), not counting `own` bytes of the promises there. */
static uint64_t free_within(const struct engine *engine, uint32_t device, int64_t from_ns,
                            int64_t until_ns, uint64_t own)
{
    const struct timeline *timeline = &engine->devices[device].timeline;
    uint64_t peak = (uint64_t)timeline_peak(timeline, from_ns, until_ns) - own;
    uint64_t memory = memory_of(engine, device);
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
             admission_share_words(bytes, memory_of(engine, device)).text, device, when, why);
}

/* -- the policy -------------------------------------------------------------- */

static int check_fraction(const struct engine *engine, const struct call *call, uint32_t device,
                          uint64_t bytes)
{
    uint64_t memory = memory_of(engine, device);
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

static int check_duration(const struct engine *engine, const struct call *call, int64_t duration_ns,
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
    int r = check_duration(engine, call, duration_ns, true);

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
    uint64_t bytes = units_amount_bytes(&request->amount, memory_of(engine, device));

    if (!engine->devices[device].device.present)
        return refuse(REFUSED_BUSY, call->why,
                      "Device gpu%" PRIu32 " is absent and grants nothing new; "
                      "request another device.",
                      device);
    if (bytes == 0)
        return refuse(REFUSED_INVALID, call->why,
                      "The amount is less than one byte of gpu%" PRIu32 "; request more.", device);
    int r = check_fraction(engine, call, device, bytes);
    if (r)
        return r;
    *ret_bytes = bytes;
    return 0;
}

/* Compute what `device` can offer. Does not check whether the request fits. */
static int make_offer(const struct engine *engine, const struct call *call, uint32_t device,
                      const struct request *request, struct offer *ret_offer)
{
    struct offer offer = {.device = device};
    int r = admission_bytes(engine, call, device, request, &offer.bytes);

    if (r)
        return r;
    offer.free = free_within(engine, device, call->now_ns,
                             timeline_later(call->now_ns, request->duration_ns), 0);
    *ret_offer = offer;
    return 0;
}

static int refuse_space(const struct engine *engine, const struct call *call,
                        const struct request *request, const struct offer *offer)
{
    uint64_t memory = memory_of(engine, offer->device);
    char when[128];
    if (offer->bytes > memory)
        return refuse(REFUSED_NO_SPACE, call->why,
                      NO_SPACE "%s was asked for, gpu%" PRIu32 " has %s.",
                      admission_size_words(offer->bytes, memory).text, offer->device,
                      admission_size_words(memory, offer->bytes).text);
    when_words(
        engine, offer->device, offer->bytes,
        engine_earliest(engine, offer->device, call->now_ns, offer->bytes, request->duration_ns),
        when, sizeof(when));
    return refuse(REFUSED_NO_SPACE, call->why,
                  NO_SPACE "%s of gpu%" PRIu32 " (%s) was asked for, %s (%s) is free%s.",
                  admission_share_words(offer->bytes, memory).text, offer->device,
                  admission_size_words(offer->bytes, offer->free).text,
                  admission_share_words(offer->free, memory).text,
                  admission_size_words(offer->free, offer->bytes).text, when);
}

/* True if a larger share is free on the device of `a` than on that of `b`. */
static bool freer(const struct engine *engine, const struct offer *a, const struct offer *b)
{
    return (uint128)a->free * memory_of(engine, b->device) >
           (uint128)b->free * memory_of(engine, a->device);
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
        if (memory_of(engine, i) > largest)
            largest = memory_of(engine, i);
        at_ns = engine_earliest(engine, i, call->now_ns, offer.bytes, request->duration_ns);
        if (at_ns < first_ns) {
            first_ns = at_ns;
            first = offer;
        }
    }
    if (first.bytes > largest)
        return refuse(REFUSED_NO_SPACE, call->why,
                      NO_SPACE "%s was asked for, no device has more than %s.",
                      admission_size_words(first.bytes, largest).text,
                      admission_size_words(largest, first.bytes).text);
    when_words(engine, first.device, first.bytes, first_ns, when, sizeof(when));
    return refuse(REFUSED_NO_SPACE, call->why,
                  NO_SPACE "%s of one device was asked for, at most %s (%s of gpu%" PRIu32
                           ") is free%s.",
                  request->amount.is_share
                      ? admission_share_words(most->bytes, memory_of(engine, most->device)).text
                      : admission_size_words(most->bytes, most->free).text,
                  admission_share_words(most->free, memory_of(engine, most->device)).text,
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
        if (offer.bytes <= offer.free)
            admission_choose(engine, request, i, offer.free, offer.bytes, &choice);
    }
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
    if (offer.bytes > offer.free)
        return refuse_space(engine, call, request, &offer);
    *ret_share = (struct share){.device = offer.device, .memory_bytes = offer.bytes};
    return 0;
}

/* -- changing ---------------------------------------------------------------- */

static int check_present(const struct engine *engine, const struct call *call,
                         const struct partition *partition, const struct share *share)
{
    if (engine->devices[share->device].device.present)
        return 0;
    return refuse(REFUSED_BUSY, call->why,
                  "Device gpu%" PRIu32 " is absent; p%" PRIu64 " can only be made smaller, "
                  "shortened or released.",
                  share->device, partition->id);
}

static int resize_share(const struct engine *engine, const struct call *call,
                        const struct partition *partition, const struct share *share,
                        uint64_t bytes)
{
    uint64_t memory = memory_of(engine, share->device), room;
    if (bytes <= share->memory_bytes)
        return 0;
    int r = check_present(engine, call, partition, share);
    if (!r)
        r = check_fraction(engine, call, share->device, bytes);
    if (r)
        return r;
    /* From its start on, every value includes the partition's own promise. */
    room = free_within(engine, share->device,
                       call->now_ns > partition->start_ns ? call->now_ns : partition->start_ns,
                       partition->end_ns, share->memory_bytes);
    if (bytes <= room)
        return 0;
    return refuse(REFUSED_NO_SPACE, call->why,
                  NO_SPACE "%s of gpu%" PRIu32 " (%s) was asked for p%" PRIu64
                           ", it can have at most %s (%s) until its end.",
                  admission_share_words(bytes, memory).text, share->device,
                  admission_size_words(bytes, room).text, partition->id,
                  admission_share_words(room, memory).text, admission_size_words(room, bytes).text);
}

int admission_resize(const struct engine *engine, const struct call *call,
                     const struct partition *partition, uint64_t bytes)
{
    int r = 0;

    if (bytes == 0)
        return refuse(REFUSED_INVALID, call->why,
                      "A partition has at least one byte; to release p%" PRIu64 ", remove it.",
                      partition->id);
    for (uint32_t i = 0; !r && i < partition->share_count; i++)
        r = resize_share(engine, call, partition, &partition->shares[i], bytes);
    return r;
}

static int extend_share(const struct engine *engine, const struct call *call,
                        const struct partition *partition, const struct share *share,
                        int64_t end_ns)
{
    uint64_t memory = memory_of(engine, share->device), bytes = share->memory_bytes;
    uint64_t room = free_within(engine, share->device, partition->end_ns, end_ns, 0);
    struct words when;

    if (bytes <= room)
        return 0;
    engine->time_text(engine->context, partition->end_ns, when.text, sizeof(when.text));
    return refuse(REFUSED_NO_SPACE, call->why,
                  NO_SPACE "p%" PRIu64 " needs %s of gpu%" PRIu32 " (%s) beyond its end at %s, "
                           "where %s (%s) is free.",
                  partition->id, admission_share_words(bytes, memory).text, share->device,
                  admission_size_words(bytes, room).text, when.text,
                  admission_share_words(room, memory).text, admission_size_words(room, bytes).text);
}

int admission_end(const struct engine *engine, const struct call *call,
                  const struct partition *partition, int64_t end_ns)
{
    bool waits = partition->state == PARTITION_PENDING;
    int64_t from_ns = waits ? partition->start_ns : call->now_ns;
    int r = 0;

    if (end_ns <= call->now_ns || end_ns <= partition->start_ns)
        return refuse(REFUSED_INVALID, call->why,
                      "The end of p%" PRIu64 " must be in the future; to end it now, release it.",
                      partition->id);
    if (end_ns <= partition->end_ns)
        return 0;
    for (uint32_t i = 0; !r && i < partition->share_count; i++)
        r = check_present(engine, call, partition, &partition->shares[i]);
    if (!r)
        r = check_duration(
            engine, call,
            from_ns < 0 && end_ns > INT64_MAX + from_ns ? INT64_MAX : end_ns - from_ns, false);
    if (!r && end_ns > ENGINE_TIME_MAX)
        r = refuse(REFUSED_INVALID, call->why,
                   "The end of p%" PRIu64 " would be too far away; write an earlier one.",
                   partition->id);
    for (uint32_t i = 0; !r && i < partition->share_count; i++)
        r = extend_share(engine, call, partition, &partition->shares[i], end_ns);
    return r;
}
