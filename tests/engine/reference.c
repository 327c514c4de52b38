/* SPDX-License-Identifier: Apache-2.0 */
/* The naive engine of reference.h: slow on purpose, and obvious. */
#include "reference.h"

#include <string.h>

const char *const reference_keys[REFERENCE_KEYS] = {
    "config/min_duration", "config/max_duration", "config/max_fraction", "config/allowed_on_expiry",
    "config/max_grace",    "config/default_warn", "a/free/one"};

struct partition *reference_find(struct reference *reference, uint64_t id)
{
    for (size_t i = 0; i < reference->now.count; i++) {
        if (reference->now.live[i].id == id)
            return &reference->now.live[i];
    }
    return NULL;
}

static uint64_t promised_without(const struct reference *reference, uint32_t device, int64_t at_ns,
                                 uint64_t but_id)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < reference->now.count; i++) {
        const struct partition *p = &reference->now.live[i];

        if (p->shares[0].device == device && p->id != but_id && p->start_ns <= at_ns &&
            at_ns < p->end_ns)
            sum += p->shares[0].memory_bytes;
    }
    return sum;
}

uint64_t reference_promised(const struct reference *reference, uint32_t device, int64_t at_ns)
{
    return promised_without(reference, device, at_ns, 0);
}

/* Promised memory can only grow where a partition starts. */
uint64_t reference_peak(const struct reference *reference, uint32_t device, int64_t from_ns,
                        int64_t until_ns, uint64_t but_id)
{
    uint64_t most = promised_without(reference, device, from_ns, but_id);

    for (size_t i = 0; i < reference->now.count; i++) {
        int64_t at_ns = reference->now.live[i].start_ns;

        if (at_ns <= from_ns || at_ns >= until_ns)
            continue;
        uint64_t value = promised_without(reference, device, at_ns, but_id);
        most = value > most ? value : most;
    }
    return most;
}

int64_t reference_earliest(const struct reference *reference, uint32_t device, int64_t now_ns,
                           uint64_t bytes, int64_t duration_ns)
{
    const struct engine_device *known = &reference->devices[device];
    int64_t best_ns = ENGINE_FOREVER;

    if (!known->present || bytes > known->memory_bytes)
        return ENGINE_FOREVER;
    for (size_t i = 0; i <= reference->now.count; i++) {
        int64_t at_ns = i < reference->now.count ? reference->now.live[i].end_ns : now_ns;

        if (at_ns >= now_ns && at_ns < best_ns &&
            reference_peak(reference, device, at_ns, at_ns + duration_ns, 0) + bytes <=
                known->memory_bytes)
            best_ns = at_ns;
    }
    return best_ns;
}

/* The next event that a partition has by itself, and its time. */
static enum event_kind next_of(const struct partition *p, int64_t *ret_at_ns)
{
    bool warns = p->warn.ns > 0 && p->state == PARTITION_ACTIVE;

    *ret_at_ns = warns ? p->end_ns - p->warn.ns : p->end_ns;
    return warns ? EVENT_WARNED : EVENT_EXPIRED;
}

int64_t reference_next_wakeup(const struct reference *reference)
{
    int64_t first_ns = ENGINE_FOREVER, at_ns;

    for (size_t i = 0; i < reference->now.count; i++) {
        next_of(&reference->now.live[i], &at_ns);
        if (at_ns < first_ns)
            first_ns = at_ns;
    }
    return first_ns;
}

static bool owns(const struct caller *caller, const struct partition *partition)
{
    if (caller->uid != partition->uid)
        return false;
    return caller->uid != 0 || caller->ns == partition->creator_ns;
}

bool reference_may_act(const struct caller *caller, const struct partition *partition)
{
    return caller->root || owns(caller, partition);
}

static struct engine_event *expect(struct reference *reference, enum event_kind kind, int64_t at_ns,
                                   uint32_t by_uid)
{
    struct engine_event *event = &reference->events[reference->event_count++];

    *event = (struct engine_event){
        .seq = reference->next_seq++, .kind = kind, .at_ns = at_ns, .by_uid = by_uid};
    return event;
}

static struct guests *guests_of(struct reference *reference, const struct partition *partition)
{
    return &reference->now.guests[partition - reference->now.live];
}

