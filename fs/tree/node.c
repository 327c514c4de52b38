/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids; see node.h. */
#include "node.h"

#include "core/base/array.h"
#include "core/engine/partition.h"

#define LINK_BIT (UINT64_C(1) << 63)

uint16_t tree_node_hash(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    uint16_t folded = (uint16_t)(hash ^ hash >> 16);
    return folded ? folded : 1;
}

/* Objects of directories whose files, or which themselves, can be a user's own. */
#define OWN_OBJECT_BITS 8

/* A partition has a number of all 40 bits: the own nodes of its files have OWN_FILES and the index
 * here in place of the directory, and the user in place of the file. The order is part of node ids:
 * append only. */
#define OWN_FILES 64
static const char *const own_files[] = {"charge",    "procs",    "name", "fraction",
                                        "remaining", "grace",    "warn", "on_expiry",
                                        "members",   "priority", "share"};

/* Return whether the user is beside the object in its bits. */
static bool has_own(const struct node *node)
{
    return (node->file &&
            (node->dir == DIR_ROOT || node->dir == DIR_DEVICE || node->dir == DIR_CONFIG)) ||
           (node->dir == DIR_PARTITIONS && !node->link);
}

/* Return the index of a file in own_files. */
static unsigned own_file(uint16_t file)
{
    unsigned i = 0;
    while (i < ARRAY_COUNT(own_files) && tree_node_hash(own_files[i]) != file)
        i++;
    return i;
}

bool tree_node_can_be_own(const struct node *node)
{
    return has_own(node) ||
           (node->dir == DIR_PARTITION && own_file(node->file) < ARRAY_COUNT(own_files));
}

/* Above the kind of directory are the bits of a device's number beyond OWN_OBJECT_BITS, and the
 * share of a link. */
#define KIND_BITS 3
_Static_assert(DIR_KINDS <= (1 << KIND_BITS) + DIR_DEVICE && OWN_FILES <= 1 << 6,
               "kinds of directories");
_Static_assert(SHARE_MAX << KIND_BITS <= OWN_FILES, "links of a partition");

static bool is_device(uint64_t dir)
{
    return dir < OWN_FILES && (dir & ((1 << KIND_BITS) - 1)) == DIR_DEVICE;
}

/* Bits: link 1, object 40, dir 7, file 16. The root would be 0 but is 1 in FUSE. */
uint64_t tree_node_id(const struct node *node)
{
    uint64_t object = node->object, dir = node->dir, file = node->file;
    if (node->dir == DIR_PARTITION && node->uid) {
        dir = OWN_FILES + own_file(node->file);
        file = node->uid - 1;
    } else {
        dir |= (uint64_t)node->share << KIND_BITS;
        if (node->dir == DIR_DEVICE) {
            dir |= object >> OWN_OBJECT_BITS << KIND_BITS;
            object &= (1u << OWN_OBJECT_BITS) - 1;
        }
        object |= (uint64_t)node->uid << OWN_OBJECT_BITS;
    }
    uint64_t id = object << 23 | dir << 16 | file;
    return (id ? id : 1) | (node->link ? LINK_BIT : 0);
}

bool tree_node_from_id(uint64_t id, struct node *ret_node)
{
    struct node node = {.link = id & LINK_BIT};
    id &= ~LINK_BIT;
    if (id == 1)
        id = 0;
    unsigned dir = (unsigned)(id >> 16 & 0x7f);
    node.file = (uint16_t)id;
    node.object = id >> 23;
    if (dir >= OWN_FILES && dir - OWN_FILES < ARRAY_COUNT(own_files)) {
        node.uid = node.file + 1U;
        node.file = tree_node_hash(own_files[dir - OWN_FILES]);
        dir = DIR_PARTITION;
    }
    unsigned above = 0;
    if (is_device(dir)) {
        above = dir >> KIND_BITS << OWN_OBJECT_BITS;
        dir = DIR_DEVICE;
    }
    if (node.link) {
        node.share = (uint8_t)(dir >> KIND_BITS);
        dir &= (1 << KIND_BITS) - 1;
    }
    if (dir >= DIR_KINDS || (node.link && dir != DIR_PARTITIONS) || node.share >= SHARE_MAX)
        return false;
    node.dir = (enum dir_kind)dir;
    if (has_own(&node)) {
        node.uid = (uint32_t)(node.object >> OWN_OBJECT_BITS);
        node.object &= (1u << OWN_OBJECT_BITS) - 1;
    }
    node.object += above;
    *ret_node = node;
    return true;
}
