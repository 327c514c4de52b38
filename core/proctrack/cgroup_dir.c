/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the cgroup tree, and which processes are where. Others create and remove cgroups at the
 * same time (systemd when a unit stops), so treat a missing cgroup as empty.
 *
 * The host thread takes no path below a directory that a user can hold (cgroup_change.c): it opens
 * files in a leaf by the leaf's descriptor, and asks /proc for what is below a leaf.
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
#include <sys/xattr.h>
#include <unistd.h>

int cgroup_dir_write(int dir, const char *file, const char *text)
{
    int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int cgroup_dir_read(int dir, const char *file, char *text, size_t size)
{
    return (int)fd_read_text(dir, file, text, size);
}

int cgroup_dir_flag(int dir, const char *file, const char *word)
{
    char text[256];
    int r = cgroup_dir_read(dir, file, text, sizeof(text));
    if (r < 0)
        return r;
    if (word[0] == '\0')
        return text[0] != '0';
    const char *at = strstr(text, word);
    return at && at[strlen(word) + 1] != '0';
}

bool cgroup_dir_is_below(const char *path, const char *top)
{
    size_t length = strlen(top);
    return strncmp(path, top, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool cgroup_dir_is_roots(const struct stat *info)
{
    return info->st_uid == 0 && !(info->st_mode & S_IWOTH) &&
           (info->st_gid == 0 || !(info->st_mode & S_IWGRP));
}

#define ORIGIN "user.chronosfs.origin"

static int open_leaf(int dir)
{
    return openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool cgroup_dir_origin(int dir, char origin[static PATH_MAX])
{
    int fd = open_leaf(dir);
    ssize_t length = fd < 0 ? -1 : fgetxattr(fd, ORIGIN, origin, PATH_MAX - 1);
    fd_close(fd);
    if (length > 0) /* "/" is before each, because a value cannot be empty everywhere */
        memmove(origin, origin + 1, (size_t)length - 1);
    origin[length > 0 ? length - 1 : 0] = '\0';
    return length > 0;
}

void cgroup_dir_origin_set(int dir, const char *origin)
{
    char value[PATH_MAX + 1];
    if (cgroup_dir_origin(dir, value) || cgroup_dir_flag(dir, "cgroup.events", "populated") != 0)
        return;
    int fd = open_leaf(dir), length = snprintf(value, sizeof(value), "/%s", origin);
    if (fd >= 0 && fsetxattr(fd, ORIGIN, value, (size_t)length, XATTR_CREATE) != 0) {
        /* no room: then it is not known */
    }
    fd_close(fd);
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
int cgroup_dir_list_file(int fd, struct cgroup_pids *list)
{
    char line[32];
    int r = 0;
    FILE *file = fdopen(fd, "r");
    if (!file) {
        fd_close(fd);
        return -ENOMEM;
    }
    while (!r && fgets(line, sizeof(line), file)) {
        int pid = atoi(line);
        if (pid > 0)
            r = pid_list_add(list, pid);
    }
    if (!r && ferror(file) && errno == EOPNOTSUPP)
        r = -EOPNOTSUPP;
    fclose(file);
    return r;
}

int cgroup_dir_list(int dir, struct cgroup_pids *list)
{
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    return cgroup_dir_list_file(fd, list);
}

/* Root can make cgroups in a leaf, and give them to users, who can hold them. */
int cgroup_dir_list_below(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list)
{
    char at[PATH_MAX];
    int fd = openat(cgroup->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *proc = fd < 0 ? NULL : fdopendir(fd);
    if (!proc) {
        r = -errno;
        fd_close(fd);
        return r;
    }
    errno = 0;
    for (struct dirent *entry; !r && (entry = readdir(proc)); errno = 0) {
        struct procfs_stat stat;
        pid_t pid = atoi(entry->d_name);
        int here = pid > 0 ? cgroup_dir_of(cgroup, pid, at) : -ESRCH;
        if (!here)
            here = cgroup_dir_is_below(at, path) ? procfs_stat_read(cgroup->proc_fd, pid, &stat)
                                                 : -EXDEV;
        if (!here && !procfs_stat_gone(&stat))
            r = pid_list_add(list, pid);
        else if (here != -ESRCH && here != -EXDEV)
            r = here; /* whether it is a member is not known */
    }
    r = r ? r : -errno;
    closedir(proc);
    return r;
}

int cgroup_dir_list_leaf(const struct cgroup *cgroup, const struct cgroup_leaf *leaf,
                         struct cgroup_pids *list)
{
    struct stat info;
    bool divided = fstat(leaf->fd, &info) == 0 && info.st_nlink > 2;
    return divided ? cgroup_dir_list_below(cgroup, leaf->path, list)
                   : cgroup_dir_list(leaf->fd, list);
}
