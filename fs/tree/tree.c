/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the tree: node ids, looking up, listing. Everything fixed comes from
 * the table; what comes and goes (devices, partitions, users) is asked of the
 * engine. See tree.h.
 */
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_BITS 40
#define LINK_BIT    (UINT64_C(1) << 63)

/* -- node ids --------------------------------------------------------------- */

uint16_t tree_node_hash(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    uint16_t folded = (uint16_t)(hash ^ hash >> 16);
    return folded ? folded : 1;
}

/* link:1 object:40 dir:7 file:16; the root, which would be 0, is FUSE's 1. */
uint64_t tree_node_id(const struct node *node)
{
    uint64_t id = node->object << 23 | (uint64_t)node->dir << 16 | node->file;
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
    *ret_node = node;
    return true;
}

/* -- the table --------------------------------------------------------------- */

static const struct {
    const struct file_row *rows;
    const char *doc;
} kinds[DIR_KINDS] = {
    [DIR_ROOT] = {files_root, "the mount point"},
    [DIR_CONFIG] = {files_config,
                    "the administrator's policy, one value a file, all with mode 0644"},
    [DIR_USERS] = {files_users, "a directory for each user who holds a partition now"},
    [DIR_USER] = {files_user, "what one user holds"},
    [DIR_DEVICE] = {files_device, "a device; its partitions are directories in it"},
    [DIR_PARTITIONS] = {files_partitions, "a link to every partition"},
    [DIR_PARTITION] = {files_partition, "a partition"},
};

const struct file_row *tree_rows(enum dir_kind kind)
{
    return kinds[kind].rows;
}

const char *tree_dir_doc(enum dir_kind kind)
{
    return kinds[kind].doc;
}

const struct file_row *tree_row(const struct node *node)
{
    if (!node->file || node->link)
        return NULL;
    for (const struct file_row *row = kinds[node->dir].rows; row->name; row++)
        if (tree_node_hash(row->name) == node->file)
            return row;
    return NULL;
}

/* -- what is there ------------------------------------------------------------ */

const struct partition *tree_partition(struct tree *tree, const struct node *node)
{
    if (node->dir != DIR_PARTITION && !node->link)
        return NULL;
    return engine_find(tree->engine, node->object);
}

int64_t tree_wall_ns(const struct tree *tree)
{
    return tree->now_ns + tree->offset_ns;
}

uint64_t tree_partition_number(const char *text, size_t length)
{
    uint64_t number = 0;
    if (length < 2 || length > 13 || text[0] != 'p' || text[1] == '0')
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    return number >> OBJECT_BITS ? 0 : number;
}

static bool tree_user_exists(struct tree *tree, uint64_t uid)
{
    uint32_t found;
    return engine_next_user(tree->engine, uid, &found) && found == uid;
}

bool tree_alive(struct tree *tree, const struct node *node)
{
    if (node->file && !tree_row(node))
        return false;
    switch (node->dir) {
    case DIR_PARTITION:
        return tree_partition(tree, node) != NULL;
    case DIR_PARTITIONS:
        return !node->link || tree_partition(tree, node);
    case DIR_DEVICE:
        return node->object < tree->device_count;
    case DIR_USER:
        return tree_user_exists(tree, node->object);
    default:
        return node->object == 0;
    }
}

static bool lookup_device(struct tree *tree, const char *name, struct node *ret_child)
{
    if (strncmp(name, "gpu", 3) != 0 || name[3] < '0' || name[3] > '9' ||
        (name[3] == '0' && name[4]))
        return false;
    char *end;
    unsigned long index = strtoul(name + 3, &end, 10);
    if (*end || index >= tree->device_count)
        return false;
    *ret_child = (struct node){.dir = DIR_DEVICE, .object = index};
    return true;
}

static bool lookup_partition(struct tree *tree, const struct node *dir, const char *name,
                             struct node *ret_child)
{
    uint64_t id = tree_partition_number(name, strlen(name));
    const struct partition *partition = id ? engine_find(tree->engine, id) : NULL;
    if (!partition)
        return false;
    if (dir->dir == DIR_DEVICE && partition->device != dir->object)
        return false;
    *ret_child = dir->dir == DIR_DEVICE
                     ? (struct node){.dir = DIR_PARTITION, .object = id}
                     : (struct node){.dir = DIR_PARTITIONS, .object = id, .link = true};
    return true;
}

/* Names are looked up for users who hold something, and for nobody else: whoever
 * tries names must not make work, or fill what is remembered. */
static bool lookup_user(struct tree *tree, const char *name, struct node *ret_child)
{
    uint32_t uid;
    if (*name >= '0' && *name <= '9') {
        char *end;
        unsigned long number = strtoul(name, &end, 10);
        if (*end || number >= UINT32_MAX || !tree_user_exists(tree, number) ||
            strcmp(names_user(tree->names, (uint32_t)number), name) != 0)
            return false;
        uid = (uint32_t)number;
    } else if (!names_shown_user(tree->names, name, &uid) || !tree_user_exists(tree, uid)) {
        return false;
    }
    *ret_child = (struct node){.dir = DIR_USER, .object = uid};
    return true;
}

/* The directories of the root that are always there. */
static const struct {
    const char *name;
    enum dir_kind kind;
} root_dirs[] = {{"config", DIR_CONFIG}, {"users", DIR_USERS}, {"partitions", DIR_PARTITIONS}};
#define ROOT_DIRS (sizeof(root_dirs) / sizeof(root_dirs[0]))

static bool lookup_root_dir(const char *name, struct node *ret_child)
{
    for (size_t i = 0; i < ROOT_DIRS; i++)
        if (!strcmp(root_dirs[i].name, name)) {
            *ret_child = (struct node){.dir = root_dirs[i].kind};
            return true;
        }
    return false;
}

