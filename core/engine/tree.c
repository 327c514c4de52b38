/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AVL tree of tree.h. Recursion is as deep as the tree is high, and an AVL
 * tree of 2^32 nodes is not higher than 46.
 */
#include "tree.h"

static int height(const struct tree_node *node)
{
    return node ? node->height : 0;
}

/* Makes a node agree with its children. */
static void refresh(const struct tree *tree, struct tree_node *node)
{
    int left = height(node->left), right = height(node->right);

    node->height = 1 + (left > right ? left : right);
    if (tree->kind->update)
        tree->kind->update(node);
}

static struct tree_node *rotate_right(const struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->left;

    node->left = up->right;
    up->right = node;
    refresh(tree, node);
    refresh(tree, up);
    return up;
}

static struct tree_node *rotate_left(const struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->right;

    node->right = up->left;
    up->left = node;
    refresh(tree, node);
    refresh(tree, up);
    return up;
}

/* The balanced form of a subtree whose children are balanced and differ in
 * height by two at most. */
static struct tree_node *balance(const struct tree *tree, struct tree_node *node)
{
    int lean = height(node->left) - height(node->right);

    if (lean > 1) {
        if (height(node->left->left) < height(node->left->right))
            node->left = rotate_left(tree, node->left);
        return rotate_right(tree, node);
    }
    if (lean < -1) {
        if (height(node->right->right) < height(node->right->left))
            node->right = rotate_right(tree, node->right);
        return rotate_left(tree, node);
    }
    refresh(tree, node);
    return node;
}

static struct tree_node *insert(const struct tree *tree, struct tree_node *at,
                                struct tree_node *node)
{
    if (!at)
        return node;
    if (tree->kind->compare(node, at) < 0)
        at->left = insert(tree, at->left, node);
    else
        at->right = insert(tree, at->right, node);
    return balance(tree, at);
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    node->left = node->right = NULL;
    refresh(tree, node);
    tree->root = insert(tree, tree->root, node);
}

/* Takes the first node out of a subtree that is not empty. */
static struct tree_node *remove_first(const struct tree *tree, struct tree_node *at,
                                      struct tree_node **ret_first)
{
    if (!at->left) {
        *ret_first = at;
        return at->right;
    }
    at->left = remove_first(tree, at->left, ret_first);
    return balance(tree, at);
}

static struct tree_node *join(const struct tree *tree, struct tree_node *left,
                              struct tree_node *right)
{
    struct tree_node *up = NULL;

    if (!left || !right)
        return left ? left : right;
    right = remove_first(tree, right, &up);
    up->left = left;
    up->right = right;
    return balance(tree, up);
}

static struct tree_node *take(const struct tree *tree, struct tree_node *at,
                              const struct tree_node *node)
{
    if (!at)
        return NULL;
    if (at == node)
        return join(tree, at->left, at->right);
    if (tree->kind->compare(node, at) < 0)
        at->left = take(tree, at->left, node);
    else
        at->right = take(tree, at->right, node);
    return balance(tree, at);
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    tree->root = take(tree, tree->root, node);
    node->left = node->right = NULL;
}

struct tree_node *tree_find(const struct tree *tree, const struct tree_node *probe)
{
    struct tree_node *at = tree->root;

    while (at) {
        int order = tree->kind->compare(probe, at);

        if (order == 0)
            return at;
        at = order < 0 ? at->left : at->right;
    }
    return NULL;
}

struct tree_node *tree_after(const struct tree *tree, const struct tree_node *probe)
{
    struct tree_node *at = tree->root, *best = NULL;

    while (at) {
        if (tree->kind->compare(probe, at) < 0) {
            best = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return best;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *at = tree->root;

    while (at && at->left)
        at = at->left;
    return at;
}
