/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identify callers. The kernel reports uid, gid and thread id; only the namespaces of a caller with
 * uid 0 tell whether it is the root of the machine or of a container.
 */
#ifndef CHRONOS_TREE_CALLER_H
#define CHRONOS_TREE_CALLER_H

#include "core/engine/engine.h"
#include "names.h"
#include "tree.h"

/* Record the daemon's own namespaces in the tree. 0 or -errno. */
int caller_init(struct tree *tree);
/* Collect what the engine needs to know about a caller. Fails closed: a caller whose namespaces
 * cannot be read is not an administrator. */
void caller_get(struct tree *tree, uint32_t uid, uint32_t gid, int32_t pid,
                struct caller *ret_caller);
/* Return whether a thread has a group as its gid or, in the daemon's user namespace, as a
 * supplementary one. In a user namespace of theirs users can have 65,536 groups, and the kernel
 * takes tens of milliseconds to say which. */
bool caller_in_group(const struct tree *tree, int32_t pid, uint32_t gid, uint32_t group);

/* The groups of a thread during one request, for several questions: read when the first one needs
 * them. */
struct caller_groups {
    int32_t pid; /* set by the user of this, as is gid; all else is zero */
    uint32_t gid;
    bool read;
    uint32_t *groups; /* supplementary ones */
    size_t count;
};
bool caller_groups_have(const struct tree *tree, struct caller_groups *groups, uint32_t group);
void caller_groups_release(struct caller_groups *groups);
/* Return the inode number of a thread's pid namespace; 0 on failure. */
uint64_t caller_namespace(int32_t pid);
/* Return the process of a thread; the thread id itself on failure. */
int32_t caller_process(int32_t tid);
/* Resolve config/admin_group into tree->admin_gid. NAMES_LATER: not known yet. */
enum names_result caller_find_admin_group(struct tree *tree);

#endif
