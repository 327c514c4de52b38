/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of users' own; see own.h. */
#include "own.h"

#include "files.h"

/* How long a writer is remembered. The next look-up of the name follows at once. */
#define WRITER_NS (10 * NS_PER_SECOND)

/* Return the `uid` of nodes of the user's account. A partition's nodes have room for 65,536, so
 * accounts can share one by chance, never with the owner or with root. */
static uint32_t number_of(const struct tree *tree, uint32_t uid)
{
    const uint32_t account = names_account(tree->names, uid);
    return account == 0 ? 1 : 2 + (account - 1) % UINT16_MAX;
}

static bool is_writer(const struct tree *tree, uint64_t node, uint32_t uid)
{
    const struct shared *shared = tree->shared;
    for (uint32_t i = 1; i <= SHARED_WRITERS; i++) {
        const struct shared_writer *writer =
            &shared->writers[(shared->next_writer - i) % SHARED_WRITERS];
        if (!writer->at_ns || writer->at_ns + WRITER_NS < tree->now_ns)
            return false;
        if (writer->node == node && writer->uid == uid)
            return true;
    }
    return false;
}

static void note_writer(const struct tree *tree, uint64_t node, uint32_t uid)
{
    struct shared *shared = tree->shared;
    shared->writers[shared->next_writer % SHARED_WRITERS] =
        (struct shared_writer){.node = node, .uid = uid, .at_ns = tree->now_ns};
    shared->next_writer++;
}

void own_take(struct tree *tree, uint32_t uid, struct node *node)
{
    const struct file_row *row = tree_row(tree, node);
    if (row && row->own)
        node->uid = uid;
    else if (row && row->store && is_writer(tree, tree_node_id(node), uid) &&
             tree_owner(tree, node) != uid) /* it can have become theirs since */
        node->uid = number_of(tree, uid);
    else if (node->dir == DIR_PARTITIONS && !node->link && tree->shared->covered)
        node->uid = uid + 1;
}

bool own_is_elsewhere(struct tree *tree, const struct node *node, uint32_t uid)
{
    const struct file_row *row = tree_row(tree, node);
    if (!row || row->own || !tree_node_can_be_own(node))
        return false;
    uint32_t own = tree_owner(tree, node) == uid ? 0 : number_of(tree, uid);
    if (node->uid == own)
        return false;
    struct node shared = *node;
    shared.uid = 0;
    if (own)
        note_writer(tree, tree_node_id(&shared), uid);
    return true;
}
