/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups below others, without recursion: users to whom part of the tree was given choose its
 * depth and size. Leaves are never in such a part (cgroup_place_make), so the search for them does
 * not enter it. Inside a leaf there can be one: a container that root started there. Only for a
 * child, as cgroup_place.c.
 */
#include "cgroup.h"

#include "core/base/array.h"
#include "core/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* At most this many cgroups wait for their visit; further ones are left out. */
#define PENDING_MAX 65536
/* At most this many steps up, down and removals in one call. */
#define REMOVE_MAX 4096

struct pending {
    char **paths;
    size_t count, capacity;
};

static int push(struct pending *pending, const char *path)
{
    if (pending->count == PENDING_MAX)
        return -E2BIG;
    char *copy = array_reserve(pending->paths, pending->capacity, pending->count + 1) == 0
                     ? strdup(path)
                     : NULL;
    if (!copy)
        return -ENOMEM;
    pending->paths[pending->count++] = copy;
    return 0;
}

/* The next directory in `directory`, or NULL. */
static const char *next_name(DIR *directory)
{
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    }
    return NULL;
}

static DIR *directory_open(int fd, int *ret_error)
{
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    *ret_error = directory ? 0 : fd < 0 ? fd : -errno;
    if (!directory)
        fd_close(fd);
    return directory;
}

/* Paths longer than PATH_MAX are skipped: ours are shorter. */
static int push_below(const struct cgroup *cgroup, const char *path, struct pending *pending)
{
    char full[PATH_MAX];
    int r = steps_before(&cgroup->steps, "search");
    if (r)
        return r;
    int fd =
        openat(cgroup->root_fd, path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = directory_open(fd < 0 ? -errno : fd, &r);
    if (!directory)
        return r == -ENOENT || r == -ENODEV || r == -ENAMETOOLONG ? 0 : r;
    for (const char *name; !r && (name = next_name(directory));) {
        if (snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/", name) <
            (int)sizeof(full))
            r = push(pending, full);
    }
    closedir(directory);
    return r;
}

int cgroup_walk(const struct cgroup *cgroup, const char *path, cgroup_visit_fn *visit,
                void *context)
{
    struct pending pending = {.paths = NULL};
    int r = push(&pending, path);
    while (pending.count > 0) {
        char *at = pending.paths[--pending.count];
        int here = visit(cgroup, at, context);
        if (here > 0)
            here = push_below(cgroup, at, &pending);
        free(at);
        if (!r)
            r = here;
    }
    free(pending.paths);
    return r;
}

/* Remove what can be removed directly below `at`. Return 0 if nothing is left, 1 with the name of a
 * cgroup that has others in it (or a process), or -errno. */
static int remove_below(int at, int *steps, char name[static NAME_MAX + 1])
{
    int r;
    DIR *directory = directory_open(openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &r);
    if (!directory)
        return r;
    for (const char *found; !r && (found = next_name(directory));) {
        if (--*steps > 0 && unlinkat(at, found, AT_REMOVEDIR) == 0)
            continue;
        r = errno == ENOENT && *steps > 0 ? 0 : 1;
        snprintf(name, NAME_MAX + 1, "%s", found);
    }
    closedir(directory);
    return r;
}

/* Go down to what is empty, and up again. `depth` never leaves the cgroup at which it began. */
static int empty_out(int at, int *ret_at)
{
    char name[NAME_MAX + 1];
    int steps = REMOVE_MAX, depth = 0, r = 0;
    while (r >= 0 && steps-- > 0) {
        r = remove_below(at, &steps, name);
        if (!r && depth == 0)
            break;
        depth += r > 0 ? 1 : -1;
        int next = r < 0 ? -1 : openat(at, r > 0 ? name : "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (next < 0) {
            r = r < 0 ? r : -errno;
            break;
        }
        close(at);
        at = next;
    }
    *ret_at = at;
    return r < 0 && r != -ENOENT && r != -ENODEV ? r : depth > 0 || steps <= 0 ? -EBUSY : 0;
}

int cgroup_walk_remove(const struct cgroup *cgroup, const char *path)
{
    steps_before(&cgroup->steps, "remove");
    if (unlinkat(cgroup->root_fd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    int at = cgroup_place_open(cgroup, path);
    if (at < 0)
        return at;
    int r = empty_out(at, &at);
    close(at);
    if (!r && unlinkat(cgroup->root_fd, path, AT_REMOVEDIR) != 0 && errno != ENOENT)
        r = -errno;
    return r;
}
