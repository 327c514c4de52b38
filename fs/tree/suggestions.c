/* SPDX-License-Identifier: Apache-2.0 */
/* What would be accepted in place of a request; see suggestions.h. */
#include "suggestions.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64
#define PARTS    3

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

/* Find another device that would take the request as it is. */
static void try_devices(struct search *search)
{
    bool barred[TREE_DEVICE_MAX];
    struct partition partition;
    if (search->asked->creation.device == ENGINE_DEVICE_ANY)
        return;
    tree_find_barred(search->tree, &search->write->caller, barred);
    for (uint32_t i = 0; i < search->tree->device_count; i++) {
        if (barred[i] || i == search->asked->creation.device ||
            !is_accepted(search, search->write->text, i, false, &partition))
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
    strbuf_time_short(partition.start_ns + tree->offset_ns, tree_wall_ns(tree), when, size);
    return true;
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
    strbuf_time_short(partition->start_ns + tree->offset_ns, tree_wall_ns(tree), when,
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
    } else {
        try_less(&search);
        try_devices(&search);
        bool later = try_later(&search, when, sizeof(when));
        print_parts(&search, parts, sizeof(parts));
        if (*parts || later) /* else the refusal says why */
            snprintf(write->why.message, sizeof(write->why.message),
                     "%s for %s does not fit%s%s%s%s%s%s.", search.amount, search.duration,
                     asked->terms.fixed ? " then" : " now", *parts ? "; " : "", parts,
                     *parts ? " would" : "", later ? "; as asked from " : "", later ? when : "");
    }
    strbuf_print(out, "%s\n", write->why.message);
}

void suggestions_add(struct tree *tree, struct write *write, const struct asked *asked)
{
    struct search search = {.tree = tree, .write = write, .asked = asked};
    char parts[PARTS * 2 * WORD_MAX] = "", text[PARTS * 2 * WORD_MAX + 32];
    take_apart(&search);
    try_less(&search);
    try_devices(&search);
    print_parts(&search, parts, sizeof(parts));
    snprintf(text, sizeof(text), " %s would fit%s.", parts, asked->terms.fixed ? " then" : " now");
    size_t length = strlen(write->why.message);
    if (*parts && length + strlen(text) < sizeof(write->why.message))
        memcpy(write->why.message + length, text, strlen(text) + 1);
}
