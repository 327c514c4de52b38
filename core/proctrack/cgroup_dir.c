/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and files of the cgroup tree: which are ours, which processes are in them, where to
 * make a new one. Others create and remove cgroups at the same time (systemd when a unit stops), so
 * treat a missing cgroup as empty.
 */
#include "cgroup.h"

#include "core/base/array.h"
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cgroup_dir_open(const struct cgroup *cgroup, const char *path, const char *file, int flags)
{
    char full[PATH_MAX];
    if (snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/", file) >=
        (int)sizeof(full))
        return -ENAMETOOLONG;
    int fd = openat(cgroup->root_fd, full, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cgroup_dir_write(const struct cgroup *cgroup, const char *path, const char *file,
                     const char *text)
{
    int fd = cgroup_dir_open(cgroup, path, file, O_WRONLY);
    if (fd < 0)
        return fd;
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int cgroup_dir_read(const struct cgroup *cgroup, const char *path, const char *file, char *text,
                    size_t size)
{
    char full[PATH_MAX];
    if (snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/", file) >=
        (int)sizeof(full))
        return -ENAMETOOLONG;
    return (int)fd_read_text(cgroup->root_fd, full, text, size);
}

bool cgroup_dir_flag(const struct cgroup *cgroup, const char *path, const char *file,
                     const char *word)
{
    char text[256];
    if (cgroup_dir_read(cgroup, path, file, text, sizeof(text)) < 0)
        return false;
    if (word[0] == '\0')
        return text[0] != '0';
    const char *at = strstr(text, word);
    return at && at[strlen(word) + 1] != '0';
}

/* The part of a hierarchy path below the mount; NULL if it is not below it. */
static const char *below(const char *root, const char *path)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    path += length;
    if (strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0'))
        return NULL; /* outside our cgroup namespace */
    return path[0] == '/' ? path + 1 : path;
}

int cgroup_dir_of(const struct cgroup *cgroup, pid_t pid, char path[static PATH_MAX])
{
    char line[PROCFS_LINE_MAX];
    int r = procfs_cgroup_read(cgroup->proc_fd, pid, line);
    if (r)
        return r;
    const char *found = below(cgroup->root, line);
    return found && snprintf(path, PATH_MAX, "%s", found) < PATH_MAX ? 0 : -EXDEV;
}

static int pid_list_add(struct cgroup_pids *list, pid_t pid)
{
    if (array_reserve(list->pids, list->capacity, list->count + 1))
        return -ENOMEM;
    list->pids[list->count++] = pid;
    return 0;
}

static int compare(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

void cgroup_dir_sort_pids(struct cgroup_pids *list)
{
    size_t kept = 0;
    if (list->count == 0)
        return;
    qsort(list->pids, list->count, sizeof(*list->pids), compare);
    for (size_t i = 1; i < list->count; i++) {
        if (list->pids[i] != list->pids[kept])
            list->pids[++kept] = list->pids[i];
    }
    list->count = kept + 1;
}

/* The kernel omits zombies, and reports 0 for a process that our pid namespace does not show. */
int cgroup_dir_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list)
{
    char line[32];
    int r = 0, fd = cgroup_dir_open(cgroup, path, "cgroup.procs", O_RDONLY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        fd_close(fd);
        return fd == -ENOENT || fd == -ENODEV ? 0 : fd < 0 ? fd : -ENOMEM;
    }
    while (!r && fgets(line, sizeof(line), file)) {
        int pid = atoi(line);
        if (pid > 0)
            r = pid_list_add(list, pid);
    }
    fclose(file);
    return r;
}

/* "chronosfs-INSTANCE-p12" -> 12, otherwise 0. */
static uint64_t id_of_name(const struct cgroup *cgroup, const char *name, size_t length)
{
    size_t prefix = strlen(cgroup->prefix);
    uint64_t id = 0;
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

/* A user with a delegated part of the tree can make a cgroup of any name in it and move processes
 * there. Cgroups that we make belong to us. */
static bool made_by_us(const struct cgroup *cgroup, const char *path, size_t length)
{
    char full[PATH_MAX];
    struct stat info;
    snprintf(full, sizeof(full), "%.*s", (int)length, path);
    return fstatat(cgroup->root_fd, full, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

uint64_t cgroup_dir_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at)
{
    for (size_t at = 0; path[at] != '\0';) {
        size_t length = strcspn(path + at, "/");
        uint64_t id = id_of_name(cgroup, path + at, length);
        if (id != 0 && made_by_us(cgroup, path, at + length)) {
            *ret_at = at == 0 ? 0 : at - 1;
            return id;
        }
        at += length + (path[at + length] == '/');
    }
    return 0;
}

static bool is_roots(const struct stat *info)
{
    return info->st_uid == 0 && !(info->st_mode & S_IWOTH) &&
           (info->st_gid == 0 || !(info->st_mode & S_IWGRP));
}

bool cgroup_dir_is_roots(const struct cgroup *cgroup, const char *path)
{
    struct stat info;
    return fstatat(cgroup->root_fd, path[0] == '\0' ? "." : path, &info, AT_SYMLINK_NOFOLLOW) ==
               0 &&
           is_roots(&info);
}

/* True if only root can move processes into, out of or within the cgroup. */
static bool is_closed(const struct cgroup *cgroup, const char *path)
{
    char procs[PATH_MAX];
    struct stat info;
    return cgroup_dir_is_roots(cgroup, path) &&
           snprintf(procs, sizeof(procs), "%s%scgroup.procs", path, path[0] == '\0' ? "" : "/") <
               (int)sizeof(procs) &&
           fstatat(cgroup->root_fd, procs, &info, AT_SYMLINK_NOFOLLOW) == 0 && is_roots(&info);
}

/* A cgroup below a threaded one cannot contain processes. */
static bool takes_children(const struct cgroup *cgroup, const char *path)
{
    char type[64];
    if (path[0] == '\0')
        return true;
    return cgroup_dir_read(cgroup, path, "cgroup.type", type, sizeof(type)) < 0 ||
           strcmp(type, "domain\n") == 0;
}

static void up(char *path)
{
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
}

/* Moving a process requires write permission in the nearest common ancestor of both places, and
 * none over the process itself. So ask what any user can write, not what the user of the joining
 * process can: it may run under a subordinate uid of the user to whom the directory was given.
 * Above the topmost such directory members cannot leave. Choose the lowest place that is, so that
 * all limits above it still apply. */
void cgroup_dir_climb(const struct cgroup *cgroup, char *path)
{
    char at[PATH_MAX];
    snprintf(at, sizeof(at), "%s", path);
    for (;; up(at)) {
        if (!is_closed(cgroup, at)) {
            strcpy(path, at);
            up(path);
        }
        if (at[0] == '\0')
            break;
    }
    while (!takes_children(cgroup, path))
        up(path);
}

size_t cgroup_dir_leaves(const struct cgroup *cgroup, uint64_t id, size_t *ret_first)
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

static int origin_set(struct cgroup_leaf *leaf, const char *origin)
{
    char *copy = origin ? strdup(origin) : NULL;
    if (origin && !copy)
        return -ENOMEM;
    free(leaf->origin);
    leaf->origin = copy;
    return 0;
}

int cgroup_dir_leaf_add(struct cgroup *cgroup, uint64_t id, const char *path, const char *origin)
{
    size_t first, count = cgroup_dir_leaves(cgroup, id, &first), at = first + count;
    for (size_t i = first; i < at; i++) {
        if (strcmp(cgroup->leaves[i].path, path) == 0)
            return origin_set(&cgroup->leaves[i], origin);
    }
    if (array_reserve(cgroup->leaves, cgroup->leaf_capacity, cgroup->leaf_count + 1))
        return -ENOMEM;
    struct cgroup_leaf *leaf = &cgroup->leaves[at], added = {.id = id, .path = strdup(path)};
    if (!added.path || origin_set(&added, origin)) {
        free(added.path);
        return -ENOMEM;
    }
    memmove(leaf + 1, leaf, (cgroup->leaf_count - at) * sizeof(*leaf));
    *leaf = added;
    cgroup->leaf_count++;
    return 0;
}

void cgroup_dir_leaf_free(struct cgroup_leaf *leaf)
{
    free(leaf->path);
    free(leaf->origin);
}
