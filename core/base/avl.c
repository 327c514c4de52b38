/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AVL tree of avl.h. Nodes know how their subtrees lean, not how high they are, and insertion
 * can do without the subtrees that it does not change, so a change looks at little more than one
 * path: in a large tree each look is a cache miss.
 */
#include "avl.h"

#define DEPTH_MAX 92 /* twice the height of 2^32 nodes */

/* The links from the root to a node, and to what is below it. */
struct path {
    struct avl_node **link[DEPTH_MAX];
    int depth;
};

static void update(const struct avl *avl, struct avl_node *node)
{
    if (avl->kind->update)
        avl->kind->update(node);
}

static struct avl_node *rotate_right(const struct avl *avl, struct avl_node *node)
{
    struct avl_node *up = node->left;

    node->left = up->right;
    up->right = node;
    node->lean = (int8_t)(node->lean + 1 - (up->lean < 0 ? up->lean : 0));
    up->lean = (int8_t)(up->lean + 1 + (node->lean > 0 ? node->lean : 0));
    update(avl, node);
    return up;
}

static struct avl_node *rotate_left(const struct avl *avl, struct avl_node *node)
{
    struct avl_node *up = node->right;

    node->right = up->left;
    up->left = node;
    node->lean = (int8_t)(node->lean - 1 - (up->lean > 0 ? up->lean : 0));
    up->lean = (int8_t)(up->lean - 1 + (node->lean < 0 ? node->lean : 0));
    update(avl, node);
    return up;
}

/* Balance a subtree that leans by two, and update it. */
static struct avl_node *balance(const struct avl *avl, struct avl_node *node)
{
    if (node->lean < 0) {
        if (node->left->lean > 0)
            node->left = rotate_left(avl, node->left);
        node = rotate_right(avl, node);
    } else {
        if (node->right->lean < 0)
            node->right = rotate_right(avl, node->right);
        node = rotate_left(avl, node);
    }
    update(avl, node);
    return node;
}

/* Go up a path below which `link` has become higher (`added`) or lower (NULL) by one: balance and
 * update all above it. */
static void go_up(const struct avl *avl, struct path *path, struct avl_node **link,
                  const struct avl_node *added)
{
    const struct avl_kind *kind = avl->kind;
    bool changed = true; /* the height below */

    while (path->depth > 0 && (changed || kind->update)) {
        struct avl_node **above = path->link[--path->depth], *node = *above;

        if (changed)
            node->lean = (int8_t)(node->lean + ((link == &node->left) == !added ? 1 : -1));
        if (node->lean < -1 || node->lean > 1) {
            *above = balance(avl, node);
            changed = !added && (*above)->lean == 0;
        } else {
            changed = changed && (node->lean == 0) == !added;
            if (added && kind->put)
                kind->put(node, added);
            else
                update(avl, node);
        }
        link = above;
    }
}

void avl_insert(struct avl *avl, struct avl_node *node)
{
    struct path path = {.depth = 0};
    struct avl_node **link = &avl->root;

    while (*link) {
        path.link[path.depth++] = link;
        link = avl->kind->compare(node, *link) < 0 ? &(*link)->left : &(*link)->right;
    }
    node->left = node->right = NULL;
    node->lean = 0;
    update(avl, node);
    *link = node;
    go_up(avl, &path, link, node);
}

/* Put the next node in the place of one that has two children; return the link that it has left. */
static struct avl_node **replace(struct path *path, struct avl_node **link)
{
    struct avl_node *node = *link, *next, **from = &node->right;
    int depth = path->depth;

    path->link[path->depth++] = link;
    while ((*from)->left) {
        path->link[path->depth++] = from;
        from = &(*from)->left;
    }
    next = *from;
    *from = next->right;
    next->left = node->left;
    next->right = node->right;
    next->lean = node->lean;
    *link = next;
    if (path->depth == depth + 1)
        return &next->right;
    path->link[depth + 1] = &next->right;
    return from;
}

void avl_remove(struct avl *avl, struct avl_node *node)
{
    struct path path = {.depth = 0};
    struct avl_node **link = &avl->root;

    while (*link != node) {
        path.link[path.depth++] = link;
        link = avl->kind->compare(node, *link) < 0 ? &(*link)->left : &(*link)->right;
    }
    if (node->left && node->right)
        link = replace(&path, link);
    else
        *link = node->left ? node->left : node->right;
    node->left = node->right = NULL;
    go_up(avl, &path, link, NULL);
}

struct avl_node *avl_find(const struct avl *avl, const struct avl_node *probe)
{
    struct avl_node *at = avl->root;

    while (at) {
        int order = avl->kind->compare(probe, at);

        if (order == 0)
            return at;
        at = order < 0 ? at->left : at->right;
    }
    return NULL;
}

struct avl_node *avl_after(const struct avl *avl, const struct avl_node *probe)
{
    struct avl_node *at = avl->root, *best = NULL;

    while (at) {
        if (avl->kind->compare(probe, at) < 0) {
            best = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return best;
}

struct avl_node *avl_first(const struct avl *avl)
{
    struct avl_node *at = avl->root;

    while (at && at->left)
        at = at->left;
    return at;
}
