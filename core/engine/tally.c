/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step function of tally.h: a tree of marks, each of which also keeps sums and extremes of its
 * subtree. At the same moment, marks that go down sort before those that go up, so that what starts
 * when another ends never overlaps it.
 */
#include "tally.h"

#include <stdbool.h>
#include <stddef.h>

static const struct tally_mark *mark_of(const struct avl_node *node)
{
    return node ? avl_entry_const(node, struct tally_mark, node) : NULL;
}

static const struct tally_span *span_of(const struct tally_mark *mark)
{
    return mark->delta_ppm > 0 ? avl_entry_const(mark, struct tally_span, start)
                               : avl_entry_const(mark, struct tally_span, end);
}

static int compare_marks(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct tally_mark *a = mark_of(node_a), *b = mark_of(node_b);
    bool a_up = a->delta_ppm > 0, b_up = b->delta_ppm > 0;

    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a_up != b_up)
        return a_up ? 1 : -1;
    uint64_t a_owner = span_of(a)->owner, b_owner = span_of(b)->owner;
    return (a_owner > b_owner) - (a_owner < b_owner);
}

static void update_mark(struct avl_node *node)
{
    struct tally_mark *mark = avl_entry(node, struct tally_mark, node);
    const struct tally_mark *left = mark_of(node->left), *right = mark_of(node->right);
    int64_t here = (left ? left->sum : 0) + mark->delta_ppm;

    mark->sum = mark->peak = mark->dip = here;
    mark->moment = (wide)mark->delta_ppm * mark->at_ns + (left ? left->moment : 0);
    if (left && left->peak > mark->peak)
        mark->peak = left->peak;
    if (left && left->dip < mark->dip)
        mark->dip = left->dip;
    if (!right)
        return;
    mark->sum += right->sum;
    mark->moment += right->moment;
    if (here + right->peak > mark->peak)
        mark->peak = here + right->peak;
    if (here + right->dip < mark->dip)
        mark->dip = here + right->dip;
}

static const struct avl_kind mark_kind = {.compare = compare_marks, .update = update_mark};

void tally_init(struct tally *tally)
{
    *tally = (struct tally){.marks = {.kind = &mark_kind}};
}

void tally_put(struct tally *tally, struct tally_span *span, uint64_t owner, int64_t start_ns,
               int64_t end_ns, uint64_t ppm)
{
    span->owner = owner;
    span->start.at_ns = start_ns;
    span->start.delta_ppm = (int64_t)ppm;
    span->end.at_ns = end_ns;
    span->end.delta_ppm = -(int64_t)ppm;
    avl_insert(&tally->marks, &span->start.node);
    avl_insert(&tally->marks, &span->end.node);
}

void tally_take(struct tally *tally, struct tally_span *span)
{
    avl_remove(&tally->marks, &span->start.node);
    avl_remove(&tally->marks, &span->end.node);
}

