/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find a usable mount of cgroup v2 in any layout: alone, beside version 1 (/sys/fs/cgroup/unified),
 * or several (a container's view of /sys, a bind mount). Test it by making a cgroup and checking
 * its files, because neither the kernel version nor permissions predict whether that works.
 */
#include "cgroup.h"

#include "core/base/fd.h"
#include "core/base/message.h"
#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* How long the start waits for a directory that another process holds, or for a slow machine. */
#define MAKE_TRIES    100
#define MAKE_PAUSE_US 5000

/* Make a cgroup to look at: the leaf of a partition that does not exist. */
static int test_make(struct cgroup *cgroup, const char *origin, struct cgroup_leaf **ret_leaf)
{
    int r = -EINPROGRESS;
    for (int i = 0; r == -EINPROGRESS && i < MAKE_TRIES; i++) {
        r = cgroup_change_make(cgroup, &(struct proctrack_set){{CGROUP_TEST_ID}}, CGROUP_NO_ACCOUNT,
                               origin, false, ret_leaf);
        if (r == -EINPROGRESS)
            usleep(MAKE_PAUSE_US);
    }
    return r;
}

static void test_remove(struct cgroup *cgroup)
{
    char path[PATH_MAX];
    size_t first;
    while (cgroup_leaf_of(cgroup, CGROUP_TEST_ID, &first) > 0) {
        snprintf(path, sizeof(path), "%s", cgroup->leaves[first].path);
        cgroup_change_remove(cgroup, &cgroup->leaves[first]);
        cgroup_leaf_drop(cgroup, path); /* a child that waits removes it later */
    }
}

/* If the mount's directory is held by another process, make the cgroup in our own. If that is held
 * too, assume that cgroups work: without them the members of all partitions would be forgotten. */
static int probe(struct cgroup *cgroup, const char *mount, struct message *message)
{
    static const char *const needed[] = {"cgroup.kill", "cgroup.freeze"};
    struct cgroup_leaf *leaf = NULL;
    char own[PATH_MAX];
    int r = test_make(cgroup, "", &leaf);
    if (r == -EINPROGRESS && cgroup_dir_of(cgroup, getpid(), own) == 0 && own[0] != '\0')
        r = test_make(cgroup, own, &leaf);
    if (r && r != -EINPROGRESS)
        message_set(r, message, "Cannot make a cgroup in %s: %s.", mount, strerror(-r));
    for (size_t i = 0; !r && i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (faccessat(leaf->fd, needed[i], W_OK, 0) != 0)
            r = message_set(-EOPNOTSUPP, message,
                            "The cgroups in %s have no %s, which needs Linux 5.14.", mount,
                            needed[i]);
    }
    test_remove(cgroup);
    cgroup_change_end_all(cgroup); /* a cgroup that is still being made is removed at once */
    return r == -EINPROGRESS ? 0 : r;
}

/* Return whether the point leads to the mount of this id, which another may cover. */
static bool is_on_top(int fd, int id)
{
    struct statx info;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0 || !(info.stx_mask & STATX_MNT_ID))
        return true; /* before Linux 5.8 */
    return info.stx_mnt_id == (uint64_t)id;
}

/* Use the mount at cgroup->mount. */
static int use(struct cgroup *cgroup, int id, struct message *message)
{
    struct statfs info;
    const char *mount = cgroup->mount;
    int r = 0;
    cgroup->root_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup->root_fd < 0)
        return message_set(-errno, message, "Cannot open %s: %s.", mount, strerror(errno));
    if (fstatfs(cgroup->root_fd, &info) != 0 || info.f_type != CGROUP2_SUPER_MAGIC ||
        !is_on_top(cgroup->root_fd, id))
        r = message_set(-ENOENT, message, "The cgroup v2 at %s is below another mount.", mount);
    else if (faccessat(cgroup->root_fd, ".", W_OK, 0) != 0 && errno == EROFS)
        r = message_set(-EROFS, message, "cgroup v2 is mounted read-only at %s.", mount);
    else
        r = probe(cgroup, mount, message);
    if (r)
        cgroup->root_fd = fd_close(cgroup->root_fd);
    return r;
}

/* Rank a mount by the part of the hierarchy that it shows, the largest first: processes in other
 * parts cannot join. What is outside our cgroup namespace comes last. */
static uint64_t rank(const char *root)
{
    bool outside = strncmp(root, "/..", 3) == 0 && (root[3] == '/' || root[3] == '\0');
    return strlen(root) + (outside ? PATH_MAX : 0);
}

/* Find the mount that follows place *at in the order of ranks; at first that is 0. Return 0;
 * -ENOENT after the last one; or another -errno. */
static int find_next(struct cgroup *cgroup, const struct proctrack_options *options, uint64_t *at,
                     int *ret_id)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    uint64_t best = UINT64_MAX;
    int r = mountinfo_open(&reader, cgroup->proc_fd);
    if (r)
        return r == -ENOENT ? -EIO : r;
    for (uint32_t i = 0; mountinfo_next(&reader, &mount); i++) {
        uint64_t place = rank(mount.root) << 32 | i;
        if (strcmp(mount.type, "cgroup2") != 0 || place <= *at || place >= best ||
            (options->cgroup && strcmp(options->cgroup, mount.point) != 0))
            continue;
        best = place;
        snprintf(cgroup->mount, sizeof(cgroup->mount), "%s", mount.point);
        snprintf(cgroup->root, sizeof(cgroup->root), "%s", mount.root);
        *ret_id = mount.id;
    }
    mountinfo_close(&reader);
    *at = best;
    return best != UINT64_MAX ? 0 : -ENOENT;
}

int cgroup_mount_open(struct cgroup *cgroup, const struct proctrack_options *options,
                      struct message *message)
{
    int id = 0;
    uint64_t at = 0;
    struct message why;
    int r = find_next(cgroup, options, &at, &id);
    if (r && r != -ENOENT)
        return message_set(r, message, "The mounts cannot be read: %s.", strerror(-r));
    if (r)
        return !options->cgroup ? message_set(-ENOENT, message, "cgroup v2 is not mounted.")
                                : message_set(-ENOENT, message, "%s is not a mount of cgroup v2.",
                                              options->cgroup);
    int first = use(cgroup, id, message);
    r = first;
    while (r && !find_next(cgroup, options, &at, &id))
        r = use(cgroup, id, &why);
    if (!r)
        message->text[0] = '\0'; /* set by a mount tried before */
    return r ? first : 0;
}