bool tree_lookup(struct tree *tree, const struct node *dir, const char *name,
                 struct node *ret_child)
{
    if (!tree_alive(tree, dir) || dir->file || dir->link)
        return false;
    for (const struct file_row *row = tree_rows(dir->dir); row->name; row++)
        if (!strcmp(row->name, name)) {
            *ret_child =
                (struct node){.dir = dir->dir, .object = dir->object, .file = tree_node_hash(name)};
            return true;
        }
    switch (dir->dir) {
    case DIR_ROOT:
        return lookup_root_dir(name, ret_child) || lookup_device(tree, name, ret_child);
    case DIR_USERS:
        return lookup_user(tree, name, ret_child);
    case DIR_DEVICE:
    case DIR_PARTITIONS:
        return lookup_partition(tree, dir, name, ret_child);
    default:
        return false;
    }
}

/* -- listing -------------------------------------------------------------------- */

/* Cookies: n+1 after the n-th fixed entry; then this plus the key of the child. */
#define COOKIE_CHILDREN (UINT64_C(1) << 32)

static bool next_partition(struct tree *tree, const struct node *dir, uint64_t after, char *name,
                           size_t size, struct node *ret_child, uint64_t *ret_cookie)
{
    const struct partition *partition =
        dir->dir == DIR_DEVICE ? engine_next_on_device(tree->engine, (uint32_t)dir->object, after)
                               : engine_next(tree->engine, after);
    if (!partition)
        return false;
    snprintf(name, size, "p%llu", (unsigned long long)partition->id);
    *ret_child = dir->dir == DIR_DEVICE
                     ? (struct node){.dir = DIR_PARTITION, .object = partition->id}
                     : (struct node){.dir = DIR_PARTITIONS, .object = partition->id, .link = true};
    *ret_cookie = COOKIE_CHILDREN + partition->id;
    return true;
}

static bool next_user(struct tree *tree, uint64_t from, char *name, size_t size,
                      struct node *ret_child, uint64_t *ret_cookie)
{
    uint32_t uid;
    if (!engine_next_user(tree->engine, from, &uid))
        return false;
    snprintf(name, size, "%s", names_user(tree->names, uid));
    *ret_child = (struct node){.dir = DIR_USER, .object = uid};
    *ret_cookie = COOKIE_CHILDREN + (uint64_t)uid + 1;
    return true;
}

static bool next_in_root(struct tree *tree, uint64_t index, char *name, size_t size,
                         struct node *ret_child, uint64_t *ret_cookie)
{
    if (index < ROOT_DIRS) {
        snprintf(name, size, "%s", root_dirs[index].name);
        *ret_child = (struct node){.dir = root_dirs[index].kind};
    } else if (index - ROOT_DIRS < tree->device_count) {
        snprintf(name, size, "gpu%llu", (unsigned long long)(index - ROOT_DIRS));
        *ret_child = (struct node){.dir = DIR_DEVICE, .object = index - ROOT_DIRS};
    } else {
        return false;
    }
    *ret_cookie = COOKIE_CHILDREN + index + 1;
    return true;
}

bool tree_next_child(struct tree *tree, const struct node *dir, uint64_t cookie, char *name,
                     size_t size, struct node *ret_child, uint64_t *ret_cookie)
{
    const struct file_row *rows = tree_rows(dir->dir);
    if (cookie < COOKIE_CHILDREN) {
        uint64_t count = 0;
        while (rows[count].name)
            count++;
        if (cookie < count) {
            const char *file = rows[cookie].name;
            snprintf(name, size, "%s", file);
            *ret_child =
                (struct node){.dir = dir->dir, .object = dir->object, .file = tree_node_hash(file)};
            *ret_cookie = cookie + 1;
            return true;
        }
        cookie = COOKIE_CHILDREN;
    }
    uint64_t key = cookie - COOKIE_CHILDREN;
    switch (dir->dir) {
    case DIR_ROOT:
        return next_in_root(tree, key, name, size, ret_child, ret_cookie);
    case DIR_USERS:
        return next_user(tree, key, name, size, ret_child, ret_cookie);
    case DIR_DEVICE:
    case DIR_PARTITIONS:
        return next_partition(tree, dir, key, name, size, ret_child, ret_cookie);
    default:
        return false;
    }
}

struct node tree_parent(struct tree *tree, const struct node *dir)
{
    struct node parent = {.dir = DIR_ROOT};
    const struct partition *partition;
    if (dir->dir == DIR_USER) {
        parent.dir = DIR_USERS;
    } else if (dir->dir == DIR_PARTITION && (partition = tree_partition(tree, dir))) {
        parent.dir = DIR_DEVICE;
        parent.object = partition->device;
    }
    return parent;
}

void tree_link_target(const struct partition *partition, char *text, size_t size)
{
    snprintf(text, size, "../gpu%u/p%llu", (unsigned)partition->device,
             (unsigned long long)partition->id);
}

int tree_name_later(struct refusal *why, const char *what, const char *name)
{
    snprintf(why->message, sizeof(why->message),
             "The %s \"%.64s\" is still being looked up; write it again in a moment", what, name);
    return -EAGAIN;
}

enum names_result tree_find_admin_group(struct tree *tree)
{
    const char *group = engine_policy(tree->engine)->admin_group;
    uint32_t gid = 0;
    enum names_result result = *group ? names_find_group(tree->names, group, &gid) : NAMES_UNKNOWN;
    /* While it is looked up again what was known holds, also for the next worker. */
    if (result != NAMES_LATER)
        tree->shared->group_gid = result == NAMES_FOUND ? gid + 1 : 0;
    tree->admin_gid = tree->shared->group_gid - 1; /* none: UINT32_MAX */
    return result;
}
