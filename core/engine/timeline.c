/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step function of timeline.h: a tree of points, each of which also keeps the sum, peak and dip
 * of its subtree. At the same moment, points that go down sort before those that go up, so that a
 * promise that starts when another ends never overlaps it. timeline_search.c finds gaps.
 */
#include "timeline.h"

static struct timeline_point *point_of(struct avl_node *node)
{
    return node ? avl_entry(node, struct timeline_point, node) : NULL;
}

static const struct timeline_point *point_of_const(const struct avl_node *node)
{
    return node ? avl_entry_const(node, struct timeline_point, node) : NULL;
}

static int compare_points(const struct avl_node *node_a, const struct avl_node *node_b)
{
    const struct timeline_point *a = point_of_const(node_a), *b = point_of_const(node_b);
    bool a_up = a->delta_bytes > 0, b_up = b->delta_bytes > 0;

    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a_up != b_up)
        return a_up ? 1 : -1;
    uint64_t a_owner = timeline_promise_of(a)->owner, b_owner = timeline_promise_of(b)->owner;
    return (a_owner > b_owner) - (a_owner < b_owner);
}

/* Return the number of ends in a subtree. */
static uint32_t count_ends(const struct avl_node *node)
{
    return node ? node->summary : 0;
}

static void update_point(struct avl_node *node)
{
    struct timeline_point *point = point_of(node);
    const struct timeline_point *left = point_of(node->left), *right = point_of(node->right);
    int64_t here = (left ? left->sum : 0) + point->delta_bytes;

    node->stale = true;
    node->summary = count_ends(node->left) + count_ends(node->right);
    node->summary += point->delta_bytes < 0;

    point->sum = point->peak = point->dip = here;
    if (left && left->peak > point->peak)
        point->peak = left->peak;
    if (left && left->dip < point->dip)
        point->dip = left->dip;
    if (!right)
        return;
    point->sum = here + right->sum;
    if (here + right->peak > point->peak)
        point->peak = here + right->peak;
    if (here + right->dip < point->dip)
        point->dip = here + right->dip;
}

static const struct avl_kind point_kind = {.compare = compare_points, .update = update_point};

uint32_t timeline_ends_until(const struct timeline *timeline, int64_t at_ns)
{
    const struct avl_node *node = timeline->points.root;
    uint32_t count = 0;

    while (node) {
        if (point_of_const(node)->at_ns > at_ns) {
            node = node->left;
            continue;
        }
        count += node->summary - count_ends(node->right);
        node = node->right;
    }
    return count;
}

