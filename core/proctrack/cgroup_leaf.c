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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number without zeros before it; 0: it is none. */
static uint64_t read_id(const char *text, size_t length)
{
    uint64_t id = 0;
    if (length == 0 || length > 20 || text[0] == '0')
        return 0;
    for (size_t i = 0; i < length; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (text[i] < '0' || text[i] > '9' || id > (UINT64_MAX - digit) / 10)
            return 0;
        id = id * 10 + digit;
    }
    return id;
}

/* "chronosfs-INSTANCE-p12", "...-p12+15", or either with a dot and hexadecimal digits behind it. */
uint64_t cgroup_leaf_name(const struct cgroup *cgroup, const char *name, size_t length,
                          struct proctrack_set *ret_set)
{
    struct proctrack_set set = {{0}};
    size_t at = strlen(cgroup->prefix), count = 0;
    const char *dot = length > at ? memchr(name + at, '.', length - at) : NULL;
    if (dot) {
        size_t digits = strspn(dot + 1, "0123456789abcdef");
        if (digits == 0 || digits > 16 || dot + 1 + digits != name + length)
            return 0;
        length = (size_t)(dot - name);
    }
    if (length <= at || strncmp(name, cgroup->prefix, at) != 0)
        return 0;
    for (; at < length && count < PROCTRACK_SET_MAX; at++, count++) {
        const char *plus = memchr(name + at, '+', length - at);
        size_t end = plus ? (size_t)(plus - name) : length;
        set.ids[count] = read_id(name + at, end - at);
        if (set.ids[count] <= (count > 0 ? set.ids[count - 1] : 0) || end + 1 == length)
            return 0;
        at = end;
    }
    if (at < length)
        return 0;
    *ret_set = set;
    return set.ids[0];
}

void cgroup_leaf_name_for(const struct cgroup *cgroup, const struct proctrack_set *set,
                          char name[static CGROUP_NAME_MAX])
{
    int at = snprintf(name, CGROUP_NAME_MAX, "%s", cgroup->prefix);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set->ids[i] != 0; i++)
        at += snprintf(name + at, CGROUP_NAME_MAX - (size_t)at, "%s%llu", i > 0 ? "+" : "",
                       (unsigned long long)set->ids[i]);
}

static struct proctrack_set set_of(const struct cgroup *cgroup, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct proctrack_set set = {{0}};
    cgroup_leaf_name(cgroup, name, strlen(name), &set);
    return set;
}

struct proctrack_set cgroup_leaf_set(const struct cgroup *cgroup, const struct cgroup_leaf *leaf)
{
    return set_of(cgroup, leaf->path);
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

static struct cgroup_leaf *find(const struct cgroup *cgroup, uint64_t id, const char *path,
                                size_t length)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    for (size_t i = 0; i < count; i++) {
        struct cgroup_leaf *leaf = &cgroup->leaves[first + i];
        if (strncmp(leaf->path, path, length) == 0 && leaf->path[length] == '\0')
            return leaf;
    }
    return NULL;
}

struct cgroup_leaf *cgroup_leaf_for(const struct cgroup *cgroup, uint64_t id, const char *path)
{
    return find(cgroup, id, path, strlen(path));
}

