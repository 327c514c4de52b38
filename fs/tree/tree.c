/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walk the tree: lookup and listing. Fixed entries come from the table; dynamic ones (devices,
 * partitions, users) from the engine. See tree.h.
 */
#include "core/engine/accounts.h"
#include "files.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TREE_DEVICE_MAX <= NODE_DEVICES, "each device has node ids");

/* -- the table --------------------------------------------------------------- */

void tree_init(struct tree *tree, const struct directory table[DIR_KINDS])
{
    *tree = (struct tree){.table = table, .admin_gid = UINT32_MAX};
    tree->events.every_number = true;
    for (int kind = 0; kind < DIR_KINDS; kind++)
        for (size_t i = 0; table[kind].rows[i].name; i++) {
            assert(i < TREE_FILES_MAX);
            tree->hashes[kind][i] = tree_node_hash(table[kind].rows[i].name);
        }
}

const struct file_row *tree_row(const struct tree *tree, const struct node *node)
{
    if (!node->file || node->link)
        return NULL;
    const uint16_t *hashes = tree->hashes[node->dir];
    for (size_t i = 0; i < TREE_FILES_MAX && hashes[i]; i++)
        if (hashes[i] == node->file)
            return &tree->table[node->dir].rows[i];
    return NULL;
}

/* -- nodes ------------------------------------------------------------------- */

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

int64_t tree_shown_ns(const struct tree *tree, int64_t at_ns)
{
    return at_ns + tree->offset_ns + NS_PER_MS / 2;
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
    return number >> NODE_OBJECT_BITS ? 0 : number;
}

bool tree_alive(struct tree *tree, const struct node *node)
{
    if (node->file && !tree_row(tree, node))
        return false;
    switch (node->dir) {
    case DIR_PARTITION:
        return tree_partition(tree, node);
    case DIR_PARTITIONS:
        return !node->link || tree_partition(tree, node);
    case DIR_DEVICE:
        return node->object < tree->device_count;
    case DIR_USER:
    case DIR_GROUP:
        return node->object < UINT32_MAX;
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

/* The node of a partition in a directory: on its first device its own, elsewhere a link to that. */
static struct node node_in(const struct partition *partition, const struct node *dir)
{
    struct node link = {.dir = DIR_PARTITIONS, .object = partition->id, .link = true};
    if (dir->dir == DIR_PARTITIONS)
        return link;
    while (partition->shares[link.share].device != dir->object)
        link.share++;
    return link.share ? link : (struct node){.dir = DIR_PARTITION, .object = partition->id};
}

bool tree_partition_is_on(const struct partition *partition, uint64_t device)
{
    for (uint32_t i = 0; i < partition->share_count; i++)
        if (partition->shares[i].device == device)
            return true;
    return false;
}

static bool lookup_partition(struct tree *tree, const struct node *dir, const char *name,
                             struct node *ret_child)
{
    uint64_t id = tree_partition_number(name, strlen(name));
    const struct partition *partition = id ? engine_find(tree->engine, id) : NULL;
    if (!partition || (dir->dir == DIR_DEVICE && !tree_partition_is_on(partition, dir->object)))
        return false;
    *ret_child = node_in(partition, dir);
    return true;
}

/* Resolve only names that are known: guessing names must not cause lookups or fill the cache. */
static bool lookup_user(struct tree *tree, const char *name, struct node *ret_child)
{
    uint32_t uid;
    if (!names_shown_user(tree->names, name, &uid))
        return false;
    *ret_child = (struct node){.dir = DIR_USER, .object = uid};
    return true;
}

static bool lookup_group(struct tree *tree, const char *name, struct node *ret_child)
{
    uint32_t gid;
    if (!names_shown_group(tree->names, name, &gid))
        return false;
    *ret_child = (struct node){.dir = DIR_GROUP, .object = gid};
    return true;
}

/* The fixed directories of the root. */
static const struct {
    const char *name;
    enum dir_kind kind;
} root_dirs[] = {{"config", DIR_CONFIG},
                 {"users", DIR_USERS},
                 {"groups", DIR_GROUPS},
                 {"partitions", DIR_PARTITIONS}};
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
    for (const struct file_row *row = tree->table[dir->dir].rows; row->name; row++)
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
    case DIR_GROUPS:
        return lookup_group(tree, name, ret_child);
    case DIR_DEVICE:
    case DIR_PARTITIONS:
        return lookup_partition(tree, dir, name, ret_child);
    default:
        return false;
    }
}

/* -- listing -------------------------------------------------------------------- */

/* Cookies: n + 1 after the n-th fixed entry; then COOKIE_CHILDREN plus the key of the child. */
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
    *ret_child = node_in(partition, dir);
    *ret_cookie = COOKIE_CHILDREN + partition->id;
    return true;
}

static bool next_user(struct tree *tree, uint64_t from, char *name, size_t size,
                      struct node *ret_child, uint64_t *ret_cookie)
{
    uint32_t uid = UINT32_MAX, other;
    if (from >= UINT32_MAX)
        return false;
    engine_next_user(tree->engine, from, &uid);
    if (engine_next_quota(tree->engine, HOLDER_USER, from, &other) && other < uid)
        uid = other;
    if (uid == UINT32_MAX)
        return false;
    snprintf(name, size, "%s", names_user(tree->names, uid));
    *ret_child = (struct node){.dir = DIR_USER, .object = uid};
    *ret_cookie = COOKIE_CHILDREN + (uint64_t)uid + 1;
    return true;
}

static bool next_group(struct tree *tree, uint64_t from, char *name, size_t size,
                       struct node *ret_child, uint64_t *ret_cookie)
{
    uint32_t gid;
    if (!engine_next_quota(tree->engine, HOLDER_GROUP, from, &gid))
        return false;
    snprintf(name, size, "%s", names_group(tree->names, gid));
    *ret_child = (struct node){.dir = DIR_GROUP, .object = gid};
    *ret_cookie = COOKIE_CHILDREN + (uint64_t)gid + 1;
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
    const struct file_row *rows = tree->table[dir->dir].rows;
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
    case DIR_GROUPS:
        return next_group(tree, key, name, size, ret_child, ret_cookie);
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
    } else if (dir->dir == DIR_GROUP) {
        parent.dir = DIR_GROUPS;
    } else if (dir->dir == DIR_PARTITION && (partition = tree_partition(tree, dir))) {
        parent.dir = DIR_DEVICE;
        parent.object = partition->shares[0].device;
    }
    return parent;
}

void tree_link_target(const struct partition *partition, char *text, size_t size)
{
    snprintf(text, size, "../gpu%u/p%llu", (unsigned)partition->shares[0].device,
             (unsigned long long)partition->id);
}
