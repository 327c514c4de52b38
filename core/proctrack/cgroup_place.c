/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of others: where to make a leaf, which cgroups are ours, and how to put a process
 * back. All of this looks paths up, and so waits for ever where a user holds a directory: only a
 * child may do it (cgroup_change.c, cgroup_search.c).
 */
#include "cgroup.h"

#include "core/base/fd.h"
#include "core/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Users can list a leaf's directory only if they may read it; its files they may. */
#define LEAF_MODE 0711

int cgroup_place_open(const struct cgroup *cgroup, const char *path)
{
    int fd = openat(cgroup->root_fd, path[0] == '\0' ? "." : path,
                    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* A user with a delegated part of the tree can make a cgroup of any name in it and move processes
 * there. Cgroups that we make belong to us. */
static bool is_made_by_us(const struct stat *info)
{
    return info->st_uid == geteuid() && (info->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int cgroup_place_open_ours(const struct cgroup *cgroup, const char *path)
{
    struct stat info;
    int fd = cgroup_place_open(cgroup, path);
    if (fd < 0 || (fstat(fd, &info) == 0 && is_made_by_us(&info)))
        return fd;
    fd_close(fd);
    return -EEXIST;
}

int cgroup_place_claim(const struct cgroup *cgroup, const char *path, uint64_t inode,
                       struct cgroup_packet *packet)
{
    static const char *const names[] = {[CGROUP_PROCS] = "cgroup.procs",
                                        [CGROUP_EVENTS] = "cgroup.events",
                                        [CGROUP_KILL] = "cgroup.kill"};
    char type[64];
    struct stat info;
    int fd = cgroup_place_open(cgroup, path), r = 0;
    if (fd < 0)
        return fd;
    packet->fds[CGROUP_DIR] = fd;
    if (fstat(fd, &info) != 0)
        r = -errno;
    else if (inode != 0 && info.st_ino != inode)
        r = -ESTALE;
    else if (cgroup_dir_read(fd, "cgroup.type", type, sizeof(type)) < 0)
        r = -ENOENT;
    else if (strcmp(type, "domain\n") != 0 && strcmp(type, "domain threaded\n") != 0)
        r = -EOPNOTSUPP;
    for (size_t i = CGROUP_PROCS; !r && i < CGROUP_FILES; i++) {
        packet->fds[i] = openat(fd, names[i], (i == CGROUP_KILL ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
        if (packet->fds[i] < 0)
            r = i == CGROUP_KILL && errno == ENOENT ? -EOPNOTSUPP : -errno;
    }
    packet->head[1] = (int64_t)info.st_ino;
    if (r)
        cgroup_packet_close(packet);
    return r;
}

uint64_t cgroup_place_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at)
{
    char full[PATH_MAX];
    struct proctrack_set set;
    struct stat info;
    for (size_t at = 0; path[at] != '\0';) {
        size_t length = strcspn(path + at, "/");
        uint64_t id = cgroup_leaf_name(cgroup, path + at, length, &set);
        snprintf(full, sizeof(full), "%.*s", (int)(at + length), path);
        if (id != 0 && fstatat(cgroup->root_fd, full, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            is_made_by_us(&info)) {
            *ret_at = at == 0 ? 0 : at - 1;
            return id;
        }
        at += length + (path[at + length] == '/');
    }
    return 0;
}

bool cgroup_place_is_roots(const struct cgroup *cgroup, const char *path)
{
    struct stat info;
    return fstatat(cgroup->root_fd, path[0] == '\0' ? "." : path, &info, AT_SYMLINK_NOFOLLOW) ==
               0 &&
           cgroup_dir_is_roots(&info);
}

/* True if only root can move processes into, out of or within the cgroup. */
static bool is_closed(const struct cgroup *cgroup, const char *path)
{
    char procs[PATH_MAX];
    struct stat info;
    return cgroup_place_is_roots(cgroup, path) &&
           snprintf(procs, sizeof(procs), "%s%scgroup.procs", path, path[0] == '\0' ? "" : "/") <
               (int)sizeof(procs) &&
           fstatat(cgroup->root_fd, procs, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           cgroup_dir_is_roots(&info);
}

/* A cgroup below a threaded one cannot contain processes. */
static bool takes_children(const struct cgroup *cgroup, const char *path)
{
    char type[64];
    int fd = path[0] == '\0' ? -ENOENT : cgroup_place_open(cgroup, path);
    bool takes = fd < 0 || cgroup_dir_read(fd, "cgroup.type", type, sizeof(type)) < 0 ||
                 strcmp(type, "domain\n") == 0;
    fd_close(fd);
    return takes;
}

static void up(char *path)
{
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
}

/* Shorten `path`, where a process is, to the directory in which to make its leaf.
 *
 * Moving a process requires write permission in the nearest common ancestor of both places, and
 * none over the process itself. So ask what any user can write, not what the user of the joining
 * process can: it may run under a subordinate uid of the user to whom the directory was given.
 * Above the topmost such directory members cannot leave. Choose the lowest place that is, so that
 * all limits above it still apply. */
static void climb(const struct cgroup *cgroup, char *path)
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

static int leaf_open(const struct cgroup *cgroup, const char *path)
{
    steps_before(&cgroup->steps, "make");
    if (mkdirat(cgroup->root_fd, path, LEAF_MODE) != 0 && errno != EEXIST)
        return -errno;
    return cgroup_place_open_ours(cgroup, path);
}

static bool is_for(int leaf, const char *origin)
{
    char is[PATH_MAX];
    cgroup_dir_origin_set(leaf, origin);
    return cgroup_dir_origin(leaf, is) && strcmp(is, origin) == 0;
}

/* A process that leaves returns to where it came from, so those from different places do not share
 * a leaf: the first place has the plain name, others a hash. All that is left share the name with
 * 0. */
int cgroup_place_make(const struct cgroup *cgroup, const char *name, const char *origin,
                      bool shared, char ret_leaf[static PATH_MAX])
{
    char place[PATH_MAX];
    size_t at;
    snprintf(place, sizeof(place), "%s", origin);
    if (cgroup_place_ours(cgroup, place, &at) != 0)
        place[at] = '\0';
    climb(cgroup, place);
    int length = snprintf(ret_leaf, PATH_MAX, "%s%s%s", place, place[0] == '\0' ? "" : "/", name);
    if (length > PATH_MAX - 20)
        return -ENAMETOOLONG;
    for (int kind = shared ? 2 : 0;; kind++) {
        const uint64_t mark = kind == 1 ? hash_text(HASH_START, origin) | 1 : 0;
        if (kind > 0)
            snprintf(ret_leaf + length, 20, ".%llx", (unsigned long long)mark);
        int fd = leaf_open(cgroup, ret_leaf);
        if (fd < 0 || kind == 2 || is_for(fd, origin))
            return fd;
        fd_close(fd);
    }
}

static int move(const struct cgroup *cgroup, const char *path, pid_t pid)
{
    char text[16];
    int fd = cgroup_place_open(cgroup, path);
    if (fd < 0)
        return fd;
    snprintf(text, sizeof(text), "%d", pid);
    int r = cgroup_dir_write(fd, "cgroup.procs", text);
    fd_close(fd);
    return r;
}

/* True if the parents of `pid`, as far as they are in `leaf`, lead to `top`. */
static bool descends(const struct cgroup *cgroup, pid_t pid, pid_t top, const char *leaf)
{
    char path[PATH_MAX];
    struct procfs_stat stat;
    while (pid != top) {
        if (procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0 || stat.ppid <= 1 ||
            cgroup_dir_of(cgroup, stat.ppid, path) != 0 || !cgroup_dir_is_below(path, leaf))
            return false;
        pid = stat.ppid;
    }
    return true;
}

/* Move it to the cgroup of its parent, where it started, together with the children it has had
 * since. If its parent is in the leaf, it is a member's child and belongs there. */
int cgroup_place_move_back(const struct cgroup *cgroup, const char *leaf, pid_t pid)
{
    char path[PATH_MAX];
    struct procfs_stat stat;
    struct cgroup_pids list = {.pids = NULL};
    if (cgroup_dir_of(cgroup, pid, path) != 0 || strcmp(path, leaf) != 0 ||
        procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0)
        return 0;
    if (cgroup_dir_of(cgroup, stat.ppid, path) == 0 && cgroup_dir_is_below(path, leaf))
        return 0;
    if (stat.ppid <= 1 || cgroup_dir_of(cgroup, stat.ppid, path) != 0) {
        snprintf(path, sizeof(path), "%s", leaf);
        up(path);
    }
    int fd = cgroup_place_open(cgroup, leaf), r = fd < 0 ? fd : cgroup_dir_list(fd, &list);
    fd_close(fd);
    for (size_t i = 0; i < list.count; i++) {
        if (list.pids[i] != pid && descends(cgroup, list.pids[i], pid, leaf))
            move(cgroup, path, list.pids[i]);
    }
    free(list.pids);
    int moved = move(cgroup, path, pid);
    return r ? r : moved;
}

int cgroup_place_step_out(const struct cgroup *cgroup, pid_t pid)
{
    char path[PATH_MAX];
    size_t at;
    if (cgroup_dir_of(cgroup, pid, path) != 0 || cgroup_place_ours(cgroup, path, &at) == 0)
        return 0;
    path[at] = '\0';
    return move(cgroup, path, pid);
}
