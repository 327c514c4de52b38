/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balanced tree (AVL) for lookups in O(log n). Intrusive: a node is a member of the struct it
 * orders, so inserting allocates nothing and cannot fail. It must not know what it orders.
 */
#ifndef CHRONOS_BASE_AVL_H
#define CHRONOS_BASE_AVL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct avl_node {
    struct avl_node *left, *right;
    int8_t lean; /* height of the right subtree minus that of the left one: -1, 0 or 1 */
    /* For `update`, in room that costs nothing: about the subtree; and that what is kept about it
     * elsewhere is out of date. */
    bool stale;
    uint32_t summary;
};

/* The order of nodes. It must be strict: no two nodes of a tree compare equal. */
struct avl_kind {
    int (*compare)(const struct avl_node *a, const struct avl_node *b);
    /* Recompute what the node stores about its subtree; NULL: nothing to compute. */
    void (*update)(struct avl_node *node);
    /* The same for a node below which only `added` has been put, without a look at its children, if
     * that is possible; NULL: `update` does it. */
    void (*put)(struct avl_node *node, const struct avl_node *added);
};

struct avl {
    const struct avl_kind *kind;
    struct avl_node *root;
};

#define avl_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define avl_entry_const(node, type, member)                                                        \
    ((const type *)((const char *)(node)-offsetof(type, member)))

void avl_insert(struct avl *avl, struct avl_node *node);
/* The node must be in the tree. */
void avl_remove(struct avl *avl, struct avl_node *node);
/* The node equal to `probe`; the first one after it; the first of all. NULL if there is none. Only
 * fields that `compare` reads must be set in the probe. */
struct avl_node *avl_find(const struct avl *avl, const struct avl_node *probe);
struct avl_node *avl_after(const struct avl *avl, const struct avl_node *probe);
struct avl_node *avl_first(const struct avl *avl);

#endif
