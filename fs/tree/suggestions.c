/* SPDX-License-Identifier: Apache-2.0 */
/* What would be accepted in place of a request; see suggestions.h. */
#include "suggestions.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64
#define TIME_MAX 40
/* A start before the one asked for is looked for within this many times the duration. */
#define NEAR_TIMES 16
#define PARTS      3
/* So many other devices are asked, each as by a request of its own. */
#define DEVICES_MAX 16

/* A request, taken apart, and what was found in its place. */
struct search {
    struct tree *tree;
    const struct write *write;
    const struct asked *asked;
    char amount[WORD_MAX], duration[WORD_MAX];
    const char *rest;               /* the other words, with the blank before them, or "" */
    struct strbuf *out;             /* NULL: lines are not wanted */
    char part[PARTS][2 * WORD_MAX]; /* "0.40 for 2h" */
    int part_count;
};

/* -- the request ---------------------------------------------------------------- */

static const char *take_word(const char *at, char word[static WORD_MAX])
{
    at += strspn(at, " \t");
    size_t length = strcspn(at, " \t");
    snprintf(word, WORD_MAX, "%.*s", (int)length, at);
    return at + length;
}

static void take_apart(struct search *search)
{
    const char *at = take_word(search->write->text, search->amount);
    search->rest = take_word(at, search->duration);
}

/* Return whether a line would be accepted now on a device, as a start at once or, if `waits`, at
 * any time. */
static bool is_accepted(const struct search *search, const char *line, uint32_t device, bool waits,
                        struct partition *ret_partition)
{
    struct asked asked;
    struct write write = *search->write;
    write.text = line;
    write.length = strlen(line);
    if (write.length > REQUEST_TEXT_MAX || asked_read(search->tree, &write, device, &asked) ||
        asked_check(search->tree, &write, &asked, ret_partition))
        return false;
    return waits || asked.terms.fixed || ret_partition->start_ns <= search->tree->now_ns;
}

/* -- what would be accepted ------------------------------------------------------- */

static void try_line(struct search *search, const char *amount, const char *duration)
{
    char line[REQUEST_TEXT_MAX + 2 * WORD_MAX];
    struct partition partition;
    snprintf(line, sizeof(line), "%s %s%s", amount, duration, search->rest);
    if (!is_accepted(search, line, search->asked->creation.device, false, &partition))
        return;
    if (search->out)
        strbuf_print(search->out, "%s\n", line);
    snprintf(search->part[search->part_count++], sizeof(search->part[0]), "%s for %s", amount,
             duration);
}

static void try_less(struct search *search)
{
    const struct call *call = TREE_CALL(search->tree, &search->write->caller, NULL);
    const struct asked *asked = search->asked;
    struct suggestions found;
    char word[WORD_MAX];
    if (engine_suggest(search->tree->engine, call, &asked->creation,
                       asked->has_terms ? &asked->terms : NULL, &found))
        return;
    if (found.largest_ppm > 0) {
        snprintf(
            word, sizeof(word), found.largest_ppm < 10000 ? "0.%06u" : "0.%02u",
            (unsigned)(found.largest_ppm < 10000 ? found.largest_ppm : found.largest_ppm / 10000));
        try_line(search, found.largest_ppm < 1000000 ? word : "1", search->duration);
    }
    if (found.longest_ns > 0) {
        units_duration_text(found.longest_ns, word, sizeof(word));
        try_line(search, search->amount, word);
    }
}

/* Return whether a device has so much free now. */
static bool has_room(const struct search *search, uint32_t device)
{
    const struct engine *engine = search->tree->engine;
    uint64_t bytes = units_amount_bytes(&search->asked->request.amount,
                                        engine_device(engine, device)->memory_bytes);
    return bytes <= engine_available(engine, device, search->tree->now_ns);
}

