/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices have beside memory: time, of which a partition has as large a share as of the
 * memory, or the one that it was given; and slots, one for each partition at once. Both are step
 * functions as memory is. Most machines use neither: nothing here costs them anything before
 * compute_begin. It must not know how time is divided.
 */
#include "internal.h"

#include "core/base/wide.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(BESIDES <= PLACEMENT_BESIDES, "room in a site");
_Static_assert(SHARING_TEXT_MAX <= ENGINE_VALUE_MAX, "a mode is a setting");

/* -- amounts ------------------------------------------------------------------------ */

static int64_t time_of(const struct engine *engine, const struct share *share)
{
    uint64_t memory = engine->devices[share->device].device.memory_bytes;

    if (share->compute_ppm == 0)
        return (int64_t)share->memory_bytes;
    int64_t part = (int64_t)((uwide)memory * share->compute_ppm / 1000000);
    return part ? part : 1;
}

static int64_t amount_of(const struct engine *engine, const struct share *share, uint32_t kind)
{
    return kind == BESIDE_SLOTS ? 1 : time_of(engine, share);
}

static int64_t whole_of(const struct device *device, uint32_t kind)
{
    return kind == BESIDE_SLOTS ? device->sharing.slots : (int64_t)device->device.memory_bytes;
}

static bool counts(const struct engine *engine, uint32_t device, uint32_t kind)
{
    return engine->counts_beside &&
           (kind == BESIDE_TIME || engine->devices[device].sharing.slots > 0);
}

bool compute_is_sound(const struct engine *engine, const struct share *share)
{
    const struct device *device = &engine->devices[share->device];

    if (share->compute_ppm == 0)
        return true;
    return share->compute_ppm <= 1000000 &&
           (uint64_t)time_of(engine, share) + share->memory_bytes <=
               (uint64_t)INT64_MAX - device->total_bytes - device->total_time;
}

/* -- the timelines ------------------------------------------------------------------- */

static void put(struct engine *engine, struct entry *entry, const struct partition *where,
                uint32_t i, uint32_t kind)
{
    const struct share *share = &where->shares[i];

    if (counts(engine, share->device, kind))
        timeline_add(&engine->devices[share->device].beside[kind], &entry->beside[i].of[kind],
                     where->id, where->start_ns, where->end_ns, amount_of(engine, share, kind));
}

static void take(struct engine *engine, struct entry *entry, const struct partition *where,
                 uint32_t i, uint32_t kind)
{
    uint32_t device = where->shares[i].device;

    if (counts(engine, device, kind))
        timeline_remove(&engine->devices[device].beside[kind], &entry->beside[i].of[kind]);
}

void compute_put_in(struct engine *engine, struct entry *entry, const struct partition *where)
{
    for (uint32_t i = 0; engine->counts_beside && partition_holds(where) && i < where->share_count;
         i++) {
        const struct share *share = &where->shares[i];

        if (share->compute_ppm)
            engine->devices[share->device].total_time += (uint64_t)time_of(engine, share);
        for (uint32_t kind = 0; kind < BESIDES; kind++)
            put(engine, entry, where, i, kind);
    }
}

void compute_take_out(struct engine *engine, struct entry *entry, const struct partition *where)
{
    for (uint32_t i = 0; engine->counts_beside && partition_holds(where) && i < where->share_count;
         i++) {
        const struct share *share = &where->shares[i];

        if (share->compute_ppm)
            engine->devices[share->device].total_time -= (uint64_t)time_of(engine, share);
        for (uint32_t kind = 0; kind < BESIDES; kind++)
            take(engine, entry, where, i, kind);
    }
}

int compute_begin(struct engine *engine)
{
    bool good = true;

    if (engine->counts_beside)
        return 0;
    for (struct avl_node *node = avl_first(&engine->by_id); node && good;
         node = avl_after(&engine->by_id, node)) {
        struct entry *entry = avl_entry(node, struct entry, by_id);

        if (!entry->beside)
            entry->beside = calloc(entry->partition.share_count, sizeof(*entry->beside));
        good = entry->beside;
    }
    if (!good)
        return -ENOMEM;
    engine->counts_beside = true;
    for (struct avl_node *node = avl_first(&engine->by_id); node;
         node = avl_after(&engine->by_id, node)) {
        struct entry *entry = avl_entry(node, struct entry, by_id);

        compute_put_in(engine, entry, &entry->partition);
    }
    return 0;
}

