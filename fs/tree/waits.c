/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for its start; see waits.h. */
#include "waits.h"

#include "core/engine/admission_words.h"
#include "files.h"

#include <stdio.h>
#include <string.h>

#define TIME_MAX  40
#define WHAT_MAX  64
#define STEPS_MAX 80
/* Queues that are longer are printed once for all who read them within this time. */
#define SHARED_MIN 64
#define SHARED_NS  (100 * NS_PER_MS)
/* Shares have four decimals in a queue. */
#define PART_SCALE 10000

int64_t waits_from_ns(const struct tree *tree, const struct partition *partition)
{
    bool ahead = waits_is_pending(partition) && partition->start_ns > tree->now_ns;
    return ahead ? partition->start_ns : tree->now_ns;
}

/* -- sentences ------------------------------------------------------------------ */

static void print_time(const struct tree *tree, int64_t at_ns, char text[static TIME_MAX])
{
    strbuf_time_short(tree_shown_ns(tree, at_ns), tree_wall_ns(tree), text, TIME_MAX);
}

/* "0.50 of gpu0", with the number of further devices. */
static void print_what(const struct tree *tree, const struct partition *partition,
                       char text[static WHAT_MAX])
{
    const struct share *share = &partition->shares[0];
    uint64_t memory = engine_device(tree->engine, share->device)->memory_bytes;
    int length =
        snprintf(text, WHAT_MAX, "%s of gpu%u",
                 admission_share_words(share->memory_bytes, memory).text, (unsigned)share->device);
    if (partition->share_count > 1)
        snprintf(text + length, WHAT_MAX - (size_t)length, " and of %u more device%s",
                 (unsigned)partition->share_count - 1, partition->share_count > 2 ? "s" : "");
}

/* ", when p3 of bob ends", or "". */
static void print_before(struct tree *tree, const struct partition *partition,
                         char text[static STEPS_MAX])
{
    text[0] = '\0';
    for (uint32_t i = 0; i < partition->share_count && !text[0]; i++) {
        const struct partition *other =
            engine_find(tree->engine, engine_ends_at(tree->engine, partition->shares[i].device,
                                                     partition->start_ns));
        if (other)
            snprintf(text, STEPS_MAX, ", when p%llu of %.48s ends", (unsigned long long)other->id,
                     names_user(tree->names, other->uid));
    }
}

static void print_waiting(struct tree *tree, const struct partition *partition,
                          const struct waiting *waiting, char *text, size_t size)
{
    char start[TIME_MAX], promised[TIME_MAX], give_up[TIME_MAX], what[WHAT_MAX];
    char before[STEPS_MAX], until[TIME_MAX + 32] = "", planned[TIME_MAX + 32] = "";
    const bool gives_up = waiting->give_up_ns != ENGINE_FOREVER;
    print_time(tree, partition->start_ns, start);
    print_time(tree, waiting->promised_ns, promised);
    print_what(tree, partition, what);
    print_before(tree, partition, before);
    if (gives_up) {
        print_time(tree, waiting->give_up_ns, give_up);
        snprintf(until, sizeof(until), "; it gives up at %s", give_up);
    }
    if (waiting->promised_ns > partition->start_ns)
        snprintf(planned, sizeof(planned), ", as planned at %s", start);
    snprintf(text, size, "p%llu waits for %s: it starts at %s at the latest%s%s%s.",
             (unsigned long long)partition->id, what, promised, planned, before, until);
}

/* False if its user is not awaited. */
static bool print_awaited(const struct tree *tree, const struct partition *partition,
                          const char *start, char *text, size_t size)
{
    int64_t until_ns = engine_no_show_ns(tree->engine, partition->id);
    char until[TIME_MAX];
    if (until_ns == ENGINE_FOREVER || until_ns >= partition->end_ns)
        return false;
    print_time(tree, until_ns, until);
    snprintf(text, size,
             "p%llu started at %s and is not used yet: it ends at %s unless a program joins it or "
             "charges memory.",
             (unsigned long long)partition->id, start, until);
    return true;
}

void waits_reason(struct tree *tree, const struct partition *partition, char *text, size_t size)
{
    const struct waiting *waiting = engine_waiting(tree->engine, partition->id);
    const unsigned long long id = partition->id;
    char start[TIME_MAX], what[WHAT_MAX];
    if (waiting && !waiting->fixed) {
        print_waiting(tree, partition, waiting, text, size);
        return;
    }
    if (partition->state == PARTITION_SUSPENDED) {
        print_time(tree, partition->end_ns, start);
        snprintf(text, size,
                 partition_holds(partition) ? "p%llu is being resumed; its lease ends at %s."
                                            : "p%llu is suspended; it is kept until %s.",
                 id, start);
        return;
    }
    print_time(tree, partition->start_ns, start);
    print_what(tree, partition, what);
    if (waiting)
        snprintf(text, size, "p%llu is a reservation of %s: it starts at %s.", id, what, start);
    else if (!print_awaited(tree, partition, start, text, size))
        snprintf(text, size, "p%llu does not wait: it started at %s.", id, start);
}

