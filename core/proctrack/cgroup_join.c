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

static int move(const struct cgroup_leaf *leaf, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    return cgroup_dir_write(leaf->fd, "cgroup.procs", text);
}

/* True if the directories above a leaf, but for the topmost, are still root's. The kernel follows
 * ".." without a lock. */
static bool is_place_closed(const struct cgroup_leaf *leaf)
{
    char above[PATH_MAX + 4] = "..";
    struct stat info;
    size_t length = 2;
    for (const char *at = strchr(leaf->path, '/'); at; at = strchr(at + 1, '/')) {
        if (length + 4 > sizeof(above) || fstatat(leaf->fd, above, &info, 0) != 0 ||
            !cgroup_dir_is_roots(&info))
            return false;
        length += (size_t)snprintf(above + length, sizeof(above) - length, "/..");
    }
    return true;
}

/* Return the leaf of these partitions that was made for processes in `origin`, if its place is
 * still right, or NULL; and how many leaves of the set are for one origin each. */
static struct cgroup_leaf *leaf_known(const struct cgroup *cgroup, const struct proctrack_set *set,
                                      const char *origin, size_t *ret_count)
{
    size_t first, count = cgroup_leaf_of(cgroup, set->ids[0], &first);
    *ret_count = 0;
    for (size_t i = first; i < first + count; i++) {
        struct cgroup_leaf *leaf = &cgroup->leaves[i];
        const struct proctrack_set its = cgroup_leaf_set(cgroup, leaf);
        if (!proctrack_set_is_equal(&its, set))
            continue;
        if (leaf->origin && strcmp(leaf->origin, origin) == 0 && is_place_closed(leaf))
            return leaf;
        *ret_count += leaf->origin ? 1 : 0;
    }
    return NULL;
}

/* Remove an empty leaf, so that a failed join leaves no trace. One that cannot be removed now is
 * kept: the end of its partition removes it. */
static void leaf_drop(struct cgroup *cgroup, const char *path)
{
    const struct cgroup_leaf *leaf = cgroup_leaf_at(cgroup, path);
    if (leaf && cgroup_dir_flag(leaf->fd, "cgroup.events", "populated") <= 0)
        cgroup_change_remove(cgroup, leaf);
}

/* Return how many leaves a partition has for sets with others. */
static size_t count_sets(const struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first), sets = 0;
    for (size_t i = first; i < first + count; i++)
        sets += cgroup_leaf_set(cgroup, &cgroup->leaves[i]).ids[1] != 0;
    return sets;
}

/* Remove a leaf of a partition and others that is not in use. -EUSERS: there is none; -EINPROGRESS:
 * none that is not in a held directory. */
static int drop_set(struct cgroup *cgroup, uint64_t id)
{
    size_t first, count = cgroup_leaf_of(cgroup, id, &first);
    int r = -EUSERS;
    for (size_t k = 0; k < count && cgroup_leaf_of(cgroup, id, &first) == count; k++) {
        const struct cgroup_leaf *leaf = &cgroup->leaves[first + k];
        if (cgroup_leaf_set(cgroup, leaf).ids[1] == 0 ||
            cgroup_dir_flag(leaf->fd, "cgroup.events", "populated") > 0)
            continue;
        int removed = cgroup_change_remove(cgroup, leaf);
        if (!removed)
            return 0;
        r = removed == -EINPROGRESS ? removed : r;
    }
    return r;
}

/* The rest of what is bounded in a partition is for its owner. */
static size_t share(const struct cgroup *cgroup, uint64_t id, uint32_t account, size_t most)
{
    return !cgroup->owns || cgroup->owns(cgroup->owns_context, id, account) ? most : most / 2;
}

/* Programs can go through all sets that there are, and each leaf makes the end of its partitions
 * slower: one that is not used makes room. */
static int set_has_room(struct cgroup *cgroup, const struct proctrack_set *set, uint32_t account)
{
    int r = 0;
    for (size_t k = 0; set->ids[1] != 0 && k < PROCTRACK_SET_MAX && set->ids[k] != 0; k++) {
        const size_t most = share(cgroup, set->ids[k], account, CGROUP_SETS_MAX);
        while (!r && count_sets(cgroup, set->ids[k]) >= most)
            r = drop_set(cgroup, set->ids[k]);
    }
    return r;
}

/* Return how many leaves of this set may be for one origin each. */
static size_t origins_max(const struct cgroup *cgroup, const struct proctrack_set *set,
                          uint32_t account)
{
    size_t most = CGROUP_ORIGIN_MAX;
    for (size_t k = 0; k < PROCTRACK_SET_MAX && set->ids[k] != 0; k++) {
        const size_t its = share(cgroup, set->ids[k], account, CGROUP_ORIGIN_MAX);
        most = its < most ? its : most;
    }
    return most;
}

/* Return the leaf of these partitions for a process in `origin`; makes it if needed, or if the
 * known one has gone. */
static int leaf_make(struct cgroup *cgroup, const struct proctrack_set *set, uint32_t account,
                     const char *origin, bool gone, struct cgroup_leaf **ret_leaf)
{
    size_t count;
    struct cgroup_leaf *known = leaf_known(cgroup, set, origin, &count);
    if (known && !gone) {
        *ret_leaf = known;
        return 0;
    }
    int r = set_has_room(cgroup, set, account);
    return r ? r
             : cgroup_change_make(cgroup, set, account, origin,
                                  count >= origins_max(cgroup, set, account), ret_leaf);
}