int64_t timeline_later(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

void timeline_init(struct timeline *timeline)
{
    *timeline = (struct timeline){.points = {.kind = &point_kind}};
}

void timeline_add(struct timeline *timeline, struct timeline_promise *promise, uint64_t owner,
                  int64_t start_ns, int64_t end_ns, int64_t bytes)
{
    promise->owner = owner;
    promise->start.at_ns = start_ns;
    promise->start.delta_bytes = bytes;
    promise->end.at_ns = end_ns;
    promise->end.delta_bytes = -bytes;
    timeline->with_runs += promise->runs ? 2 : 0;
    avl_insert(&timeline->points, &promise->start.node);
    avl_insert(&timeline->points, &promise->end.node);
}

void timeline_remove(struct timeline *timeline, struct timeline_promise *promise)
{
    timeline->with_runs -= promise->runs ? 2 : 0;
    avl_remove(&timeline->points, &promise->start.node);
    avl_remove(&timeline->points, &promise->end.node);
}

int64_t timeline_value(const struct timeline *timeline, int64_t at_ns)
{
    const struct avl_node *node = timeline->points.root;
    int64_t value = 0;

    while (node) {
        const struct timeline_point *point = point_of_const(node);

        if (point->at_ns <= at_ns) {
            value += timeline_sum_of(node->left) + point->delta_bytes;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return value;
}

/* A left-to-right walk over the points within (after_ns, before_ns). */
struct walk {
    int64_t after_ns, before_ns;
    int64_t value; /* of all points passed */
    int64_t peak;
};

/* Walk a subtree. `low`, `high`: all of it is known to lie above the lower or below the upper
 * bound. */
static void walk_peak(struct walk *walk, const struct avl_node *node, bool low, bool high)
{
    const struct timeline_point *point = point_of_const(node);

    if (!point)
        return;
    if (low && high) {
        if (walk->value + point->peak > walk->peak)
            walk->peak = walk->value + point->peak;
        walk->value += point->sum;
    } else if (point->at_ns <= walk->after_ns) {
        walk->value += timeline_sum_of(node->left) + point->delta_bytes;
        walk_peak(walk, node->right, low, high);
    } else if (point->at_ns >= walk->before_ns) {
        walk_peak(walk, node->left, low, high);
    } else {
        walk_peak(walk, node->left, low, true);
        walk->value += point->delta_bytes;
        if (walk->value > walk->peak)
            walk->peak = walk->value;
        walk_peak(walk, node->right, true, high);
    }
}

int64_t timeline_peak(const struct timeline *timeline, int64_t from_ns, int64_t until_ns)
{
    struct walk walk = {.after_ns = from_ns, .before_ns = until_ns};

    walk.peak = timeline_value(timeline, from_ns);
    walk_peak(&walk, timeline->points.root, false, false);
    return walk.peak;
}

/* The first point after after_ns at which the value is above the limit. *value is the sum of all
 * points before the subtree; on return, of all points passed. */
static const struct timeline_point *crossing(const struct avl_node *node, int64_t after_ns,
                                             bool inside, int64_t limit, int64_t *value)
{
    const struct timeline_point *point = point_of_const(node), *earlier;

    if (!point)
        return NULL;
    if (inside && *value + point->peak <= limit) {
        *value += point->sum;
        return NULL;
    }
    if (!inside && point->at_ns <= after_ns) {
        *value += timeline_sum_of(node->left) + point->delta_bytes;
        return crossing(node->right, after_ns, false, limit, value);
    }
    earlier = crossing(node->left, after_ns, inside, limit, value);
    if (earlier)
        return earlier;
    *value += point->delta_bytes;
    if (*value > limit)
        return point;
    return crossing(node->right, after_ns, true, limit, value);
}

const struct timeline_point *timeline_exceeds_within(const struct avl_node *node, int64_t base,
                                                     int64_t limit)
{
    return crossing(node, 0, true, limit, &base);
}

int64_t timeline_exceeds(const struct timeline *timeline, int64_t after_ns, int64_t limit)
{
    int64_t value = 0;
    const struct timeline_point *point =
        crossing(timeline->points.root, after_ns, false, limit, &value);

    return point ? point->at_ns : TIMELINE_NEVER;
}

bool timeline_next(const struct timeline *timeline, int64_t after_ns, int64_t *ret_at_ns,
                   int64_t *ret_value)
{
    int64_t before = timeline_value(timeline, after_ns), at_ns = after_ns, value;

    do {
        struct timeline_promise probe = {.start = {.at_ns = at_ns, .delta_bytes = 1},
                                         .owner = UINT64_MAX};
        const struct avl_node *node = avl_after(&timeline->points, &probe.start.node);

        if (!node)
            return false;
        at_ns = point_of_const(node)->at_ns;
        value = timeline_value(timeline, at_ns);
    } while (value == before);
    *ret_at_ns = at_ns;
    *ret_value = value;
    return true;
}

static uint64_t owner_at(const struct timeline *timeline, int64_t at_ns, int sign)
{
    struct timeline_promise probe = {.owner = 0};
    struct timeline_point *of = sign > 0 ? &probe.start : &probe.end;

    of->at_ns = at_ns;
    of->delta_bytes = sign;
    const struct timeline_point *point = point_of_const(avl_after(&timeline->points, &of->node));
    if (!point || point->at_ns != at_ns || (point->delta_bytes > 0) != (sign > 0))
        return 0;
    return timeline_promise_of(point)->owner;
}

uint64_t timeline_ends_at(const struct timeline *timeline, int64_t at_ns)
{
    return owner_at(timeline, at_ns, -1);
}

uint64_t timeline_starts_at(const struct timeline *timeline, int64_t at_ns)
{
    return owner_at(timeline, at_ns, 1);
}
