/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is calling. The kernel tells uid, gid and thread; whether a uid 0 is the
 * machine's root, or the root of a container, only its namespaces tell.
 */
#ifndef CHRONOS_TREE_CALLER_H
#define CHRONOS_TREE_CALLER_H

#include "core/engine/engine.h"
#include "names.h"
#include "tree.h"

/* Notes the daemon's own namespaces in the tree. 0 or -errno. */
int caller_init(struct tree *tree);
/* What the engine must know of a caller. Fails closed: whoever cannot be looked
 * at is no administrator. */
void caller_get(struct tree *tree, uint32_t uid, uint32_t gid, int32_t pid,
                struct caller *ret_caller);
/* Whether a thread is in a group, by its own or a supplementary gid. */
bool caller_in_group(int32_t pid, uint32_t gid, uint32_t group);
/* The inode number of the pid namespace a thread is in; 0 when it cannot be seen. */
uint64_t caller_namespace(int32_t pid);
/* The process that a thread, which the kernel tells of, belongs to. */
int32_t caller_process(int32_t tid);
/* Resolves config/admin_group into tree->admin_gid. NAMES_LATER: not yet known. */
enum names_result caller_find_admin_group(struct tree *tree);

#endif