/* Move the process behind `pidfd` from `origin`, its current place. */
static int join_from(struct cgroup *cgroup, const struct proctrack_set *set, uint32_t account,
                     const struct procfs_process *process, int pidfd, const char *origin)
{
    struct cgroup_leaf *leaf;
    char path[PATH_MAX] = "";
    int r = -ENOENT;
    /* retry: systemd may remove the origin while it is empty */
    for (int tries = 0; (r == -ENOENT || r == -ENODEV) && tries < 3; tries++) {
        r = leaf_make(cgroup, set, account, origin, tries > 0, &leaf);
        if (r)
            continue;
        snprintf(path, sizeof(path), "%s", leaf->path);
        steps_before(&cgroup->steps, "move");
        r = move(leaf, process->pid);
        steps_before(&cgroup->steps, "moved");
    }
    if (!r && !pidfd_lives(pidfd)) {
        cgroup_change_move_back(cgroup, path, process->pid);
        r = -ESRCH;
    }
    if (r && r != -EINPROGRESS && *path)
        leaf_drop(cgroup, path);
    return r;
}

/* Find where a process is, outside of our leaves; *ret_in are the partitions it is already in. */
static int origin_find(const struct cgroup *cgroup, pid_t pid, char origin[static PATH_MAX],
                       struct proctrack_set *ret_in)
{
    int r = cgroup_dir_of(cgroup, pid, origin);
    const struct cgroup_leaf *leaf = r ? NULL : cgroup_leaf_at(cgroup, origin);
    if (!r)
        cgroup_claim_find(cgroup, origin, ret_in);
    if (!leaf)
        return r;
    const struct proctrack_set its = cgroup_leaf_set(cgroup, leaf);
    const char *slash = strrchr(leaf->path, '/');
    if (leaf->origin)
        snprintf(origin, PATH_MAX, "%s", leaf->origin);
    else
        origin[slash ? slash - leaf->path : 0] = '\0';
    for (size_t i = 0; !r && i < PROCTRACK_SET_MAX && its.ids[i] != 0; i++)
        r = proctrack_set_add(ret_in, its.ids[i]);
    return 0;
}

static int explain(const struct cgroup *cgroup, int r, pid_t pid, const char *origin,
                   struct message *message)
{
    if (r == -EXDEV)
        return message_set(r, message,
                           "Process %d is in a part of the cgroup tree that chronosfs cannot see.",
                           pid);
    if (r == -EAGAIN) /* from mkdir; -EAGAIN of a join itself means that the ids changed */
        return message_set(
            -ENOSPC, message,
            "The limit of cgroups below /%s is reached; raise its cgroup.max.descendants.", origin);
    if (r == -EUSERS)
        return message_set(r, message,
                           "Process %d cannot join: the programs of one of these partitions are "
                           "in %d other combinations of partitions, or in %d and it is another "
                           "user's.",
                           pid, CGROUP_SETS_MAX, CGROUP_SETS_MAX / 2);
    if (r == -EMFILE)
        return message_set(r, message,
                           "Process %d cannot join: partitions with programs need an open file "
                           "each, and chronosfs has none left for this user (%zu of %zu are in "
                           "use). End some, or start it with a higher limit of open files.",
                           pid, cgroup_leaf_files(cgroup), cgroup->leaf_max);
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

int cgroup_join(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                const struct procfs_process *process, struct message *message)
{
    struct cgroup *cgroup = (struct cgroup *)proctrack;
    char origin[PATH_MAX] = "";
    struct procfs_stat stat;
    struct proctrack_set in = {{0}};
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
    if (!r && !proctrack_set_is_equal(&in, set))
        r = join_from(cgroup, set, account, process, pidfd, origin);
    if (!pidfd_lives(pidfd))
        r = -ESRCH;
    fd_close(pidfd);
    return explain(cgroup, r, process->pid, origin, message);
}

int cgroup_join_leave(struct proctrack *proctrack, uint32_t account,
                      const struct procfs_process *process, bool all, struct message *message)
{
    struct cgroup *cgroup = (struct cgroup *)proctrack;
    char path[PATH_MAX], origin[PATH_MAX + 4] = "";
    int pidfd = -1;
    int r = procfs_process_reread(cgroup->proc_fd, process, &pidfd);
    if (!r)
        r = cgroup_dir_of(cgroup, process->pid, path);
    const struct cgroup_leaf *leaf = r ? NULL : cgroup_leaf_at(cgroup, path);
    if (leaf)
        snprintf(path, sizeof(path), "%s", leaf->path);
    if (leaf && leaf->origin)
        snprintf(origin, sizeof(origin), ", /%s", leaf->origin);
    if (!r)
        r = cgroup_change_leave(cgroup, account, leaf ? path : NULL, process,
                                all ? CGROUP_ANY_UID : process->uid);
    if (r == -EXDEV) /* where no partition is */
        r = 0;
    else if (r == -ENODATA)
        message_set(r, message,
                    "Process %d cannot leave: members of its partition came from too many cgroups "
                    "to remember them all.",
                    process->pid);
    else if (r && r != -ESRCH && r != -EAGAIN && r != -EINPROGRESS)
        message_set(r, message, "Process %d cannot return to the cgroup that it came from%s: %s.",
                    process->pid, origin, strerror(-r));
    fd_close(pidfd);
    return r;
}