/* -- room ------------------------------------------------------------------------------ */

void compute_add_site(const struct engine *engine, const struct share *share,
                      const struct share *own, struct placement_site *site)
{
    struct device *device = &engine->devices[share->device];

    for (uint32_t kind = 0; kind < BESIDES; kind++) {
        int64_t amount = amount_of(engine, share, kind);
        int64_t had = own && site->own ? amount_of(engine, own, kind) : 0;

        if (counts(engine, share->device, kind))
            site->beside[site->beside_count++] =
                (struct placement_beside){.timeline = &device->beside[kind],
                                          .room = whole_of(device, kind) - amount,
                                          .own = had >= amount ? had : 0};
    }
}

/* What is left of the time or the slots of a device. */
static int64_t left_of(const struct engine *engine, uint32_t index, uint32_t kind, int64_t own,
                       int64_t from_ns, int64_t until_ns)
{
    const struct device *device = &engine->devices[index];

    return whole_of(device, kind) + own - timeline_peak(&device->beside[kind], from_ns, until_ns);
}

/* The first kind that a share does not fit in; BESIDES: it fits. */
static uint32_t find_short(const struct engine *engine, const struct share *share,
                           const struct share *own, int64_t from_ns, int64_t until_ns)
{
    uint32_t kind = 0;

    for (; kind < BESIDES; kind++) {
        int64_t had = own ? amount_of(engine, own, kind) : 0;

        if (counts(engine, share->device, kind) &&
            left_of(engine, share->device, kind, had, from_ns, until_ns) <
                amount_of(engine, share, kind))
            break;
    }
    return kind;
}

bool compute_fits(const struct engine *engine, const struct share *share, const struct share *own,
                  int64_t from_ns, int64_t until_ns)
{
    return !engine->counts_beside || find_short(engine, share, own, from_ns, until_ns) == BESIDES;
}

/* "; as much is free from 14:32:10", or "". */
static void when_words(const struct engine *engine, const struct share *share, uint32_t kind,
                       int64_t from_ns, int64_t until_ns, char *text, size_t size)
{
    struct device *device = &engine->devices[share->device];
    int64_t room = whole_of(device, kind) - amount_of(engine, share, kind);
    int64_t at_ns = room < 0 ? TIMELINE_NEVER
                             : timeline_earliest(&device->beside[kind], from_ns, ENGINE_FOREVER,
                                                 until_ns - from_ns, room);
    char when[40];

    text[0] = 0;
    if (at_ns == TIMELINE_NEVER || at_ns <= from_ns)
        return;
    engine->time_text(engine->context, at_ns, when, sizeof(when));
    snprintf(text, size, "; %s free from %s", kind == BESIDE_SLOTS ? "one is" : "as much is", when);
}

/* A part of the time, rounded down to a hundredth of a per cent. */
static uint32_t per_cent_ppm(const struct engine *engine, const struct share *share, int64_t part)
{
    uint64_t memory = engine->devices[share->device].device.memory_bytes;

    if (part <= 0 || memory == 0)
        return 0;
    return (uint32_t)((uwide)(uint64_t)part * 1000000 / memory / 100 * 100);
}

int compute_check(const struct engine *engine, const struct call *call, const struct share *share,
                  const struct share *own, int64_t from_ns, int64_t until_ns)
{
    uint32_t kind = engine->counts_beside ? find_short(engine, share, own, from_ns, until_ns)
                                          : (uint32_t)BESIDES;
    char when[80], asked[16], left[16];

    if (kind == BESIDES)
        return 0;
    when_words(engine, share, kind, from_ns, until_ns, when, sizeof(when));
    if (kind == BESIDE_SLOTS)
        return refuse(REFUSED_NO_SPACE, call->why,
                      "Not enough slots of gpu%" PRIu32 ": all %" PRIu32 " are taken%s.",
                      share->device, engine->devices[share->device].sharing.slots, when);
    int64_t had = own ? time_of(engine, own) : 0;
    int64_t free_time = left_of(engine, share->device, kind, had, from_ns, until_ns);
    sharing_mode_share_text(engine_share_ppm(engine, share), asked, sizeof(asked));
    sharing_mode_share_text(per_cent_ppm(engine, share, free_time), left, sizeof(left));
    return refuse(REFUSED_NO_SPACE, call->why,
                  "Not enough time of gpu%" PRIu32 ": %s per cent %s, %s is left%s. Ask for less "
                  "with share=N.",
                  share->device, asked,
                  share->compute_ppm ? "was asked for" : "comes with so much memory", left, when);
}

