/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations that repeat; see repeats.h. */
#include "repeats.h"

#include <stdio.h>
#include <string.h>

/* Occurrences that were left out are named as far as a message has room for them. */
#define NAMED_MAX 4
#define DAY_MAX   CALENDAR_DATE_MAX
/* More of a reason has no room behind the day. */
#define REASON_MAX 180

struct made {
    uint64_t first, last;
    size_t count;
    char skipped[NAMED_MAX][DAY_MAX];
    size_t skipped_count;
};

static void print_day(const struct tree *tree, int64_t at_ns, char text[static DAY_MAX])
{
    int64_t wall_s = tree_shown_ns(tree, at_ns) / NS_PER_SECOND;
    calendar_date_text(calendar_local(wall_s).day, text);
}

static void note_skipped(const struct tree *tree, int64_t at_ns, struct made *made)
{
    if (made->skipped_count < NAMED_MAX)
        print_day(tree, at_ns, made->skipped[made->skipped_count]);
    made->skipped_count++;
}

/* Say which occurrence the refusal is about. */
static void refuse(const struct tree *tree, const struct asked *asked, size_t number,
                   struct refusal *why)
{
    struct refusal reason = *why;
    char day[DAY_MAX];
    print_day(tree, asked->starts_ns[number], day);
    snprintf(why->message, sizeof(why->message), "%s (%zu of %zu): %.*s", day, number + 1,
             asked->start_count, REASON_MAX, reason.message);
}

static void report(const struct asked *asked, const struct made *made, struct refusal *why)
{
    char skipped[NAMED_MAX * (DAY_MAX + 2) + 64] = "";
    size_t used = 0;
    for (size_t i = 0; i < made->skipped_count && i < NAMED_MAX; i++)
        used += (size_t)snprintf(skipped + used, sizeof(skipped) - used, "%s%s", i ? ", " : "; ",
                                 made->skipped[i]);
    if (made->skipped_count > NAMED_MAX)
        used += (size_t)snprintf(skipped + used, sizeof(skipped) - used, " and %zu more",
                                 made->skipped_count - NAMED_MAX);
    if (made->skipped_count)
        snprintf(skipped + used, sizeof(skipped) - used, " did not fit");
    snprintf(why->message, sizeof(why->message), "Reserved %zu of %zu, p%llu to p%llu%s.",
             made->count, asked->start_count, (unsigned long long)made->first,
             (unsigned long long)made->last, skipped);
}

/* Make one occurrence. 0, a refusal, or -errno. */
static int create_one(struct tree *tree, struct write *write, struct asked *asked, size_t number,
                      struct made *made)
{
    uint64_t id;
    asked->terms.start_ns = asked->starts_ns[number];
    asked->terms.series = made->count ? made->first : ENGINE_SERIES_NEW;
    int r = engine_enqueue(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                           &asked->creation, &asked->terms, &id);
    if (r)
        return r;
    if (!made->count)
        made->first = id;
    made->last = id;
    made->count++;
    return 0;
}

int repeats_create(struct tree *tree, struct write *write, struct asked *asked)
{
    struct made made = {0};
    int r = 0;
    for (size_t i = 0; i < asked->start_count && !r; i++) {
        r = create_one(tree, write, asked, i, &made);
        if (asked->request.skip && (r == REFUSED_NO_SPACE || r == REFUSED_QUOTA)) {
            note_skipped(tree, asked->starts_ns[i], &made);
            /* The last reason, if none fits. */
            r = i + 1 == asked->start_count && !made.count ? r : 0;
        }
        if (r > 0)
            refuse(tree, asked, i, &write->why);
    }
    if (r)
        return engine_undo(tree->engine) ? -ENOMEM : r;
    write->result = made.first;
    report(asked, &made, &write->why);
    return 0;
}
