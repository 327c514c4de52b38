/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and files of the cgroup tree: which are ours, which processes are in them, where to
 * make a new one. Others create and remove cgroups at the same time (systemd when a unit stops), so
 * treat a missing cgroup as empty.
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
#include <sys/stat.h>
#include <unistd.h>

static int file_open(const struct cgroup *cgroup, const char *path, const char *file, int flags)
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
    int fd = file_open(cgroup, path, file, O_WRONLY);
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

/* List the processes of one cgroup. The kernel omits zombies, and reports 0 for a process that our
 * pid namespace does not show. */
static int list_one(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list)
{
    char line[32];
    int r = 0, fd = file_open(cgroup, path, "cgroup.procs", O_RDONLY);
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

/* Call fn for each cgroup directly below `path`. A user with a delegated part of the tree can make
 * paths longer than PATH_MAX: skip them, ours are shorter. */
static int each_below(const struct cgroup *cgroup, const char *path,
                      int (*fn)(const struct cgroup *cgroup, const char *path, void *context),
                      void *context)
{
    char full[PATH_MAX];
    int r = 0, fd = file_open(cgroup, path, ".", O_RDONLY | O_DIRECTORY);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        fd_close(fd);
        return fd == -ENOENT || fd == -ENODEV || fd == -ENAMETOOLONG ? 0 : fd < 0 ? fd : -ENOMEM;
    }
    for (struct dirent *entry; !r && (entry = readdir(directory));) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/",
                     entry->d_name) < (int)sizeof(full))
            r = fn(cgroup, full, context);
    }
    closedir(directory);
    return r;
}

static int list_below(const struct cgroup *cgroup, const char *path, void *context)
{
    int r = list_one(cgroup, path, context);
    return r ? r : each_below(cgroup, path, list_below, context);
}

int cgroup_dir_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list)
{
    return list_below(cgroup, path, list);
}

static int remove_below(const struct cgroup *cgroup, const char *path, void *context)
{
    int r = each_below(cgroup, path, remove_below, context);
    if (!r && unlinkat(cgroup->root_fd, path, AT_REMOVEDIR) != 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int cgroup_dir_remove(const struct cgroup *cgroup, const char *path)
{
    return remove_below(cgroup, path, NULL);
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

static bool in_group(const struct procfs_ids *ids, gid_t gid)
{
    for (size_t i = 0; i < 4; i++) {
        if (ids->gids[i] == gid)
            return true;
    }
    for (size_t i = 0; i < ids->group_count; i++) {
        if (ids->groups[i] == gid)
            return true;
    }
    return false;
}

/* True if the user could move processes into and out of the cgroup. Root can do so anywhere, so for
 * root check whether any other user could. */
static bool user_writes(const struct cgroup *cgroup, const struct procfs_ids *ids, const char *path)
{
    char full[PATH_MAX];
    struct stat info;
    bool is_root = false, is_owner = false;
    if (snprintf(full, sizeof(full), "%s%scgroup.procs", path, path[0] == '\0' ? "" : "/") >=
            (int)sizeof(full) ||
        fstatat(cgroup->root_fd, full, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    for (size_t i = 0; i < 4; i++) {
        is_root = is_root || ids->uids[i] == 0;
        is_owner = is_owner || ids->uids[i] == info.st_uid;
    }
    if (is_root) /* an owner can grant itself write permission */
        return info.st_uid != 0 || (info.st_gid != 0 && (info.st_mode & S_IWGRP)) ||
               (info.st_mode & S_IWOTH);
    return is_owner || ((info.st_mode & S_IWGRP) && in_group(ids, info.st_gid)) ||
           (info.st_mode & S_IWOTH);
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

/* Moving a process requires write permission in the nearest common ancestor of both places. So
 * members cannot leave a leaf made above the topmost directory that their user can write. Choose
 * the lowest such directory, so that all limits above it still apply. */
void cgroup_dir_climb(const struct cgroup *cgroup, const struct procfs_ids *ids, char *path)
{
    char at[PATH_MAX];
    snprintf(at, sizeof(at), "%s", path);
    for (;; up(at)) {
        if (user_writes(cgroup, ids, at)) {
            strcpy(path, at);
            up(path);
        }
        if (at[0] == '\0')
            break;
    }
    while (!takes_children(cgroup, path))
        up(path);
}

int cgroup_dir_leaf_add(struct cgroup *cgroup, uint64_t id, const char *path)
{
    size_t at = 0;
    while (at < cgroup->leaf_count && cgroup->leaves[at].id <= id) {
        if (strcmp(cgroup->leaves[at].path, path) == 0)
            return 0;
        at++;
    }
    if (array_reserve(cgroup->leaves, cgroup->leaf_capacity, cgroup->leaf_count + 1))
        return -ENOMEM;
    struct cgroup_leaf *leaf = &cgroup->leaves[at];
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    memmove(leaf + 1, leaf, (cgroup->leaf_count - at) * sizeof(*leaf));
    *leaf = (struct cgroup_leaf){.id = id, .path = copy};
    cgroup->leaf_count++;
    return 0;
}

static int walk_below(const struct cgroup *cgroup, const char *path, void *context)
{
    size_t at;
    uint64_t id = cgroup_dir_ours(cgroup, path, &at);
    if (id != 0)
        return cgroup_dir_leaf_add(context, id, path);
    return each_below(cgroup, path, walk_below, context);
}

int cgroup_dir_walk(struct cgroup *cgroup)
{
    return each_below(cgroup, "", walk_below, cgroup);
}