/* Sum up the marks at `at_ns` and before. */
static void sum_until(const struct tally *tally, int64_t at_ns, int64_t *ret_sum, wide *ret_moment)
{
    const struct avl_node *node = tally->marks.root;
    int64_t sum = 0;
    wide moment = 0;

    while (node) {
        const struct tally_mark *mark = mark_of(node), *left = mark_of(node->left);

        if (mark->at_ns <= at_ns) {
            sum += (left ? left->sum : 0) + mark->delta_ppm;
            moment += (left ? left->moment : 0) + (wide)mark->delta_ppm * mark->at_ns;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    *ret_sum = sum;
    *ret_moment = moment;
}

int64_t tally_value(const struct tally *tally, int64_t at_ns)
{
    int64_t sum;
    wide moment;

    sum_until(tally, at_ns, &sum, &moment);
    return sum;
}

/* Return the area of all time before `at_ns`: each mark counts from its moment on. */
static wide area_before(const struct tally *tally, int64_t at_ns)
{
    int64_t sum;
    wide moment;

    sum_until(tally, at_ns, &sum, &moment);
    return (wide)sum * at_ns - moment;
}

wide tally_area(const struct tally *tally, int64_t from_ns, int64_t until_ns)
{
    return area_before(tally, until_ns) - area_before(tally, from_ns);
}

/* A search from left to right for the first mark after `after_ns` at which the value is above the
 * limit, or, with `within`, not above it. */
struct search {
    int64_t after_ns, limit;
    bool within;
    int64_t value; /* of all marks passed */
};

static bool matches(const struct search *search, int64_t value)
{
    return (value <= search->limit) == search->within;
}

/* Search a subtree. `inside`: all of it is later than after_ns. */
static const struct tally_mark *search_in(struct search *search, const struct avl_node *node,
                                          bool inside)
{
    const struct tally_mark *mark = mark_of(node), *left;

    if (!mark)
        return NULL;
    if (inside && !matches(search, search->value + (search->within ? mark->dip : mark->peak))) {
        search->value += mark->sum;
        return NULL;
    }
    left = mark_of(node->left);
    if (mark->at_ns <= search->after_ns) {
        search->value += (left ? left->sum : 0) + mark->delta_ppm;
        return search_in(search, node->right, inside);
    }
    left = search_in(search, node->left, inside);
    if (left)
        return left;
    search->value += mark->delta_ppm;
    if (matches(search, search->value))
        return mark;
    return search_in(search, node->right, true);
}

/* A value in the middle of a moment is none: look at the sum of all its marks. */
static int64_t first_match(const struct tally *tally, int64_t from_ns, int64_t limit, bool within)
{
    int64_t at_ns = from_ns;

    while (at_ns != TALLY_NEVER) {
        struct search search = {at_ns, limit, within, 0};
        if (matches(&search, tally_value(tally, at_ns)))
            return at_ns;
        const struct tally_mark *mark = search_in(&search, tally->marks.root, false);
        at_ns = mark ? mark->at_ns : TALLY_NEVER;
    }
    return TALLY_NEVER;
}

int64_t tally_above(const struct tally *tally, int64_t from_ns, int64_t limit)
{
    return first_match(tally, from_ns, limit, false);
}

int64_t tally_within(const struct tally *tally, int64_t from_ns, int64_t limit)
{
    return first_match(tally, from_ns, limit, true);
}

int64_t tally_earliest(const struct tally *tally, int64_t from_ns, int64_t duration_ns,
                       int64_t limit)
{
    int64_t at_ns = from_ns;

    /* Each round skips one gap that is too short. */
    while (limit >= 0 && at_ns != TALLY_NEVER) {
        at_ns = tally_within(tally, at_ns, limit);
        if (at_ns == TALLY_NEVER)
            break;
        int64_t until_ns = tally_above(tally, at_ns, limit);
        if (until_ns == TALLY_NEVER || (wide)at_ns + duration_ns <= until_ns)
            return at_ns;
        at_ns = until_ns;
    }
    return TALLY_NEVER;
}

/* Return the maximum of a subtree's marks within (after_ns, before_ns), or `most` if that is more.
 * *value is the sum of all marks passed. */
static int64_t peak_in(const struct avl_node *node, int64_t after_ns, int64_t before_ns, bool low,
                       bool high, int64_t *value, int64_t most)
{
    const struct tally_mark *mark = mark_of(node), *left;

    if (!mark)
        return most;
    if (low && high) {
        most = *value + mark->peak > most ? *value + mark->peak : most;
        *value += mark->sum;
        return most;
    }
    left = mark_of(node->left);
    if (mark->at_ns <= after_ns) {
        *value += (left ? left->sum : 0) + mark->delta_ppm;
        return peak_in(node->right, after_ns, before_ns, low, high, value, most);
    }
    if (mark->at_ns >= before_ns)
        return peak_in(node->left, after_ns, before_ns, low, high, value, most);
    most = peak_in(node->left, after_ns, before_ns, low, true, value, most);
    *value += mark->delta_ppm;
    most = *value > most ? *value : most;
    return peak_in(node->right, after_ns, before_ns, true, high, value, most);
}

int64_t tally_peak(const struct tally *tally, int64_t from_ns, int64_t until_ns)
{
    int64_t value = 0;

    return peak_in(tally->marks.root, from_ns, until_ns, false, false, &value,
                   tally_value(tally, from_ns));
}

int64_t tally_next(const struct tally *tally, int64_t after_ns)
{
    struct tally_span probe = {.start = {.at_ns = after_ns, .delta_ppm = 1}, .owner = UINT64_MAX};
    const struct tally_mark *mark = mark_of(avl_after(&tally->marks, &probe.start.node));

    return mark ? mark->at_ns : TALLY_NEVER;
}

int64_t tally_last(const struct tally *tally)
{
    const struct avl_node *node = tally->marks.root;

    while (node && node->right)
        node = node->right;
    return node ? mark_of(node)->at_ns : INT64_MIN;
}