static void end(struct reference *reference, struct partition *partition, enum event_kind kind,
                int64_t at_ns, uint32_t by_uid)
{
    struct engine_event *event = expect(reference, kind, at_ns, by_uid);
    size_t after = (size_t)(&reference->now.live[--reference->now.count] - partition);

    event->before = event->after = *partition;
    event->after.end_ns = at_ns;
    event->after.change_seq = event->seq;
    memmove(partition, partition + 1, after * sizeof(*partition));
    struct guests *guests = guests_of(reference, partition);
    memmove(guests, guests + 1, after * sizeof(*guests));
}

static int changed(struct reference *reference, struct partition *partition, enum event_kind kind,
                   int64_t now_ns, const struct caller *caller, struct partition after)
{
    struct engine_event *event = expect(reference, kind, now_ns, caller->uid);

    after.change_seq = event->seq;
    event->before = *partition;
    event->after = *partition = after;
    return 0;
}

static void warn(struct reference *reference, struct partition *partition, int64_t at_ns)
{
    struct engine_event *event = expect(reference, EVENT_WARNED, at_ns, partition->uid);

    event->before = *partition;
    partition->state = PARTITION_EXPIRING;
    partition->change_seq = event->seq;
    event->after = *partition;
}

/* The same after a change that can bring the warning near or move it away. */
static int changed_end(struct reference *reference, struct partition *partition,
                       enum event_kind kind, int64_t now_ns, const struct caller *caller,
                       struct partition after)
{
    bool near = after.warn.ns > 0 && after.end_ns - now_ns <= after.warn.ns;

    if (!near)
        after.state = PARTITION_ACTIVE;
    changed(reference, partition, kind, now_ns, caller, after);
    if (near && partition->state == PARTITION_ACTIVE)
        warn(reference, partition, now_ns);
    return 0;
}

/* -- operations ------------------------------------------------------------------ */

static uint64_t bytes_of(const struct request *request, uint64_t total)
{
    if (!request->amount.is_share)
        return request->amount.bytes;
    /* small numbers only */
    return request->amount.digits * total / request->amount.scale;
}

static bool too_large(const struct reference *reference, const struct caller *caller,
                      uint32_t device, uint64_t bytes)
{
    uint64_t memory = reference->devices[device].memory_bytes;

    return !caller->admin && bytes <= memory &&
           bytes > memory * reference->now.policy.max_ppm / 1000000;
}

/* Check whether a device can grant it. 0 or a refusal code; the free bytes go to the output. */
static int can_give(const struct reference *reference, int64_t now_ns, const struct caller *caller,
                    uint32_t device, const struct request *request, uint64_t *ret_free)
{
    uint64_t memory = reference->devices[device].memory_bytes;
    uint64_t bytes = bytes_of(request, memory);
    uint64_t peak = reference_peak(reference, device, now_ns, now_ns + request->duration_ns, 0);

    *ret_free = peak < memory ? memory - peak : 0;
    if (!reference->devices[device].present)
        return REFUSED_BUSY;
    if (bytes == 0 || too_large(reference, caller, device, bytes))
        return REFUSED_INVALID;
    return bytes <= *ret_free ? 0 : REFUSED_NO_SPACE;
}

static int choose(const struct reference *reference, int64_t now_ns, const struct caller *caller,
                  const struct request *request, uint32_t *ret_device)
{
    uint64_t best_left = 0, free_bytes;
    int code = REFUSED_BUSY;

    for (uint32_t i = 0; i < reference->device_count; i++) {
        int r = can_give(reference, now_ns, caller, i, request, &free_bytes);
        uint64_t left = free_bytes - bytes_of(request, reference->devices[i].memory_bytes);

        if (!r && (code != 0 || left < best_left)) {
            best_left = left;
            *ret_device = i;
            code = 0;
        } else if (code != 0 && (r == REFUSED_NO_SPACE || code == REFUSED_BUSY)) {
            code = r;
        }
    }
    return code;
}

