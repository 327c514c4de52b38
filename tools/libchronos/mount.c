/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the mounted tree; see chronos.h. It must not know more about the tree than how to recognize
 * it.
 */
#include "chronos.h"

#include "core/base/fd.h"
#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Open `path` if it is a tree that this process can use. Look inside: without allow_other every
 * user can open the mount point itself. Replaces the previous *mount. */
static int try_mount(const char *path, struct chronos_mount *mount)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    /* Use statfs: the kernel passes each one to the daemon, while names of a dead mount may be
     * cached. */
    struct statfs space;
    if (fstatfs(root, &space) != 0 || faccessat(root, "partitions", F_OK, 0) != 0) {
        int r = errno == ECONNABORTED ? -ENOTCONN : -errno; /* the daemon died before its reply */
        close(root);
        return r;
    }
    fd_close(mount->root);
    mount->root = root;
    snprintf(mount->path, sizeof(mount->path), "%s", path);
    return 0;
}

/* Use another user's mount only if its path is given: any user can mount something that calls
 * itself chronosfs, and `chronos run` executes its `env`. */
static bool is_trusted(const char *options)
{
    const char *owner = strstr(options, "user_id=");
    unsigned long uid = owner ? strtoul(owner + strlen("user_id="), NULL, 10) : 0;
    return uid == 0 || uid == geteuid();
}

/* Return whether it is a whole chronosfs. A bind mount of a part of one has another root. */
static bool is_chronosfs(const struct mountinfo *found)
{
    return strcmp(found->type, "fuse.chronosfs") == 0 && strcmp(found->root, "/") == 0 &&
           is_trusted(found->options);
}

/* Choose the mount on /chronos if there are several, else the first usable one. */
static int try_mounts(struct chronos_mount *mount, char failed[static PATH_MAX])
{
    struct mountinfo_reader reader;
    struct mountinfo found;
    int r = -ENOENT;
    if (mountinfo_open(&reader, -1) < 0)
        return r;
    while (mountinfo_next(&reader, &found)) {
        if (!is_chronosfs(&found) ||
            (mount->root >= 0 && strcmp(found.point, CHRONOS_DEFAULT_MOUNT) != 0))
            continue;
        int tried = try_mount(found.point, mount);
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
    const char *variable = getenv("CHRONOS_MOUNT");
    if (!wanted && variable && variable[0] != '\0')
        wanted = variable;
    snprintf(failed, PATH_MAX, "%s", wanted ? wanted : "");
    if (wanted) {
        r = try_mount(wanted, &mount);
    } else {
        r = try_mounts(&mount, failed);
        if (r < 0 && try_mount(CHRONOS_DEFAULT_MOUNT, &mount) == 0)
            r = 0;
    }
    if (!r)
        *ret_mount = mount;
    return r;
}

void chronos_mount_close(struct chronos_mount *mount)
{
    mount->root = fd_close(mount->root);
}