/* Find another device that would take the request as it is. */
static void try_devices(struct search *search)
{
    bool barred[TREE_DEVICE_MAX];
    struct partition partition;
    uint32_t tried = 0;
    if (search->asked->creation.device == ENGINE_DEVICE_ANY)
        return;
    tree_find_barred(search->tree, &search->write->caller, barred);
    for (uint32_t i = 0; i < search->tree->device_count && tried < DEVICES_MAX; i++) {
        if (barred[i] || i == search->asked->creation.device || !has_room(search, i))
            continue;
        tried++;
        if (!is_accepted(search, search->write->text, i, false, &partition))
            continue;
        snprintf(search->part[search->part_count++], sizeof(search->part[0]), "gpu%u", (unsigned)i);
        return;
    }
}

/* Find when it could start as asked, if that word was not in the request. */
static bool try_later(struct search *search, char *when, size_t size)
{
    char line[REQUEST_TEXT_MAX + 16];
    struct partition partition;
    const struct tree *tree = search->tree;
    snprintf(line, sizeof(line), "%s queue", search->write->text);
    if (!is_accepted(search, line, search->asked->creation.device, true, &partition))
        return false;
    if (search->out)
        strbuf_print(search->out, "%s\n", line);
    strbuf_time_short(tree_shown_ns(tree, partition.start_ns), tree_wall_ns(tree), when, size);
    return true;
}

/* -- another start -------------------------------------------------------------------- */

/* The nearest starts of a reservation that is not free: engine time, and who ends then. */
struct nearest {
    int64_t before_ns, after_ns;
    uint64_t ends; /* id; 0: none */
};

static struct nearest find_nearest(const struct search *search)
{
    const struct engine *engine = search->tree->engine;
    const struct asked *asked = search->asked;
    struct nearest nearest = {INT64_MIN, ENGINE_FOREVER, 0};
    const int64_t now_ns = search->tree->now_ns;
    int64_t from_ns = asked->terms.start_ns - now_ns, far_ns;
    bool barred[TREE_DEVICE_MAX];
    /* Not too far before: there can be any number of gaps. */
    if (__builtin_mul_overflow(asked->request.duration_ns, NEAR_TIMES, &far_ns) || from_ns < far_ns)
        from_ns = now_ns;
    else
        from_ns = asked->terms.start_ns - far_ns;
    tree_find_barred(search->tree, &search->write->caller, barred);
    for (uint32_t i = 0; i < search->tree->device_count; i++) {
        const bool any = asked->creation.device == ENGINE_DEVICE_ANY;
        if (any ? barred[i] : i != asked->creation.device)
            continue;
        uint64_t bytes =
            units_amount_bytes(&asked->request.amount, engine_device(engine, i)->memory_bytes);
        int64_t duration_ns = asked->request.duration_ns;
        int64_t before_ns =
            engine_latest(engine, i, from_ns, asked->terms.start_ns, bytes, duration_ns);
        int64_t after_ns = engine_earliest(engine, i, asked->terms.start_ns, bytes, duration_ns);
        if (before_ns > nearest.before_ns)
            nearest.before_ns = before_ns;
        if (after_ns < nearest.after_ns) {
            nearest.after_ns = after_ns;
            nearest.ends = engine_ends_at(engine, i, after_ns);
        }
    }
    return nearest;
}

/* Try the request with another start, a whole second of the wall clock. */
static bool try_start(struct search *search, int64_t wall_s, char *when, size_t size)
{
    const char *start = strstr(search->rest, "start=");
    char line[REQUEST_TEXT_MAX + 2 * WORD_MAX], time[STRBUF_TIME_MAX];
    const int64_t wall_ns = wall_s * NS_PER_SECOND;
    struct partition partition;
    if (!start)
        return false;
    strbuf_time(wall_ns, time);
    snprintf(line, sizeof(line), "%s %s%.*sstart=%s%s", search->amount, search->duration,
             (int)(start - search->rest), search->rest, time, start + strcspn(start, " \t"));
    if (!is_accepted(search, line, search->asked->creation.device, true, &partition))
        return false;
    if (search->out)
        strbuf_print(search->out, "%s\n", line);
    strbuf_time_short(wall_ns, tree_wall_ns(search->tree), when, size);
    return true;
}

