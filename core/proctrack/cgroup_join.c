/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join under cgroup: choose the cgroup of a new member and move the process there. The kernel takes
 * a pid, which may belong to another process by then: check with a pidfd afterwards, and move a
 * wrong process back.
 */
#include "cgroup.h"

#include "core/base/message.h"

#include "core/base/fd.h"

#include "core/base/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int move(const struct cgroup *cgroup, const char *path, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    return cgroup_dir_write(cgroup, path, "cgroup.procs", text);
}

static bool is_frozen(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_dir_leaves(cgroup, id, &first);
    for (size_t i = first; i < first + count; i++) {
        if (cgroup_dir_flag(cgroup, cgroup->leaves[i].path, "cgroup.freeze", ""))
            return true;
    }
    return false;
}

/* The leaf of partition `id` that was made for processes in `origin`, if its place is still right,
 * or NULL. */
static const char *leaf_known(const struct cgroup *cgroup, uint64_t id, const char *origin)
{
    char place[PATH_MAX];
    size_t first, count = cgroup_dir_leaves(cgroup, id, &first), length;
    for (size_t i = first; i < first + count; i++) {
        const struct cgroup_leaf *leaf = &cgroup->leaves[i];
        if (!leaf->origin || strcmp(leaf->origin, origin) != 0)
            continue;
        snprintf(place, sizeof(place), "%s", origin);
        cgroup_dir_climb(cgroup, place);
        length = strlen(place);
        if (strncmp(leaf->path, place, length) == 0 &&
            !strchr(leaf->path + length + (length > 0), '/'))
            return leaf->path;
    }
    return NULL;
}

/* Return in `leaf` the leaf of partition `id` for a process in `origin`; makes it if needed, or if
 * the known one has gone. */
static int leaf_make(struct cgroup *cgroup, uint64_t id, const char *origin, bool gone,
                     char leaf[static PATH_MAX])
{
    const char *known = gone ? NULL : leaf_known(cgroup, id, origin);
    size_t at;
    if (known) {
        strcpy(leaf, known);
        return 0;
    }
    bool frozen = is_frozen(cgroup, id);
    int r = cgroup_change_make(cgroup, id, origin, leaf);
    if (r)
        return r;
    if (cgroup_dir_ours(cgroup, leaf, &at) != id)
        return -EEXIST; /* made by another user, who could move its processes out */
    r = cgroup_dir_leaf_add(cgroup, id, leaf, origin);
    if (!r && frozen)
        r = cgroup_dir_write(cgroup, leaf, "cgroup.freeze", "1");
    return r;
}