static int choose_ending(const struct reference *reference, const struct caller *caller,
                         const struct ending_change *change, struct partition *p)
{
    if (change->set_on_expiry && change->on_expiry != p->on_expiry) {
        if (change->on_expiry > 2)
            return REFUSED_INVALID;
        if (!caller->admin && !(reference->now.policy.allowed_on_expiry >> change->on_expiry & 1))
            return REFUSED_INVALID;
        p->on_expiry = change->on_expiry;
    }
    if (change->set_grace && change->grace_ns != p->grace_ns) {
        if (change->grace_ns < 0 ||
            (!caller->admin && change->grace_ns > reference->now.policy.max_grace_ns))
            return REFUSED_INVALID;
        p->grace_ns = change->grace_ns;
    }
    if (change->set_warn) {
        p->warn.ns = change->warn.ns;
        p->warn.signal = change->warn.ns ? change->warn.signal : 0;
    }
    return 0;
}

int reference_create(struct reference *reference, int64_t now_ns, int64_t wall_ns,
                     const struct caller *caller, uint32_t device, const struct request *request,
                     uint32_t uid, uint32_t gid, uint64_t hold, uint64_t *ret_id)
{
    struct partition p = {.id = reference->next_id,
                          .state = PARTITION_ACTIVE,
                          .share_count = 1,
                          .shares[0].device = device,
                          .uid = uid,
                          .gid = gid,
                          .mode = 0755,
                          .on_expiry = 1,
                          .grace_ns = 10 * NS_PER_SECOND,
                          .warn.ns = reference->now.policy.default_warn_ns,
                          .start_ns = now_ns,
                          .end_ns = now_ns + request->duration_ns,
                          .created_wall_ns = wall_ns,
                          .hold = request->hold ? hold : 0,
                          .creator_ns = caller->ns,
                          .creator_uid = caller->uid,
                          .creator_pid = caller->pid};
    uint64_t free_bytes;

    if (uid != caller->uid && !caller->admin)
        return REFUSED_PERMISSION;
    if (request->hold && hold == 0)
        return REFUSED_INVALID;
    int r = choose_ending(reference, caller, &request->ending, &p);
    if (r)
        return r;
    if (!caller->admin && request->duration_ns < reference->now.policy.min_ns)
        return REFUSED_INVALID;
    if (!caller->admin && request->duration_ns > reference->now.policy.max_ns)
        return REFUSED_INVALID;
    if (device == ENGINE_DEVICE_ANY)
        r = choose(reference, now_ns, caller, request, &p.shares[0].device);
    else if (device >= reference->device_count)
        r = REFUSED_INVALID;
    else
        r = can_give(reference, now_ns, caller, device, request, &free_bytes);
    if (r)
        return r;
    p.shares[0].memory_bytes =
        bytes_of(request, reference->devices[p.shares[0].device].memory_bytes);
    memcpy(p.name, request->name, sizeof(p.name));
    struct engine_event *event = expect(reference, EVENT_CREATED, now_ns, caller->uid);
    p.change_seq = event->seq;
    event->after = p;
    reference->now.guests[reference->now.count].count = 0;
    reference->now.live[reference->now.count++] = p;
    *ret_id = reference->next_id++;
    if (p.warn.ns && p.warn.ns >= request->duration_ns)
        warn(reference, &reference->now.live[reference->now.count - 1], now_ns);
    return 0;
}

static int reach(struct reference *reference, int64_t now_ns, const struct caller *caller,
                 uint64_t id, bool also, struct partition **ret)
{
    *ret = reference_find(reference, id);
    if (!*ret || (*ret)->end_ns <= now_ns)
        return REFUSED_GONE;
    if (!reference_may_act(caller, *ret) && !also)
        return REFUSED_OWNER;
    return 0;
}

int reference_release(struct reference *reference, int64_t now_ns, const struct caller *caller,
                      uint64_t id)
{
    struct partition *p;
    int r = reach(reference, now_ns, caller, id, caller->admin, &p);

    if (!r)
        end(reference, p, owns(caller, p) ? EVENT_RELEASED : EVENT_REVOKED, now_ns, caller->uid);
    return r;
}

void reference_close_hold(struct reference *reference, int64_t now_ns, uint64_t hold)
{
    for (size_t i = 0; i < reference->now.count;) {
        struct partition *p = &reference->now.live[i];

        if (hold && p->hold == hold && p->end_ns > now_ns)
            end(reference, p, EVENT_CLOSED, now_ns, p->uid);
        else
            i++;
    }
}