int waits_check(struct tree *tree, const struct partition *partition, struct refusal *why)
{
    const struct waiting *waiting = engine_waiting(tree->engine, partition->id);
    char start[TIME_MAX];
    if (partition->state == PARTITION_SUSPENDED)
        return message_refuse(
            REFUSED_BUSY, why->message, sizeof(why->message),
            "p%llu is suspended; resume it first, by writing a time to remaining.",
            (unsigned long long)partition->id);
    if (!waits_is_pending(partition))
        return 0;
    print_time(tree, waiting ? waiting->promised_ns : partition->start_ns, start);
    return message_refuse(REFUSED_BUSY, why->message, sizeof(why->message),
                          "p%llu has not started: it starts at %s%s.",
                          (unsigned long long)partition->id, start,
                          waiting && waiting->fixed ? "" : " at the latest");
}

/* -- lines ------------------------------------------------------------------------ */

static void print_line(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    const struct waiting *waiting = engine_waiting(tree->engine, partition->id);
    const struct share *share = &partition->shares[0];
    uint64_t memory = engine_device(tree->engine, share->device)->memory_bytes;
    char start[STRBUF_TIME_MAX], promised[STRBUF_TIME_MAX];
    uint64_t part = units_fraction_digits(share->memory_bytes, memory, PART_SCALE);
    if (!waiting)
        return;
    strbuf_time(tree_shown_ns(tree, partition->start_ns), start);
    strbuf_time(tree_shown_ns(tree, waiting->promised_ns), promised);
    strbuf_print(out, "p%llu %s %llu.%04llu %lld %s %s %s ", (unsigned long long)partition->id,
                 names_user(tree->names, partition->uid), (unsigned long long)(part / PART_SCALE),
                 (unsigned long long)(part % PART_SCALE),
                 (long long)units_seconds_up(partition->end_ns - partition->start_ns),
                 waiting_priority_text(waiting->priority), start, promised);
    for (uint32_t i = 0; i < partition->share_count; i++)
        strbuf_print(out, "%sgpu%u", i ? "," : "", (unsigned)partition->shares[i].device);
    strbuf_print(out, "%s\n", waiting->fixed ? " fixed" : "");
}

static void print_all(struct tree *tree, uint32_t device, struct strbuf *out)
{
    const struct partition *partition;
    int64_t start_ns = INT64_MIN;
    uint64_t id = 0;
    for (int line = 0; line < WAITS_LINES_MAX; line++) {
        partition = device == ENGINE_DEVICE_ANY
                        ? engine_next_waiting(tree->engine, start_ns, id)
                        : engine_next_waiting_on(tree->engine, device, start_ns, id);
        if (!partition)
            return;
        print_line(tree, partition, out);
        start_ns = partition->start_ns;
        id = partition->id;
    }
}

/* Return whether a text is what the queue is now. Only names may have become known since. */
static bool is_current(const struct tree *tree, const struct waits_text *text, uint32_t device)
{
    return text->device == device && text->last_seq == tree->waits.last_seq &&
           text->offset_ns == tree->offset_ns && tree->now_ns - text->made_ns < SHARED_NS &&
           text->text.length > 0;
}

/* Printing thousands of lines takes milliseconds, so reading them again must not, in pieces or by
 * all who were woken by a pass. */
void waits_print(struct tree *tree, uint32_t device, struct strbuf *out)
{
    struct waits_text *text = &tree->waits.texts[0], *end = text + WAITS_TEXTS, *oldest = text;
    if (engine_waiting_count(tree->engine) < SHARED_MIN) {
        print_all(tree, device, out);
        return;
    }
    for (; text < end && !is_current(tree, text, device); text++)
        if (text->made_ns < oldest->made_ns)
            oldest = text;
    if (text == end) {
        text = oldest;
        text->device = device;
        text->last_seq = tree->waits.last_seq;
        text->offset_ns = tree->offset_ns;
        text->made_ns = tree->now_ns;
        strbuf_clear(&text->text);
        print_all(tree, device, &text->text);
    }
    strbuf_add(out, text->text.data, text->text.length);
    out->failed |= text->text.failed;
}

/* -- news ------------------------------------------------------------------------- */

static void touch(struct tree *tree, const struct partition *partition)
{
    for (uint32_t i = 0; i < partition->share_count; i++)
        if (partition->shares[i].device < TREE_DEVICE_MAX)
            tree->waits.touched[partition->shares[i].device] = true;
}

void waits_note(struct tree *tree, const struct engine_event *event)
{
    struct tree_waits *waits = &tree->waits;
    const bool waited = event->before.id && waits_is_pending(&event->before);
    if (event->kind == EVENT_NOTE || event->kind == EVENT_SETTING ||
        (!waited && !waits_is_pending(&event->after)))
        return;
    waits->last_seq = event->seq;
    touch(tree, &event->before);
    touch(tree, &event->after);
    waits->started += event->kind == EVENT_STARTED;
    if (event->kind == EVENT_MOVED)
        waits->moved[event->after.shares[0].device]++;
}

bool waits_is_news(const struct tree *tree)
{
    return tree->waits.last_seq != tree->waits.seq && engine_plan_is_finished(tree->engine);
}

uint32_t waits_next_device(const struct tree *tree, uint32_t device, uint32_t *ret_moved)
{
    for (; device < tree->device_count; device++)
        if (tree->waits.touched[device]) {
            *ret_moved = tree->waits.moved[device];
            return device;
        }
    return ENGINE_DEVICE_ANY;
}

void waits_show(struct tree *tree)
{
    struct tree_waits *waits = &tree->waits;
    waits->seq = waits->last_seq;
    for (uint32_t i = 0; i < tree->device_count; i++)
        if (waits->touched[i]) {
            waits->device_seq[i] = waits->seq;
            waits->moved[i] = 0;
            waits->touched[i] = false;
        }
}
