/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the mounted tree. The list of mounts is read only when nothing nearer
 * tells. It must not know what is in the tree beyond how to recognise it.
 */
#include "command.h"
#include "output.h"

#include "core/base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DEFAULT_MOUNT "/chronos"

/* Opens `path` if a tree that we can use is there. Without allow_other the mount
 * point itself can be opened by everybody; only a look inside tells. */
static int try_mount(const char *path, struct tree *ret_tree)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    /* statfs is never answered from the kernel's memory, as a dead mount's names are. */
    struct statfs space;
    if (fstatfs(root, &space) != 0 || faccessat(root, "partitions", F_OK, 0) != 0) {
        int error = errno == ECONNABORTED ? ENOTCONN : errno; /* it died while we asked */
        close(root);
        return -error;
    }
    if (ret_tree->root >= 0)
        close(ret_tree->root);
    ret_tree->root = root;
    snprintf(ret_tree->path, sizeof ret_tree->path, "%s", path);
    return 0;
}

/* Anybody may mount something under this name, and `chronos run` does what its `env`
 * says: what is not root's or the caller's own is not found, only named. */
static bool is_trusted(const char *options)
{
    const char *owner = strstr(options, "user_id=");
    unsigned long uid = owner != NULL ? strtoul(owner + strlen("user_id="), NULL, 10) : 0;
    return uid == 0 || uid == geteuid();
}

/* Whether it is the whole of a chronosfs. A part of a tree, bound somewhere, is nothing
 * to talk to. */
static bool is_chronosfs(const struct mountinfo *mount)
{
    return strcmp(mount->type, "fuse.chronosfs") == 0 && strcmp(mount->root, "/") == 0 &&
           is_trusted(mount->options);
}

/* The one on /chronos if there are several, else the first that we can use. */
static int try_mounts(struct tree *tree, char *failed, size_t size)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    int result = -ENOENT;
    if (mountinfo_open(&reader, -1) != 0)
        return result;
    while (mountinfo_next(&reader, &mount)) {
        if (!is_chronosfs(&mount) || (tree->root >= 0 && strcmp(mount.point, DEFAULT_MOUNT) != 0))
            continue;
        int error = try_mount(mount.point, tree);
        if (error != 0 && result != 0) {
            result = error;
            snprintf(failed, size, "%s", mount.point);
        } else if (error == 0) {
            result = 0;
        }
    }
    mountinfo_close(&reader);
    return result;
}

static int no_mount(const char *path, int error)
{
    if (error == -EACCES)
        say("The chronosfs on %s belongs to somebody else: Permission denied.", path);
    else if (error == -ENOTCONN)
        say("The chronosfs on %s does not run any more. Start it again with: chronosfs %s", path,
            path);
    else if (path[0] != '\0')
        say("There is no chronosfs on %s. Start one with: chronosfs %s", path, path);
    else
        say("No mounted chronosfs was found. Start one with: chronosfs %s", DEFAULT_MOUNT);
    return EXIT_NO_MOUNT;
}

int tree_open(const char *wanted, bool quiet, struct tree *ret_tree)
{
    struct tree tree = {.root = -1};
    char failed[PATH_MAX] = "";
    int error;
    const char *variable = getenv("CHRONOS_MOUNT");
    if (wanted == NULL && variable != NULL && variable[0] != '\0')
        wanted = variable;
    if (wanted != NULL) {
        snprintf(failed, sizeof failed, "%s", wanted);
        error = try_mount(wanted, &tree);
    } else {
        error = try_mounts(&tree, failed, sizeof failed);
        if (error != 0 && try_mount(DEFAULT_MOUNT, &tree) == 0)
            error = 0;
    }
    if (error != 0)
        return quiet ? EXIT_NO_MOUNT : no_mount(failed, error);
    *ret_tree = tree;
    return 0;
}
