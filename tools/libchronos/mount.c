/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the mounted tree; see client.h. It must not know more about the tree than how to recognize
 * it.
 */
#include "client.h"

#include "core/base/fd.h"
#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Check that `root` is on the filesystem `device` ("0:53"), and not on one that was mounted over
 * it, or put in its place since. -ENOENT if not. */
static int check_device(int root, const char *device)
{
    struct fd_identity file;
    char text[32];
    int r = fd_identify(root, "", &file);
    if (r)
        return r;
    snprintf(text, sizeof(text), "%u:%u", major(file.device), minor(file.device));
    return strcmp(text, device) == 0 ? 0 : -ENOENT;
}

/* Open `path` if it is a tree that this process can use (/proc has a file `partitions` too); on
 * `device` unless that is NULL. Look inside: without allow_other every user can open the mount
 * point itself. Replaces the previous *mount. */
static int try_mount(const char *path, const char *device, struct chronos_mount *mount)
{
    struct fd_identity inside;
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    root = root < 0 ? -errno : fd_above_streams(root);
    if (root < 0)
        return root;
    /* Use statfs: the kernel passes each one to the daemon, while names of a dead mount may be
     * cached. */
    struct statfs space;
    int r = device ? check_device(root, device) : 0;
    if (!r)
        r = fstatfs(root, &space) != 0 ? -errno : fd_identify(root, "partitions/.", &inside);
    if (r) {
        close(root);
        return r == -ECONNABORTED ? -ENOTCONN : r; /* the daemon died before its reply */
    }
    fd_close(mount->root);
    mount->root = root;
    snprintf(mount->path, sizeof(mount->path), "%s", path);
    return 0;
}

/* Use another user's mount only if its path is given: any user can mount something that calls
 * itself chronosfs, and `chronos run` executes its `env`. The kernel writes user_id: it is the user
 * who mounted it, and thus serves it, in the user namespace of the mount. A mount of another
 * namespace is not accessible to processes outside. */
static bool is_trusted(const struct mountinfo *found)
{
    unsigned long owner;
    return mountinfo_number(found, "user_id", &owner) && (owner == 0 || owner == geteuid());
}

/* Return whether it is a whole chronosfs. A bind mount of a part of one has another root. */
static bool is_chronosfs(const struct mountinfo *found)
{
    return strcmp(found->type, "fuse.chronosfs") == 0 && strcmp(found->root, "/") == 0 &&
           is_trusted(found);
}

/* Return how much a mount is preferred: one of the caller's own, then the one on /chronos. */
static int preference(const struct mountinfo *found)
{
    unsigned long owner;
    bool default_point = strcmp(found->point, CHRONOS_DEFAULT_MOUNT) == 0;
    if (geteuid() != 0 && mountinfo_number(found, "user_id", &owner) && owner != 0)
        return 2; /* is_trusted: not another user's */
    return default_point ? 1 : 0;
}

/* Choose the preferred mount if there are several, else the first usable one. Without /proc take
 * what is on /chronos: only root can mount in a directory of root. */
static int try_mounts(struct chronos_mount *mount, char failed[static PATH_MAX])
{
    struct mountinfo_reader reader;
    struct mountinfo found;
    int r = -ENOENT, best = -1;
    if (mountinfo_open(&reader, -1) < 0)
        return try_mount(CHRONOS_DEFAULT_MOUNT, NULL, mount);
    while (mountinfo_next(&reader, &found)) {
        /* Of several on /chronos the last is on top. */
        int preferred = is_chronosfs(&found) ? preference(&found) : -1;
        if (preferred < best || (preferred == best && preferred != 1))
            continue;
        int tried = try_mount(found.point, found.device, mount);
        if (!tried)
            best = preferred;
        if (tried < 0 && r < 0)
            snprintf(failed, PATH_MAX, "%s", found.point);
        if (r < 0)
            r = tried;
    }
    mountinfo_close(&reader);
    return r;
}

int chronos_mount_open(const char *wanted, char failed[static PATH_MAX],
                       struct chronos_mount *ret_mount)
{
    struct chronos_mount mount = {.root = -1};
    int r;
    const char *variable = secure_getenv("CHRONOS_MOUNT");
    if (!wanted && variable && variable[0] != '\0')
        wanted = variable;
    snprintf(failed, PATH_MAX, "%s", wanted ? wanted : "");
    if (wanted) {
        r = try_mount(wanted, NULL, &mount);
    } else {
        r = try_mounts(&mount, failed);
    }
    if (!r)
        *ret_mount = mount;
    return r;
}

void chronos_mount_close(struct chronos_mount *mount)
{
    mount->root = fd_close(mount->root);
}

bool chronos_mount_is_trusted(const struct chronos_mount *mount)
{
    struct mountinfo_reader reader;
    struct mountinfo found;
    bool trusted = false;
    if (mountinfo_open(&reader, -1) < 0)
        return false;
    while (!trusted && mountinfo_next(&reader, &found))
        trusted = is_chronosfs(&found) && check_device(mount->root, found.device) == 0;
    mountinfo_close(&reader);
    return trusted;
}