/* Say when else a reservation could start. */
static void say_nearest(struct search *search, struct refusal *why)
{
    struct tree *tree = search->tree;
    struct nearest nearest = find_nearest(search);
    char before[TIME_MAX] = "", after[TIME_MAX] = "", wanted[TIME_MAX], ends[WORD_MAX + 32] = "";
    bool has_before =
        nearest.before_ns != INT64_MIN &&
        try_start(search, (nearest.before_ns + tree->offset_ns) / NS_PER_SECOND, before, TIME_MAX);
    bool has_after =
        nearest.after_ns != ENGINE_FOREVER &&
        try_start(search, units_seconds_up(nearest.after_ns + tree->offset_ns), after, TIME_MAX);
    const struct partition *other = engine_find(tree->engine, nearest.ends);
    if (!has_before && !has_after)
        return;
    if (has_after && other)
        snprintf(ends, sizeof(ends), ", when p%llu of %.48s has ended",
                 (unsigned long long)other->id, names_user(tree->names, other->uid));
    strbuf_time_short(tree_shown_ns(tree, search->asked->terms.start_ns), tree_wall_ns(tree),
                      wanted, sizeof(wanted));
    snprintf(why->message, sizeof(why->message),
             "Not enough available memory: %s for %s cannot start at %s; it can start at %s%s%s%s.",
             search->amount, search->duration, wanted, before,
             has_before && has_after ? " or " : "", after, ends);
}

/* Format "0.40 for 2h, 0.50 for 35m, or gpu1". */
static void print_parts(const struct search *search, char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < search->part_count && used < size; i++) {
        const bool last = i + 1 == search->part_count;
        const char *between = i == 0                    ? ""
                              : !last                   ? ", "
                              : search->part_count == 2 ? " or "
                                                        : ", or ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", between, search->part[i]);
    }
}

/* -- sentences ---------------------------------------------------------------------- */

/* It is accepted as it is. */
static void say_accepted(const struct search *search, const struct partition *partition,
                         struct refusal *why)
{
    const struct tree *tree = search->tree;
    char when[40];
    const bool now = partition->start_ns <= tree->now_ns;
    strbuf_time_short(tree_shown_ns(tree, partition->start_ns), tree_wall_ns(tree), when,
                      sizeof(when));
    snprintf(why->message, sizeof(why->message), "%s for %s fits%s%s on gpu%u.", search->amount,
             search->duration, now ? " now" : " from ", now ? "" : when,
             (unsigned)partition->shares[0].device);
}

void suggestions_print(struct tree *tree, struct write *write, const struct asked *asked,
                       struct strbuf *out)
{
    struct search search = {.tree = tree, .write = write, .asked = asked, .out = out};
    struct partition partition;
    char parts[PARTS * 2 * WORD_MAX] = "", when[40];
    take_apart(&search);
    if (!asked_check(tree, write, asked, &partition)) {
        strbuf_print(out, "%s\n", write->text);
        say_accepted(&search, &partition, &write->why);
    } else if (asked->terms.fixed) {
        say_nearest(&search, &write->why);
    } else {
        try_less(&search);
        try_devices(&search);
        bool later = try_later(&search, when, sizeof(when));
        print_parts(&search, parts, sizeof(parts));
        if (*parts || later) /* else the refusal says why */
            snprintf(write->why.message, sizeof(write->why.message),
                     "%s for %s does not fit now%s%s%s%s%s.", search.amount, search.duration,
                     *parts ? "; " : "", parts, *parts ? " would" : "",
                     later ? "; as asked from " : "", later ? when : "");
    }
    strbuf_print(out, "%s\n", write->why.message);
}

void suggestions_add(struct tree *tree, struct write *write, const struct asked *asked)
{
    struct search search = {.tree = tree, .write = write, .asked = asked};
    char parts[PARTS * 2 * WORD_MAX] = "", text[PARTS * 2 * WORD_MAX + 32];
    take_apart(&search);
    if (asked->terms.fixed) {
        say_nearest(&search, &write->why);
        return;
    }
    try_less(&search);
    try_devices(&search);
    print_parts(&search, parts, sizeof(parts));
    snprintf(text, sizeof(text), " %s would fit now.", parts);
    size_t length = strlen(write->why.message);
    if (*parts && length + strlen(text) < sizeof(write->why.message))
        memcpy(write->why.message + length, text, strlen(text) + 1);
}