struct cgroup_leaf *cgroup_leaf_at(const struct cgroup *cgroup, const char *path)
{
    for (size_t at = 0, length; path[at] != '\0'; at += length + (path[at + length] == '/')) {
        struct proctrack_set set;
        length = strcspn(path + at, "/");
        uint64_t id = cgroup_leaf_name(cgroup, path + at, length, &set);
        struct cgroup_leaf *leaf = id ? find(cgroup, id, path, at + length) : NULL;
        if (leaf)
            return leaf;
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

size_t cgroup_leaf_files(const struct cgroup *cgroup)
{
    return cgroup->leaf_count + cgroup->claim_count * CGROUP_FILES;
}

/* Each leaf keeps a descriptor. Once half of them are in use, an account may have as many leaves as
 * are left for all others. Those found at the start are of several. */
static bool has_room(const struct cgroup *cgroup, uint32_t account)
{
    size_t own = 0, used = cgroup_leaf_files(cgroup);
    if (used < cgroup->leaf_max / 2)
        return true;
    if (account == CGROUP_NO_ACCOUNT)
        return used < cgroup->leaf_max;
    for (size_t i = 0; i < cgroup->leaf_count; i++)
        own += cgroup->leaves[i].account == account;
    return used + own < cgroup->leaf_max;
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

static int add(struct cgroup *cgroup, uint64_t id, uint32_t account, int fd, const char *path,
               const char *origin)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    struct cgroup_leaf *known = cgroup_leaf_for(cgroup, id, path);
    if (known)
        return update(known, account, fd, origin);
    const struct cgroup_leaf added = {.id = id,
                                      .account = account,
                                      .fd = fd,
                                      .path = (char *)path,
                                      .frozen = cgroup_dir_flag(fd, "cgroup.freeze", "") > 0};
    int r = insert(cgroup, first + count, &added, origin);
    if (r)
        fd_close(fd);
    return r;
}

/* Each partition's entry has a descriptor of its own. */
int cgroup_leaf_add(struct cgroup *cgroup, uint32_t account, int fd, const char *path,
                    const char *origin)
{
    const struct proctrack_set set = set_of(cgroup, path);
    int r = 0;
    for (size_t i = 0; !r && i < PROCTRACK_SET_MAX && set.ids[i] != 0; i++) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        r = copy < 0 ? -errno : add(cgroup, set.ids[i], account, copy, path, origin);
    }
    fd_close(fd);
    if (r)
        cgroup_leaf_drop(cgroup, path);
    return r;
}

void cgroup_leaf_free(struct cgroup_leaf *leaf)
{
    fd_close(leaf->fd);
    free(leaf->path);
    free(leaf->origin);
}

static void drop(struct cgroup *cgroup, struct cgroup_leaf *leaf)
{
    size_t at = (size_t)(leaf - cgroup->leaves);
    if (at + 1 < cgroup->leaf_count && leaf[1].id == leaf->id)
        leaf[1].held = leaf[1].held || leaf->held; /* for the first; others have it false */
    cgroup_leaf_free(leaf);
    memmove(leaf, leaf + 1, (cgroup->leaf_count - at - 1) * sizeof(*leaf));
    cgroup->leaf_count--;
}

void cgroup_leaf_drop(struct cgroup *cgroup, const char *path)
{
    const struct proctrack_set set = set_of(cgroup, path);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i] != 0; i++) {
        struct cgroup_leaf *entry = cgroup_leaf_for(cgroup, set.ids[i], path);
        if (entry)
            drop(cgroup, entry);
    }
}

/* -- frozen leaves ------------------------------------------------------------------------ */

bool cgroup_leaf_is_frozen(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++) {
        if (cgroup->leaves[i].frozen)
            return true;
    }
    return false;
}

/* Whether any partition of the leaf wants it frozen. */
static bool is_wanted(const struct cgroup *cgroup, const struct cgroup_leaf *leaf)
{
    const struct proctrack_set set = cgroup_leaf_set(cgroup, leaf);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i] != 0; i++) {
        const struct cgroup_leaf *entry = cgroup_leaf_for(cgroup, set.ids[i], leaf->path);
        if (entry && entry->frozen)
            return true;
    }
    return false;
}

int cgroup_leaf_freeze(struct cgroup *cgroup, uint64_t id, bool frozen)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    int r = 0;
    for (size_t i = first; i < first + count; i++) {
        struct cgroup_leaf *leaf = &cgroup->leaves[i];
        leaf->frozen = frozen;
        int written =
            cgroup_dir_write(leaf->fd, "cgroup.freeze", is_wanted(cgroup, leaf) ? "1" : "0");
        if (written != 0 && written != -ENOENT && written != -ENODEV)
            r = written;
    }
    return r;
}

int cgroup_leaf_keep(struct cgroup *cgroup, uint32_t account, int fd, const char *path)
{
    const struct proctrack_set set = set_of(cgroup, path);
    char origin[PATH_MAX];
    if (fd < 0)
        return -EMFILE; /* it could not be received */
    int r =
        cgroup_leaf_add(cgroup, account, fd, path, cgroup_dir_origin(fd, origin) ? origin : NULL);
    for (size_t i = 0; !r && i < PROCTRACK_SET_MAX && set.ids[i] != 0; i++) {
        if (cgroup_leaf_is_frozen(cgroup, set.ids[i]))
            r = cgroup_leaf_freeze(cgroup, set.ids[i], true);
    }
    return r;
}
