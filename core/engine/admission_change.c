/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission of changes: whether a partition can have more, longer, or belong to others. It changes
 * nothing.
 */
#include "admission_words.h"
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

struct again {
    char text[80];
};

/* "; a new request would start at 14:32:10", for what has not started; or "". */
static struct again again_words(struct engine *engine, const struct call *call,
                                const struct partition *wanted)
{
    const struct entry *entry = index_find(engine, wanted->id);
    struct partition again = *wanted;
    struct again out = {""};
    char when[40];

    if (wanted->state != PARTITION_PENDING)
        return out;
    struct waiting waiting = entry->waiter->record;
    if (again.shares[0].memory_bytes != entry->partition.shares[0].memory_bytes)
        waiting.amount = (struct amount){.bytes = again.shares[0].memory_bytes};
    if (!plan_place_new(engine, &waiting, waiting.fixed ? again.start_ns : call->now_ns,
                        ENGINE_FOREVER, &again))
        return out;
    engine->time_text(engine->context, again.start_ns, when, sizeof(when));
    snprintf(out.text, sizeof(out.text), "; a new request would start at %s", when);
    return out;
}

int admission_limit(const struct engine *engine, const struct call *call,
                    const struct partition *wanted)
{
    const struct engine_rules *rules = &engine->queue.rules;
    int64_t from_ns = wanted->start_ns > call->now_ns ? wanted->start_ns : call->now_ns;
    int64_t duration_ns = wanted->end_ns - from_ns;
    struct words when;

    if (!rules->limit)
        return 0;
    int64_t at_ns = rules->limit(rules->context, wanted, from_ns, ENGINE_FOREVER, duration_ns);
    if (at_ns == from_ns)
        return 0;
    if (at_ns == ENGINE_FOREVER)
        return refuse(REFUSED_QUOTA, call->why,
                      "A quota of the owner or the group of p%" PRIu64
                      " never allows that; ask for less.",
                      wanted->id);
    engine->time_text(engine->context, at_ns, when.text, sizeof(when.text));
    return refuse(REFUSED_QUOTA, call->why,
                  "A quota of the owner or the group of p%" PRIu64
                  " does not allow that now; it would from %s.",
                  wanted->id, when.text);
}

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

static int resize_share(struct engine *engine, const struct call *call,
                        const struct partition *partition, const struct partition *wanted,
                        uint32_t index)
{
    const struct share *share = &partition->shares[index];
    uint64_t memory = admission_memory(engine, share->device), room;
    uint64_t bytes = wanted->shares[index].memory_bytes;
    if (bytes <= share->memory_bytes)
        return 0;
    int r = check_present(engine, call, partition, share);
    if (!r)
        r = admission_fraction(engine, call, share->device, bytes);
    if (r)
        return r;
    /* From its start on, every value includes the partition's own promise. */
    room = admission_free(engine, share->device,
                          call->now_ns > partition->start_ns ? call->now_ns : partition->start_ns,
                          partition->end_ns, share->memory_bytes);
    if (bytes <= room)
        return compute_check(engine, call, &wanted->shares[index], share,
                             call->now_ns > partition->start_ns ? call->now_ns
                                                                : partition->start_ns,
                             partition->end_ns);
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "%s of gpu%" PRIu32 " (%s) was asked for p%" PRIu64
                                     ", it can have at most %s (%s) until its end%s.",
                  admission_share_words(bytes, memory).text, share->device,
                  admission_size_words(bytes, room).text, partition->id,
                  admission_share_words(room, memory).text, admission_size_words(room, bytes).text,
                  again_words(engine, call, wanted).text);
}

int admission_resize(struct engine *engine, const struct call *call,
                     const struct partition *partition, const struct partition *wanted)
{
    bool grows = false, none = false;
    int r = 0;

    for (uint32_t i = 0; i < wanted->share_count; i++)
        none = none || wanted->shares[i].memory_bytes == 0;
    if (none)
        return refuse(REFUSED_INVALID, call->why,
                      "A partition has at least one byte; to release p%" PRIu64 ", remove it.",
                      partition->id);
    for (uint32_t i = 0; !r && i < partition->share_count; i++) {
        r = resize_share(engine, call, partition, wanted, i);
        grows = grows || wanted->shares[i].memory_bytes > partition->shares[i].memory_bytes;
    }
    return r || !grows ? r : admission_limit(engine, call, wanted);
}

