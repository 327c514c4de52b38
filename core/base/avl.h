/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One balanced tree (AVL) for everything that must be found in O(log n). It is
 * intrusive: a node is a member of what it orders, so that putting something in
 * allocates nothing and cannot fail. It knows nothing of what it orders.
 */
#ifndef CHRONOS_BASE_AVL_H
#define CHRONOS_BASE_AVL_H

#include <stddef.h>

struct avl_node {
    struct avl_node *left, *right;
    int height;
};

/* How nodes are ordered, strictly: no two nodes of a tree may be equal. */
struct avl_kind {
    int (*compare)(const struct avl_node *a, const struct avl_node *b);
    /* Computes what the node tells about its whole subtree; NULL: nothing. */
    void (*update)(struct avl_node *node);
};

struct avl {
    const struct avl_kind *kind;
    struct avl_node *root;
};

#define tree_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define tree_entry_const(node, type, member)                                                       \
    ((const type *)((const char *)(node)-offsetof(type, member)))

void avl_insert(struct avl *avl, struct avl_node *node);
/* The node must be in the tree. */
void avl_remove(struct avl *avl, struct avl_node *node);
/* The node equal to `probe`; the first above it; the first. NULL when there is
 * none. Only what the kind compares must be set in the probe. */
struct avl_node *avl_find(const struct avl *avl, const struct avl_node *probe);
struct avl_node *avl_after(const struct avl *avl, const struct avl_node *probe);
struct avl_node *avl_first(const struct avl *avl);

#endif
