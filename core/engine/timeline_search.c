/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search of timeline.h for the first gap that is long enough. It walks the points in order with
 * the moment at which the present gap opened, and passes by each subtree that cannot change the
 * answer: all of it is in the gap, all of it is full, or no run in it is long enough.
 */
#include "timeline.h"

#define RUN_SHIFT 27               /* runs are kept in units of 134 ms */
#define RUN_MAX   (UINT32_MAX / 2) /* any length: 9 years and more */

struct search {
    int64_t from_ns, before_ns, duration_ns, limit;
    int64_t free_ns; /* from then on there is room; TIMELINE_NEVER: only where the value says so */
    const struct timeline_levels *levels;
    int level;       /* the least one that is not below the limit; -1: there is none */
    int64_t open_ns; /* since when there is room; TIMELINE_NEVER: there is none now */
    bool done;       /* open_ns is the answer */
};

/* -- runs -------------------------------------------------------------------- */

static uint32_t capped(uint32_t sum)
{
    return sum > RUN_MAX ? RUN_MAX : sum;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Put a run behind another. */
static inline void append(struct timeline_run *run, const struct timeline_run *next)
{
    run->best = larger(larger(run->best, next->best), capped(run->tail + next->head));
    run->head = run->whole ? capped(run->head + next->head) : run->head;
    run->tail = next->whole ? capped(run->tail + next->tail) : next->tail;
    run->whole &= next->whole;
}

/* Put the time between two neighbouring points behind the runs of each level. */
static void append_time(const struct timeline_levels *levels, struct timeline_run *runs,
                        int64_t from_ns, int64_t until_ns, int64_t value)
{
    uint64_t length = (uint64_t)until_ns - (uint64_t)from_ns;
    uint64_t units = (length >> RUN_SHIFT) + 1;
    uint32_t all = units > RUN_MAX ? RUN_MAX : (uint32_t)units;

    if (length == 0)
        return;
    for (uint32_t i = 0; i < levels->count; i++) {
        bool low = value <= levels->limit[i];
        uint32_t run = low ? all : 0;

        append(&runs[i], &(struct timeline_run){run, run, run, low});
    }
}

/* Room for the runs of a point's subtree, or NULL. */
static struct timeline_runs *runs_of(const struct timeline_point *point)
{
    struct timeline_runs *runs = timeline_promise_of(point)->runs;

    return runs ? runs + (point->delta_bytes < 0) : NULL;
}

static const struct timeline_runs *work_out(const struct timeline_levels *levels,
                                            struct avl_node *node, int64_t base);

/* Set the runs of a subtree from those of its children (NULL: there is none). */
static void combine(const struct timeline_levels *levels, const struct timeline_point *point,
                    int64_t base, const struct timeline_runs *left,
                    const struct timeline_runs *right)
{
    struct timeline_runs *runs = runs_of(point);

    runs->first_ns = left ? left->first_ns : point->at_ns;
    runs->last_ns = right ? right->last_ns : point->at_ns;
    for (uint32_t i = 0; i < levels->count; i++)
        runs->at[i] = left ? left->at[i] : (struct timeline_run){.whole = 1};
    if (left)
        append_time(levels, runs->at, left->last_ns, point->at_ns,
                    base + timeline_sum_of(point->node.left));
    if (!right)
        return;
    append_time(levels, runs->at, point->at_ns, right->first_ns,
                base + timeline_sum_of(point->node.left) + point->delta_bytes);
    for (uint32_t i = 0; i < levels->count; i++)
        append(&runs->at[i], &right->at[i]);
}

/* The runs of a subtree; `base` is the value before it. NULL: it has a point without room for them.
 * O(1), or as many steps as there are points whose runs have changed. */
static const struct timeline_runs *work_out(const struct timeline_levels *levels,
                                            struct avl_node *node, int64_t base)
{
    const struct timeline_point *point = timeline_point_of(node);
    const struct timeline_runs *left = NULL, *right = NULL;
    struct timeline_runs *runs = runs_of(point);

    if (!runs)
        return NULL;
    if (node->stale || runs->levels != levels->version || runs->base != base) {
        node->stale = false;
        runs->base = base;
        runs->levels = levels->version;
        if (node->left)
            left = work_out(levels, node->left, base);
        if (node->right)
            right = work_out(levels, node->right,
                             base + timeline_sum_of(node->left) + point->delta_bytes);
        runs->complete = (left || !node->left) && (right || !node->right);
        if (runs->complete)
            combine(levels, point, base, left, right);
    }
    return runs->complete ? runs : NULL;
}

/* -- levels ------------------------------------------------------------------- */

static int set_level(struct timeline_levels *levels, uint32_t i, int64_t limit)
{
    levels->limit[i] = limit;
    levels->used[i] = 1;
    levels->missed = 0;
    levels->version += levels->version == UINT32_MAX ? 2 : 1;
    return (int)i;
}

/* Give the level that is used least to another limit. */
static int replace_level(struct timeline_levels *levels, int64_t limit)
{
    uint32_t least = 0;

    for (uint32_t i = 0; i < levels->count; i++) {
        if (levels->used[i] < levels->used[least])
            least = i;
    }
    for (uint32_t i = 0; i < levels->count; i++)
        levels->used[i] /= 2;
    return set_level(levels, least, limit);
}

/* The level for a limit: itself, or the next one above it; -1: there is none. */
static int choose_level(struct timeline *timeline, int64_t limit)
{
    struct timeline_levels *levels = &timeline->levels;
    int best = -1;

    for (uint32_t i = 0; i < levels->count; i++) {
        if (levels->limit[i] >= limit && (best < 0 || levels->limit[i] < levels->limit[best]))
            best = (int)i;
    }
    if (best >= 0 && levels->limit[best] == limit) {
        levels->used[best] += levels->used[best] < UINT32_MAX;
        return best;
    }
    if (levels->count < TIMELINE_LEVELS)
        return set_level(levels, levels->count++, limit);
    /* Then all runs are worked out again, so it happens at most once in as many searches. */
    if (levels->missed++ > timeline->with_runs)
        return replace_level(levels, limit);
    return best;
}

/* Whether a subtree may hold a run that is long enough. */
static bool may_hold(const struct search *search, struct avl_node *node, int64_t base)
{
    const struct timeline_runs *runs =
        search->level < 0 ? NULL : work_out(search->levels, node, base);

    if (!runs || runs->last_ns >= search->free_ns)
        return true;
    uint64_t best = runs->at[search->level].best;
    return best == RUN_MAX || best << RUN_SHIFT >= (uint64_t)search->duration_ns;
}

/* -- the search ---------------------------------------------------------------- */

static bool is_enough(const struct search *search, int64_t until_ns)
{
    return (uint64_t)until_ns - (uint64_t)search->open_ns >= (uint64_t)search->duration_ns;
}

/* Go on at a moment from which the value holds. True: the search is done. */
static bool step(struct search *search, int64_t at_ns, int64_t value)
{
    if (at_ns >= search->free_ns) {
        search->done = true;
    } else if (search->open_ns == TIMELINE_NEVER) {
        search->done = at_ns >= search->before_ns;
        if (!search->done && value <= search->limit)
            search->open_ns = at_ns;
    } else if (value > search->limit) {
        search->done = is_enough(search, at_ns);
        if (!search->done)
            search->open_ns = TIMELINE_NEVER;
    }
    return search->done;
}

static int64_t first_of(const struct avl_node *node)
{
    while (node->left)
        node = node->left;
    return timeline_point_of(node)->at_ns;
}

/* When the value falls to the limit for the last time in a subtree that ends at or below it but is
 * above it before. */
static int64_t last_opening(const struct avl_node *node, int64_t base, int64_t limit)
{
    for (;;) {
        int64_t before = base + timeline_sum_of(node->left);
        int64_t here = before + timeline_point_of(node)->delta_bytes;

        if (node->right && here + timeline_point_of(node->right)->peak > limit) {
            base = here;
            node = node->right;
        } else if (here > limit) {
            return first_of(node->right);
        } else if (before > limit) {
            return timeline_point_of(node)->at_ns;
        } else if (node->left && base + timeline_point_of(node->left)->peak > limit) {
            node = node->left;
        } else {
            return first_of(node);
        }
    }
}

/* Pass by a subtree if the answer does not lie in it, or if it does so at once. False: look closer.
 */
static bool pass_by(struct search *search, struct avl_node *node, int64_t base)
{
    const struct timeline_point *point = timeline_point_of(node);
    bool open = search->open_ns != TIMELINE_NEVER;

    if (open ? base + point->peak <= search->limit : base + point->dip > search->limit)
        return true;
    if (may_hold(search, node, base))
        return false;
    if (open) {
        int64_t closes_ns = timeline_exceeds_within(node, base, search->limit)->at_ns;

        search->done = is_enough(search, closes_ns);
        if (search->done)
            return true;
    }
    search->open_ns = base + point->sum <= search->limit ? last_opening(node, base, search->limit)
                                                         : TIMELINE_NEVER;
    return true;
}

/* Go through a subtree. `inside`: all of it is after from_ns. True: the search is done. */
static bool go_through(struct search *search, struct avl_node *node, int64_t base, bool inside)
{
    if (!node)
        return false;
    const struct timeline_point *point = timeline_point_of(node);
    int64_t here = base + timeline_sum_of(node->left) + point->delta_bytes;
    if (inside && pass_by(search, node, base))
        return search->done;
    if (!inside && point->at_ns <= search->from_ns)
        return go_through(search, node->right, here, false);
    return go_through(search, node->left, base, inside) || step(search, point->at_ns, here) ||
           go_through(search, node->right, here, true);
}

static int64_t find(struct timeline *timeline, struct search search)
{
    if (search.limit < 0 || search.duration_ns < 1 || search.from_ns >= search.before_ns)
        return TIMELINE_NEVER;
    if (timeline->with_runs > 0)
        search.level = choose_level(timeline, search.limit);
    if (timeline_value(timeline, search.from_ns) <= search.limit)
        search.open_ns = search.from_ns;
    go_through(&search, timeline->points.root, 0, false);
    return search.open_ns < search.before_ns ? search.open_ns : TIMELINE_NEVER;
}

int64_t timeline_earliest(struct timeline *timeline, int64_t from_ns, int64_t before_ns,
                          int64_t duration_ns, int64_t limit)
{
    return find(timeline, (struct search){.from_ns = from_ns,
                                          .before_ns = before_ns,
                                          .duration_ns = duration_ns,
                                          .limit = limit,
                                          .free_ns = TIMELINE_NEVER,
                                          .levels = &timeline->levels,
                                          .level = -1,
                                          .open_ns = TIMELINE_NEVER});
}

int64_t timeline_earlier(struct timeline *timeline, int64_t from_ns, int64_t start_ns,
                         int64_t duration_ns, int64_t limit)
{
    return find(timeline, (struct search){.from_ns = from_ns,
                                          .before_ns = start_ns,
                                          .duration_ns = duration_ns,
                                          .limit = limit,
                                          .free_ns = start_ns,
                                          .levels = &timeline->levels,
                                          .level = -1,
                                          .open_ns = TIMELINE_NEVER});
}