/* The moment until which a share has room beyond the end of its partition. */
static int64_t room_until(const struct engine *engine, const struct partition *partition,
                          const struct share *share)
{
    const struct timeline *timeline = &engine->devices[share->device].timeline;
    uint64_t memory = admission_memory(engine, share->device);
    int64_t limit = memory > share->memory_bytes ? (int64_t)(memory - share->memory_bytes) : 0;

    if (timeline_value(timeline, partition->end_ns) > limit)
        return partition->end_ns;
    return timeline_exceeds(timeline, partition->end_ns, limit);
}

/* There is no room beyond the end, and nothing that waits is the reason. */
static int refuse_beyond(const struct engine *engine, const struct call *call,
                         const struct partition *partition, const struct share *share,
                         int64_t end_ns)
{
    uint64_t memory = admission_memory(engine, share->device), bytes = share->memory_bytes;
    uint64_t room = admission_free(engine, share->device, partition->end_ns, end_ns, 0);
    struct words when;

    engine->time_text(engine->context, partition->end_ns, when.text, sizeof(when.text));
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "p%" PRIu64 " needs %s of gpu%" PRIu32
                                     " (%s) beyond its end at %s, where %s (%s) is free.",
                  partition->id, admission_share_words(bytes, memory).text, share->device,
                  admission_size_words(bytes, room).text, when.text,
                  admission_share_words(room, memory).text, admission_size_words(room, bytes).text);
}

/* Explain that it can be extended until then, when something that waits starts there. */
static int refuse_end(struct engine *engine, const struct call *call,
                      const struct partition *partition, const struct partition *wanted,
                      const struct share *share, int64_t until_ns)
{
    uint64_t id = timeline_starts_at(&engine->devices[share->device].timeline, until_ns);
    const struct entry *next = id ? index_find(engine, id) : NULL;
    struct words when, owner;
    char other[80];

    if (!next || next->partition.state != PARTITION_PENDING)
        return refuse_beyond(engine, call, partition, share, wanted->end_ns);
    struct again again = again_words(engine, call, wanted);
    engine->time_text(engine->context, until_ns, when.text, sizeof(when.text));
    snprintf(owner.text, sizeof(owner.text), "uid %" PRIu32, next->partition.uid);
    if (engine->accounts.name)
        engine->accounts.name(engine->accounts.name_context, false, next->partition.uid, owner.text,
                              sizeof(owner.text));
    snprintf(other, sizeof(other), "p%" PRIu64 " of %s", id, owner.text);
    if (until_ns - partition->end_ns < NS_PER_SECOND)
        return refuse(REFUSED_NO_SPACE, call->why,
                      ADMISSION_NO_SPACE "p%" PRIu64 " can have no more time: %s starts at %s%s.",
                      partition->id, other, when.text, again.text);
    return refuse(REFUSED_NO_SPACE, call->why,
                  ADMISSION_NO_SPACE "p%" PRIu64 " can have %s more, until %s, when %s starts%s.",
                  partition->id, admission_duration_words(until_ns - partition->end_ns).text,
                  when.text, other, again.text);
}

/* Check that all shares have room until then. */
static int check_extension(struct engine *engine, const struct call *call,
                           const struct partition *partition, int64_t end_ns)
{
    struct partition wanted = *partition;
    int64_t until_ns = end_ns;
    const struct share *first = NULL;

    wanted.end_ns = end_ns;
    for (uint32_t i = 0; i < partition->share_count; i++) {
        int64_t room_ns = room_until(engine, partition, &partition->shares[i]);

        if (room_ns < until_ns) {
            until_ns = room_ns;
            first = &partition->shares[i];
        }
    }
    if (first)
        return refuse_end(engine, call, partition, &wanted, first, until_ns);
    int r = 0;
    for (uint32_t i = 0; !r && i < partition->share_count; i++)
        r = compute_check(engine, call, &partition->shares[i], NULL, partition->end_ns, end_ns);
    return r ? r : admission_limit(engine, call, &wanted);
}

int admission_end(struct engine *engine, const struct call *call, const struct partition *partition,
                  int64_t end_ns)
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
        r = admission_duration(
            engine, call,
            from_ns < 0 && end_ns > INT64_MAX + from_ns ? INT64_MAX : end_ns - from_ns, false);
    if (!r && end_ns > ENGINE_TIME_MAX)
        r = refuse(REFUSED_INVALID, call->why,
                   "The end of p%" PRIu64 " would be too far away; write an earlier one.",
                   partition->id);
    return r ? r : check_extension(engine, call, partition, end_ns);
}
