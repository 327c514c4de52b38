/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of users' own. A node has a lock in the kernel, which a slow writer holds, and anyone who
 * can write it can mount over it (fusermount3). So the node that a name leads to depends on the
 * user who looks, and another user's look takes a mount away:
 *
 * - `new` and the like (row->own): always.
 * - Other files that can be set: for those who may write and are not the owner, and only after an
 *   open for writing, which says so. The owner's and the readers' node is never taken from the
 *   kernel's cache by one who may only read. An account has one node, as its people can become each
 *   other, and one may hold as much as the other.
 * - `partitions`, which everyone can write: after a user has mounted over it. Until then there is
 *   one, because a working directory that another user's look takes away has no name.
 */
#ifndef CHRONOS_TREE_OWN_H
#define CHRONOS_TREE_OWN_H

#include "tree.h"

/* Turn a node that tree_lookup or tree_next_child found into the user's own, if they have one. */
void own_take(struct tree *tree, uint32_t uid, struct node *node);
/* Return whether a user who may open this file for writing has to do it through another node. The
 * open is to fail with ESTALE then: the kernel looks the name up again, and own_take finds that
 * node. Where there is no name (/proc/self/fd, a file that is bind-mounted), the user's error is
 * ESTALE: the owner's node and its lock are for the owner. */
bool own_is_elsewhere(struct tree *tree, const struct node *node, uint32_t uid);

#endif
