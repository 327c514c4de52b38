/* SPDX-License-Identifier: Apache-2.0 */
/* The AVL tree of avl.h. Recursion is as deep as the tree is high: at most 46 for 2^32 nodes. */
#include "avl.h"

static int height(const struct avl_node *node)
{
    return node ? node->height : 0;
}

/* Update a node after its children changed. */
static void refresh(const struct avl *avl, struct avl_node *node)
{
    int left = height(node->left), right = height(node->right);

    node->height = 1 + (left > right ? left : right);
    if (avl->kind->update)
        avl->kind->update(node);
}

static struct avl_node *rotate_right(const struct avl *avl, struct avl_node *node)
{
    struct avl_node *up = node->left;

    node->left = up->right;
    up->right = node;
    refresh(avl, node);
    refresh(avl, up);
    return up;
}

static struct avl_node *rotate_left(const struct avl *avl, struct avl_node *node)
{
    struct avl_node *up = node->right;

    node->right = up->left;
    up->left = node;
    refresh(avl, node);
    refresh(avl, up);
    return up;
}

/* Balance a subtree whose children are balanced and differ in height by at most two. */
static struct avl_node *balance(const struct avl *avl, struct avl_node *node)
{
    int lean = height(node->left) - height(node->right);

    if (lean > 1) {
        if (height(node->left->left) < height(node->left->right))
            node->left = rotate_left(avl, node->left);
        return rotate_right(avl, node);
    }
    if (lean < -1) {
        if (height(node->right->right) < height(node->right->left))
            node->right = rotate_right(avl, node->right);
        return rotate_left(avl, node);
    }
    refresh(avl, node);
    return node;
}

static struct avl_node *insert(const struct avl *avl, struct avl_node *at, struct avl_node *node)
{
    if (!at)
        return node;
    if (avl->kind->compare(node, at) < 0)
        at->left = insert(avl, at->left, node);
    else
        at->right = insert(avl, at->right, node);
    return balance(avl, at);
}

void avl_insert(struct avl *avl, struct avl_node *node)
{
    node->left = node->right = NULL;
    refresh(avl, node);
    avl->root = insert(avl, avl->root, node);
}

/* Remove the first node of a non-empty subtree. */
static struct avl_node *remove_first(const struct avl *avl, struct avl_node *at,
                                     struct avl_node **ret_first)
{
    if (!at->left) {
        *ret_first = at;
        return at->right;
    }
    at->left = remove_first(avl, at->left, ret_first);
    return balance(avl, at);
}

static struct avl_node *join(const struct avl *avl, struct avl_node *left, struct avl_node *right)
{
    struct avl_node *up = NULL;

    if (!left || !right)
        return left ? left : right;
    right = remove_first(avl, right, &up);
    up->left = left;
    up->right = right;
    return balance(avl, up);
}

static struct avl_node *take(const struct avl *avl, struct avl_node *at,
                             const struct avl_node *node)
{
    if (!at)
        return NULL;
    if (at == node)
        return join(avl, at->left, at->right);
    if (avl->kind->compare(node, at) < 0)
        at->left = take(avl, at->left, node);
    else
        at->right = take(avl, at->right, node);
    return balance(avl, at);
}

void avl_remove(struct avl *avl, struct avl_node *node)
{
    avl->root = take(avl, avl->root, node);
    node->left = node->right = NULL;
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