int compute_check_policy(const struct engine *engine, const struct call *call, uint32_t ppm)
{
    char asked[16], limit[16];

    if (call->caller->admin || ppm <= engine->policy.max_fraction_ppm)
        return 0;
    sharing_mode_share_text(ppm, asked, sizeof(asked));
    sharing_mode_share_text(engine->policy.max_fraction_ppm, limit, sizeof(limit));
    return refuse(REFUSED_INVALID, call->why,
                  "%s per cent of the time exceeds the limit for one partition; at most %s is "
                  "allowed.",
                  asked, limit);
}

/* -- modes ------------------------------------------------------------------------------ */

bool compute_is_setting(const char *key)
{
    return strncmp(key, SHARING_MODE_SETTING, sizeof(SHARING_MODE_SETTING) - 1) == 0;
}

int compute_check_setting(const char *value, char canonical[static ENGINE_VALUE_MAX],
                          struct refusal *why)
{
    struct sharing_mode mode = {.kind = SHARING_NONE};
    int r = value[0] ? sharing_mode_parse(value, &mode, why->message, sizeof(why->message)) : 0;

    if (r)
        return r;
    if (!sharing_mode_text(&mode, canonical))
        return refuse(REFUSED_INVALID, why, "This mode is too long; name fewer profiles.");
    if (mode.kind == SHARING_NONE)
        canonical[0] = 0;
    return 0;
}

/* The device that a setting is about, or ENGINE_DEVICE_ANY. */
static uint32_t device_of(const struct engine *engine, const char *key)
{
    for (uint32_t i = 0; compute_is_setting(key) && i < engine->device_count; i++) {
        const char *known = engine->devices[i].key;

        if (known && strcmp(known, key + sizeof(SHARING_MODE_SETTING) - 1) == 0)
            return i;
    }
    return ENGINE_DEVICE_ANY;
}

int compute_check_free(const struct engine *engine, const struct call *call, const char *key)
{
    uint32_t index = device_of(engine, key);
    char when[40] = "";
    int64_t last_ns = call->now_ns;

    if (index == ENGINE_DEVICE_ANY || engine->devices[index].count == 0)
        return 0;
    const struct device *device = &engine->devices[index];
    for (int64_t at_ns = last_ns, value; timeline_next(&device->timeline, at_ns, &at_ns, &value);)
        last_ns = at_ns;
    engine->time_text(engine->context, last_ns, when, sizeof(when));
    return refuse(REFUSED_BUSY, call->why,
                  "%" PRIu64 " partition%s on gpu%" PRIu32 " until %s; release %s first.",
                  device->count, device->count == 1 ? " is" : "s are", index, when,
                  device->count == 1 ? "it" : "them");
}

void compute_apply_setting(struct engine *engine, const char *key, const char *value)
{
    uint32_t index = device_of(engine, key);
    struct sharing_mode mode = {.kind = SHARING_NONE};
    struct refusal unused;

    if (index == ENGINE_DEVICE_ANY)
        return;
    struct device *device = &engine->devices[index];
    if (value[0] && sharing_mode_parse(value, &mode, unused.message, sizeof(unused.message)))
        return;
    /* Restoring can find partitions there already. */
    for (int step = 0; step < 2; step++) {
        for (struct avl_node *node = avl_first(&device->partitions); node;
             node = avl_after(&device->partitions, node)) {
            struct place *place = avl_entry(node, struct place, by_device);
            uint32_t i = (uint32_t)(place - place->entry->places);

            if (!partition_holds(&place->entry->partition))
                continue;
            (step == 0 ? take : put)(engine, place->entry, &place->entry->partition, i,
                                     BESIDE_SLOTS);
        }
        device->sharing = mode;
    }
}

const struct sharing_mode *engine_sharing(const struct engine *engine, uint32_t device)
{
    static const struct sharing_mode none;

    return device < engine->device_count ? &engine->devices[device].sharing : &none;
}

uint32_t engine_share_ppm(const struct engine *engine, const struct share *share)
{
    return share->compute_ppm ? share->compute_ppm
                              : per_cent_ppm(engine, share, time_of(engine, share));
}
