/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves that we made, or found at the start. Their paths are compared, never looked up: a path
 * leads through directories that users can hold. A user who makes a cgroup with a name of ours, in
 * a part of the tree that is theirs, makes no leaf.
 */
#include "cgroup.h"

#include "core/base/array.h"
#include "core/base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "chronosfs-INSTANCE-p12", or ending in a dot and hexadecimal digits -> 12. */
uint64_t cgroup_leaf_name(const struct cgroup *cgroup, const char *name, size_t length)
{
    size_t prefix = strlen(cgroup->prefix);
    uint64_t id = 0;
    const char *dot = length > prefix ? memchr(name + prefix, '.', length - prefix) : NULL;
    if (dot) {
        size_t digits = strspn(dot + 1, "0123456789abcdef");
        if (digits == 0 || digits > 16 || dot + 1 + digits != name + length)
            return 0;
        length = (size_t)(dot - name);
    }
    if (length <= prefix || length > prefix + 20 || strncmp(name, cgroup->prefix, prefix) != 0 ||
        name[prefix] == '0')
        return 0;
    for (size_t i = prefix; i < length; i++) {
        uint64_t digit = (uint64_t)(name[i] - '0');
        if (name[i] < '0' || name[i] > '9' || id > (UINT64_MAX - digit) / 10)
            return 0;
        id = id * 10 + digit;
    }
    return id;
}

size_t cgroup_leaf_of(const struct cgroup *cgroup, uint64_t id, size_t *ret_first)
{
    size_t first = 0, end = cgroup->leaf_count, count = 0;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (cgroup->leaves[middle].id < id)
            first = middle + 1;
        else
            end = middle;
    }
    while (first + count < cgroup->leaf_count && cgroup->leaves[first + count].id == id)
        count++;
    *ret_first = first;
    return count;
}

struct cgroup_leaf *cgroup_leaf_at(const struct cgroup *cgroup, const char *path)
{
    for (size_t at = 0, length; path[at] != '\0'; at += length + (path[at + length] == '/')) {
        length = strcspn(path + at, "/");
        uint64_t id = cgroup_leaf_name(cgroup, path + at, length);
        size_t first, count = id ? cgroup_leaf_of(cgroup, id, &first) : 0;
        for (size_t i = 0; i < count; i++) {
            struct cgroup_leaf *leaf = &cgroup->leaves[first + i];
            if (strncmp(leaf->path, path, at + length) == 0 && leaf->path[at + length] == '\0')
                return leaf;
        }
    }
    return NULL;
}

static int origin_set(struct cgroup_leaf *leaf, const char *origin)
{
    char *copy = origin ? strdup(origin) : NULL;
    if (origin && !copy)
        return -ENOMEM;
    free(leaf->origin);
    leaf->origin = copy;
    return 0;
}

/* Each leaf keeps a descriptor. Once half of them are in use, an account may have as many leaves as
 * are left for all others. Those found at the start are of several. */
static bool has_room(const struct cgroup *cgroup, uint32_t account)
{
    size_t own = 0;
    if (cgroup->leaf_count < cgroup->leaf_max / 2)
        return true;
    if (account == CGROUP_NO_ACCOUNT)
        return cgroup->leaf_count < cgroup->leaf_max;
    for (size_t i = 0; i < cgroup->leaf_count; i++)
        own += cgroup->leaves[i].account == account;
    return cgroup->leaf_count + own < cgroup->leaf_max;
}

static int update(struct cgroup_leaf *leaf, uint32_t account, int fd, const char *origin)
{
    fd_close(leaf->fd);
    leaf->fd = fd;
    leaf->account = account;
    return origin_set(leaf, origin);
}

static int insert(struct cgroup *cgroup, size_t at, const struct cgroup_leaf *known,
                  const char *origin)
{
    struct cgroup_leaf added = *known;
    if (!has_room(cgroup, known->account))
        return -EMFILE;
    if (array_reserve(cgroup->leaves, cgroup->leaf_capacity, cgroup->leaf_count + 1))
        return -ENOMEM;
    added.path = strdup(known->path);
    if (!added.path || origin_set(&added, origin)) {
        free(added.path);
        return -ENOMEM;
    }
    struct cgroup_leaf *leaf = &cgroup->leaves[at];
    memmove(leaf + 1, leaf, (cgroup->leaf_count - at) * sizeof(*leaf));
    *leaf = added;
    cgroup->leaf_count++;
    return 0;
}

int cgroup_leaf_add(struct cgroup *cgroup, uint64_t id, uint32_t account, int fd, const char *path,
                    const char *origin)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first), at = first + count;
    for (size_t i = first; i < at; i++) {
        if (strcmp(cgroup->leaves[i].path, path) == 0)
            return update(&cgroup->leaves[i], account, fd, origin);
    }
    const struct cgroup_leaf added = {.id = id, .account = account, .fd = fd, .path = (char *)path};
    int r = insert(cgroup, at, &added, origin);
    if (r)
        fd_close(fd);
    return r;
}

bool cgroup_leaf_is_frozen(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_dir_flag(cgroup->leaves[i].fd, "cgroup.freeze", "") > 0)
            return true;
    }
    return false;
}

int cgroup_leaf_keep(struct cgroup *cgroup, uint64_t id, uint32_t account, int fd, const char *path)
{
    char origin[PATH_MAX];
    if (fd < 0)
        return -EMFILE; /* it could not be received */
    bool frozen = cgroup_leaf_is_frozen(cgroup, id);
    int r = cgroup_leaf_add(cgroup, id, account, fd, path,
                            cgroup_dir_origin(fd, origin) ? origin : NULL);
    return !r && frozen ? cgroup_dir_write(fd, "cgroup.freeze", "1") : r;
}

void cgroup_leaf_free(struct cgroup_leaf *leaf)
{
    fd_close(leaf->fd);
    free(leaf->path);
    free(leaf->origin);
}

void cgroup_leaf_drop(struct cgroup *cgroup, struct cgroup_leaf *leaf)
{
    size_t at = (size_t)(leaf - cgroup->leaves);
    if (at + 1 < cgroup->leaf_count && leaf[1].id == leaf->id)
        leaf[1].held = leaf[1].held || leaf->held; /* for the first; others have it false */
    cgroup_leaf_free(leaf);
    memmove(leaf, leaf + 1, (cgroup->leaf_count - at - 1) * sizeof(*leaf));
    cgroup->leaf_count--;
}