int reference_resize(struct reference *reference, int64_t now_ns, const struct caller *caller,
                     uint64_t id, uint64_t bytes)
{
    struct partition *p, after;
    int r = reach(reference, now_ns, caller, id, caller->by_mode, &p);

    if (r)
        return r;
    if (bytes == 0)
        return REFUSED_INVALID;
    if (bytes == p->shares[0].memory_bytes)
        return 0;
    int64_t from_ns = p->start_ns > now_ns ? p->start_ns : now_ns;
    if (bytes > p->shares[0].memory_bytes) {
        if (!reference->devices[p->shares[0].device].present)
            return REFUSED_BUSY;
        if (too_large(reference, caller, p->shares[0].device, bytes))
            return REFUSED_INVALID;
        if (reference_peak(reference, p->shares[0].device, from_ns, p->end_ns, id) + bytes >
            reference->devices[p->shares[0].device].memory_bytes)
            return REFUSED_NO_SPACE;
    }
    after = *p;
    after.shares[0].memory_bytes = bytes;
    return changed(reference, p, EVENT_RESIZED, now_ns, caller, after);
}

int reference_set_end(struct reference *reference, int64_t now_ns, const struct caller *caller,
                      uint64_t id, int64_t end_ns)
{
    struct partition *p, after;
    int r = reach(reference, now_ns, caller, id, caller->by_mode, &p);

    if (r)
        return r;
    if (end_ns <= now_ns || end_ns <= p->start_ns)
        return REFUSED_INVALID;
    if (end_ns == p->end_ns)
        return 0;
    if (end_ns > p->end_ns) {
        if (!reference->devices[p->shares[0].device].present)
            return REFUSED_BUSY;
        if (!caller->admin && end_ns - now_ns > reference->now.policy.max_ns)
            return REFUSED_INVALID;
        if (reference_peak(reference, p->shares[0].device, p->end_ns, end_ns, id) +
                p->shares[0].memory_bytes >
            reference->devices[p->shares[0].device].memory_bytes)
            return REFUSED_NO_SPACE;
    }
    after = *p;
    after.end_ns = end_ns;
    return changed_end(reference, p, end_ns > p->end_ns ? EVENT_EXTENDED : EVENT_SHORTENED, now_ns,
                       caller, after);
}

int reference_set_ending(struct reference *reference, int64_t now_ns, const struct caller *caller,
                         uint64_t id, const struct ending_change *change)
{
    struct partition *p, after;
    int r = reach(reference, now_ns, caller, id, caller->by_mode, &p);

    if (r)
        return r;
    after = *p;
    r = choose_ending(reference, caller, change, &after);
    if (r || (after.on_expiry == p->on_expiry && after.grace_ns == p->grace_ns &&
              after.warn.ns == p->warn.ns && after.warn.signal == p->warn.signal))
        return r;
    if (after.warn.ns == p->warn.ns)
        return changed(reference, p, EVENT_ENDING, now_ns, caller, after);
    return changed_end(reference, p, EVENT_ENDING, now_ns, caller, after);
}

void reference_note(struct reference *reference, int64_t now_ns, const struct partition *about,
                    uint32_t by_uid, const char *word, const char *details)
{
    struct engine_event *event = expect(reference, EVENT_NOTE, now_ns, by_uid);
    struct partition *p = reference_find(reference, about->id);

    strcpy(event->key, word);
    strcpy(event->value, details);
    event->before = event->after = p ? *p : *about;
    if (p)
        event->after.change_seq = p->change_seq = event->seq;
}

int reference_rename(struct reference *reference, int64_t now_ns, const struct caller *caller,
                     uint64_t id, const char *name, bool good_name)
{
    struct partition *p, after;
    int r = reach(reference, now_ns, caller, id, caller->by_mode, &p);

    if (r)
        return r;
    if (!good_name)
        return REFUSED_INVALID;
    if (strcmp(p->name, name) == 0)
        return 0;
    after = *p;
    memset(after.name, 0, sizeof(after.name));
    strcpy(after.name, name);
    return changed(reference, p, EVENT_RENAMED, now_ns, caller, after);
}

