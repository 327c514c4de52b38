/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids; see node.h. */
#include "node.h"

#define LINK_BIT (UINT64_C(1) << 63)

uint16_t tree_node_hash(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    uint16_t folded = (uint16_t)(hash ^ hash >> 16);
    return folded ? folded : 1;
}

/* Objects of directories whose files can be a user's own. */
#define OWN_OBJECT_BITS 8

static bool has_own_files(enum dir_kind dir)
{
    return dir == DIR_ROOT || dir == DIR_DEVICE;
}

/* Bits: link 1, object 40, dir 7, file 16. The root would be 0 but is 1 in FUSE. */
uint64_t tree_node_id(const struct node *node)
{
    uint64_t object = node->object | (uint64_t)node->uid << OWN_OBJECT_BITS;
    uint64_t id = object << 23 | (uint64_t)node->dir << 16 | node->file;
    return (id ? id : 1) | (node->link ? LINK_BIT : 0);
}

bool tree_node_from_id(uint64_t id, struct node *ret_node)
{
    struct node node = {.link = id & LINK_BIT};
    id &= ~LINK_BIT;
    if (id == 1)
        id = 0;
    unsigned dir = (unsigned)(id >> 16 & 0x7f);
    if (dir >= DIR_KINDS || (node.link && dir != DIR_PARTITIONS))
        return false;
    node.dir = (enum dir_kind)dir;
    node.file = (uint16_t)id;
    node.object = id >> 23;
    if (node.file && has_own_files(node.dir)) {
        node.uid = (uint32_t)(node.object >> OWN_OBJECT_BITS);
        node.object &= (1u << OWN_OBJECT_BITS) - 1;
    }
    *ret_node = node;
    return true;
}
