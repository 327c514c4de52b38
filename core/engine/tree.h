/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One balanced tree (AVL) for everything that must be found in O(log n). It is
 * intrusive: a node is a member of what it orders, so that putting something in
 * allocates nothing and cannot fail. It knows nothing of what it orders.
 */
#ifndef CHRONOS_ENGINE_TREE_H
#define CHRONOS_ENGINE_TREE_H

#include <stddef.h>

struct tree_node {
    struct tree_node *left, *right;
    int height;
};

/* How nodes are ordered, strictly: no two nodes of a tree may be equal. */
struct tree_kind {
    int (*compare)(const struct tree_node *a, const struct tree_node *b);
    /* Computes what the node tells about its whole subtree; NULL: nothing. */
    void (*update)(struct tree_node *node);
};

struct tree {
    const struct tree_kind *kind;
    struct tree_node *root;
};

#define tree_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define tree_entry_const(node, type, member)                                                       \
    ((const type *)((const char *)(node)-offsetof(type, member)))

void tree_insert(struct tree *tree, struct tree_node *node);
/* The node must be in the tree. */
void tree_remove(struct tree *tree, struct tree_node *node);
/* The node equal to `probe`; the first above it; the first. NULL when there is
 * none. Only what the kind compares must be set in the probe. */
struct tree_node *tree_find(const struct tree *tree, const struct tree_node *probe);
struct tree_node *tree_after(const struct tree *tree, const struct tree_node *probe);
struct tree_node *tree_first(const struct tree *tree);

#endif