static bool is_among(const struct guests *guests, uint32_t uid)
{
    for (uint32_t i = 0; i < guests->count; i++) {
        if (guests->uid[i] == uid)
            return true;
    }
    return false;
}

/* An event for each who is only in the first set. */
static void expect_guests(struct reference *reference, struct partition *p, enum event_kind kind,
                          int64_t now_ns, const struct caller *caller, const struct guests *these,
                          const struct guests *not_these)
{
    for (uint32_t i = 0; i < these->count; i++) {
        if (is_among(not_these, these->uid[i]))
            continue;
        changed(reference, p, kind, now_ns, caller, *p);
        reference->events[reference->event_count - 1].guest = these->uid[i];
    }
}

static void share(struct reference *reference, struct partition *p, int64_t now_ns,
                  const struct caller *caller, const struct guests *wanted)
{
    struct guests before = *guests_of(reference, p);

    expect_guests(reference, p, EVENT_UNSHARED, now_ns, caller, &before, wanted);
    expect_guests(reference, p, EVENT_SHARED, now_ns, caller, wanted, &before);
    *guests_of(reference, p) = *wanted;
}

int reference_share(struct reference *reference, int64_t now_ns, const struct caller *caller,
                    uint64_t id, const struct guests *wanted, uint32_t account_shift)
{
    struct partition *p;
    int r = reach(reference, now_ns, caller, id, false, &p);
    uint64_t sum = wanted->count;

    if (r)
        return r;
    for (size_t i = 0; i < reference->now.count; i++) {
        const struct partition *live = &reference->now.live[i];

        if (live != p && live->uid >> account_shift == p->uid >> account_shift)
            sum += reference->now.guests[i].count;
    }
    if (wanted->count > guests_of(reference, p)->count && sum > GUESTS_ACCOUNT_MAX)
        return REFUSED_QUOTA;
    share(reference, p, now_ns, caller, wanted);
    return 0;
}

int reference_hand_over(struct reference *reference, int64_t now_ns, const struct caller *caller,
                        uint64_t id, uint32_t uid, uint32_t gid, uint32_t mode)
{
    struct partition *p, after;
    int r = reach(reference, now_ns, caller, id, false, &p);

    if (r)
        return r;
    if (uid != p->uid && !caller->root)
        return REFUSED_PERMISSION;
    if (uid == p->uid && gid == p->gid && mode == p->mode)
        return 0;
    if (uid != p->uid)
        share(reference, p, now_ns, caller, &(struct guests){0});
    after = *p;
    after.uid = uid;
    after.gid = gid;
    after.mode = mode;
    return changed(reference, p, EVENT_HANDED, now_ns, caller, after);
}

void reference_set(struct reference *reference, int64_t now_ns, const struct caller *caller,
                   size_t key, const char *text, const struct reference_policy *policy)
{
    if (strcmp(reference->now.texts[key], text) == 0)
        return;
    struct engine_event *event = expect(reference, EVENT_SETTING, now_ns, caller->uid);
    strcpy(event->key, reference_keys[key]);
    strcpy(event->value, text);
    strcpy(event->old_value, reference->now.texts[key]);
    strcpy(reference->now.texts[key], text);
    reference->now.policy = *policy;
}

void reference_advance(struct reference *reference, int64_t now_ns)
{
    for (;;) {
        struct partition *first = NULL;
        enum event_kind kind = EVENT_NOTE;
        int64_t first_ns = ENGINE_FOREVER;

        for (size_t i = 0; i < reference->now.count; i++) {
            struct partition *p = &reference->now.live[i];
            int64_t at_ns;
            enum event_kind next = next_of(p, &at_ns);

            /* At the same moment, warnings come first; ties are in order of ids, like the array. */
            if (at_ns <= now_ns &&
                (!first || at_ns < first_ns ||
                 (at_ns == first_ns && kind == EVENT_EXPIRED && next == EVENT_WARNED))) {
                first = p;
                first_ns = at_ns;
                kind = next;
            }
        }
        if (!first)
            return;
        if (kind == EVENT_WARNED)
            warn(reference, first, first_ns);
        else
            end(reference, first, EVENT_EXPIRED, first_ns, first->uid);
    }
}