static bool is_below(const char *path, const char *leaf)
{
    size_t length = strlen(leaf);
    return strncmp(path, leaf, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* True if the parents of `pid`, as far as they are in `leaf`, lead to `top`. */
static bool descends(const struct cgroup *cgroup, pid_t pid, pid_t top, const char *leaf)
{
    char path[PATH_MAX];
    struct procfs_stat stat;
    while (pid != top) {
        if (procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0 || stat.ppid <= 1 ||
            cgroup_dir_of(cgroup, stat.ppid, path) != 0 || !is_below(path, leaf))
            return false;
        pid = stat.ppid;
    }
    return true;
}

/* The pid was reused and the wrong process moved to `leaf`: move it back to the cgroup of its
 * parent, where it started, together with the children it has had since. If its parent is in the
 * leaf, it is a member's child and belongs there. */
static void move_back(const struct cgroup *cgroup, const char *leaf, pid_t pid)
{
    char path[PATH_MAX];
    struct procfs_stat stat;
    struct cgroup_pids list = {.pids = NULL};
    size_t at;
    if (cgroup_dir_of(cgroup, pid, path) != 0 || strcmp(path, leaf) != 0 ||
        procfs_stat_read(cgroup->proc_fd, pid, &stat) != 0)
        return;
    if (cgroup_dir_of(cgroup, stat.ppid, path) == 0 && is_below(path, leaf))
        return;
    if (stat.ppid <= 1 || cgroup_dir_of(cgroup, stat.ppid, path) != 0) {
        snprintf(path, sizeof(path), "%s", leaf);
        if (cgroup_dir_ours(cgroup, path, &at) != 0)
            path[at] = '\0';
    }
    cgroup_walk_list(cgroup, leaf, &list);
    for (size_t i = 0; i < list.count; i++) {
        if (list.pids[i] != pid && descends(cgroup, list.pids[i], pid, leaf))
            move(cgroup, path, list.pids[i]);
    }
    move(cgroup, path, pid);
    free(list.pids);
}

/* Remove an empty leaf, so that a failed join leaves no trace. */
static void leaf_drop(struct cgroup *cgroup, const char *leaf)
{
    if (cgroup_dir_flag(cgroup, leaf, "cgroup.events", "populated"))
        return;
    cgroup_change_remove(cgroup, leaf); /* perhaps later */
    for (size_t i = 0; i < cgroup->leaf_count; i++) {
        if (strcmp(cgroup->leaves[i].path, leaf) != 0)
            continue;
        cgroup_dir_leaf_free(&cgroup->leaves[i]);
        memmove(&cgroup->leaves[i], &cgroup->leaves[i + 1],
                (cgroup->leaf_count - i - 1) * sizeof(*cgroup->leaves));
        cgroup->leaf_count--;
        return;
    }
}

/* Move the process behind `pidfd` from `origin`, its current place. */
static int join_from(struct cgroup *cgroup, uint64_t id, const struct procfs_process *process,
                     int pidfd, const char *origin)
{
    char leaf[PATH_MAX] = "";
    int r = -ENOENT;
    /* retry: systemd may remove the origin while it is empty */
    for (int tries = 0; (r == -ENOENT || r == -ENODEV) && tries < 3; tries++) {
        r = leaf_make(cgroup, id, origin, tries > 0, leaf);
        if (r)
            continue;
        steps_before(&cgroup->steps, "move");
        r = move(cgroup, leaf, process->pid);
        steps_before(&cgroup->steps, "moved");
    }
    if (!r && !pidfd_lives(pidfd)) {
        move_back(cgroup, leaf, process->pid);
        r = -ESRCH;
    }
    if (r && r != -EINPROGRESS && leaf[0] != '\0')
        leaf_drop(cgroup, leaf);
    return r;
}

/* Find where a process is, outside of our leaves; *ret_in is the partition it is already in. */
static int origin_find(const struct cgroup *cgroup, pid_t pid, char origin[static PATH_MAX],
                       uint64_t *ret_in)
{
    size_t at;
    int r = cgroup_dir_of(cgroup, pid, origin);
    if (r)
        return r;
    *ret_in = cgroup_dir_ours(cgroup, origin, &at);
    if (*ret_in != 0)
        origin[at] = '\0';
    return 0;
}

static int explain(int r, pid_t pid, const char *origin, struct message *message)
{
    if (r == -EXDEV)
        return message_set(r, message,
                           "Process %d is in a part of the cgroup tree that chronosfs cannot see.",
                           pid);
    if (r == -EAGAIN) /* from mkdir; -EAGAIN of a join itself means that the ids changed */
        return message_set(
            -ENOSPC, message,
            "The limit of cgroups below /%s is reached; raise its cgroup.max.descendants.", origin);
    if (r == -EINPROGRESS)
        return message_set(r, message,
                           "The directory /%s of the cgroup tree is held by a process that lists "
                           "it.",
                           origin);
    if (r == -EACCES)
        r = -EPERM;
    if (r && r != -ESRCH)
        message_set(r, message, "Cannot move process %d to a cgroup in /%s: %s.", pid, origin,
                    strerror(-r));
    return r;
}

int cgroup_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                struct message *message)
{
    struct cgroup *cgroup = (struct cgroup *)proctrack;
    char origin[PATH_MAX] = "";
    struct procfs_stat stat;
    uint64_t in = 0;
    int pidfd = -1;
    int r = procfs_process_reread(cgroup->proc_fd, process, &pidfd);
    if (r)
        return r;
    steps_before(&cgroup->steps, "open");
    r = procfs_stat_read(cgroup->proc_fd, process->pid, &stat);
    if (!r && stat.state == 'Z') {
        fd_close(pidfd);
        return message_set(-EOPNOTSUPP, message,
                           "Cannot move process %d: its first thread has ended.", process->pid);
    }
    if (!r)
        r = origin_find(cgroup, process->pid, origin, &in);
    if (!r && in != id)
        r = join_from(cgroup, id, process, pidfd, origin);
    if (!pidfd_lives(pidfd))
        r = -ESRCH;
    fd_close(pidfd);
    return explain(r, process->pid, origin, message);
}

int cgroup_step_out(const struct cgroup *cgroup, pid_t pid)
{
    char path[PATH_MAX];
    size_t at;
    if (cgroup_dir_of(cgroup, pid, path) != 0 || cgroup_dir_ours(cgroup, path, &at) == 0)
        return 0;
    path[at] = '\0';
    return move(cgroup, path, pid);
}
